"""PettingZoo's parallel API: dictionaries by agent, of agents that may finish early."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from syntony.errors import BadInput, HostFault
from syntony.modules import module
from syntony.tasks.host_views import Answer, Seen, earned, limit_of, unseen, view, write


class PettingZoo:
    """One environment of the parallel API.

    Who has finished sees zeros, earns nothing, and can only do the first action, which
    the environment is not told.
    """

    def __init__(self, env: Any, parameters: Mapping[str, Any]):
        agents = list(getattr(env, "possible_agents", ()))
        if not agents:
            raise BadInput("it has no possible_agents; expected PettingZoo's API")
        self.views = [
            view(name, env.observation_space(name), env.action_space(name))
            for name in agents
        ]
        self.time_limit = limit_of(env, parameters)
        self._env = env
        self._unseen = unseen(self.views)
        self._playing: set[Any] = set()

    def reset(self, seed: int) -> Seen:
        """Starts an episode."""
        obs, infos = self._env.reset(seed=seed)
        self._playing = set(self._env.agents)
        return self._seen(obs, infos)

    def step(self, action: Int[np.ndarray, " N"]) -> Answer:
        """Moves all agents that still play."""
        players = [(i, v) for i, v in enumerate(self.views) if v.name in self._playing]
        sent = {v.name: v.first + int(action[i]) for i, v in players}
        obs, rewards, ends, cuts, infos = self._env.step(sent)
        reward = np.zeros(len(self.views), np.float32)
        for i, v in players:
            reward[i] = earned(v.name, rewards.get(v.name, 0.0))
        ended = {name for name in sent if ends.get(name) or cuts.get(name)}
        cut = any(cuts.get(name) and not ends.get(name) for name in ended)
        self._playing = set(self._env.agents) - ended
        over = not self._playing
        return Answer(self._seen(obs, infos), reward, over and not cut, over and cut)

    def close(self) -> None:
        """Lets go of windows and processes."""
        self._env.close()

    def _seen(self, obs: Mapping[Any, Any], infos: Mapping[Any, Any]) -> Seen:
        seen = Seen(*(part.copy() for part in self._unseen))
        for i, v in enumerate(self.views):
            if v.name in self._playing and v.name not in obs:
                raise HostFault(f"there is no observation of {v.name}")
            if v.name in self._playing:
                write(seen, i, v, obs[v.name], infos.get(v.name))
            elif v.name in obs:
                # The last that it sees; what it might do is no longer asked.
                seen.obs[i, : v.size] = v.flat(obs[v.name])
        return seen


def open_pettingzoo(name: str, parameters: Mapping[str, Any]) -> PettingZoo:
    """Returns a new copy of `MODULE.parallel_env(**parameters)`.

    Raises:
        BadInput: there is no such module, or it is none of PettingZoo's manner.
    """
    home = module(name)
    if not callable(getattr(home, "parallel_env", None)):
        raise BadInput(
            f"module {name!r} has no parallel_env; expected one of PettingZoo's "
            "manner, e.g. mpe2.simple_spread_v3"
        )
    return PettingZoo(home.parallel_env(**parameters), parameters)
