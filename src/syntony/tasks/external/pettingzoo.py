"""PettingZoo's parallel API: dictionaries by agent, of agents that may finish early."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.plugins import import_user_module
from syntony.tasks.external.adapter import (
    Observation,
    StepResult,
    absent_observation,
    env_time_limit,
    make_agent_adapter,
    set_agent_observation,
    validate_reward,
)


class PettingZooEnv:
    """One environment of the parallel API.

    Who has finished sees zeros, earns nothing, and can only do the first action, which
    the environment is not told.
    """

    def __init__(self, env: Any, parameters: Mapping[str, Any]):
        agents = list(getattr(env, "possible_agents", ()))
        if not agents:
            raise InvalidInputError(
                "it has no possible_agents; expected PettingZoo's API"
            )
        self.adapters = [
            make_agent_adapter(
                name, env.observation_space(name), env.action_space(name)
            )
            for name in agents
        ]
        self.time_limit = env_time_limit(env, parameters)
        self._env = env
        self._absent_observation = absent_observation(self.adapters)
        self._alive_agents: set[Any] = set()

    def reset(self, seed: int) -> Observation:
        """Starts an episode."""
        obs, infos = self._env.reset(seed=seed)
        self._alive_agents = set(self._env.agents)
        return self._to_observation(obs, infos)

    def step(self, action: Int[np.ndarray, " N"]) -> StepResult:
        """Moves all agents that still play."""
        players = [
            (i, v)
            for i, v in enumerate(self.adapters)
            if v.agent_id in self._alive_agents
        ]
        sent = {v.agent_id: v.action_start + int(action[i]) for i, v in players}
        obs, rewards, ends, cuts, infos = self._env.step(sent)
        reward = np.zeros(len(self.adapters), np.float32)
        for i, v in players:
            reward[i] = validate_reward(v.agent_id, rewards.get(v.agent_id, 0.0))
        ended = {name for name in sent if ends.get(name) or cuts.get(name)}
        cut = any(cuts.get(name) and not ends.get(name) for name in ended)
        self._alive_agents = set(self._env.agents) - ended
        over = not self._alive_agents
        return StepResult(
            self._to_observation(obs, infos), reward, over and not cut, over and cut
        )

    def close(self) -> None:
        """Lets go of windows and processes."""
        self._env.close()

    def _to_observation(
        self, obs: Mapping[Any, Any], infos: Mapping[Any, Any]
    ) -> Observation:
        seen = Observation(*(part.copy() for part in self._absent_observation))
        for i, v in enumerate(self.adapters):
            if v.agent_id in self._alive_agents and v.agent_id not in obs:
                raise EnvironmentStepError(f"there is no observation of {v.agent_id}")
            if v.agent_id in self._alive_agents:
                set_agent_observation(
                    seen, i, v, obs[v.agent_id], infos.get(v.agent_id)
                )
            elif v.agent_id in obs:
                # The last that it sees; what it might do is no longer asked.
                seen.obs[i, : v.obs_dim] = v.flatten_obs(obs[v.agent_id])
        return seen


def make_pettingzoo_env(name: str, parameters: Mapping[str, Any]) -> PettingZooEnv:
    """Returns a new copy of `MODULE.parallel_env(**parameters)`.

    Raises:
        BadInput: there is no such module, or it is none of PettingZoo's manner.
    """
    home = import_user_module(name)
    if not callable(getattr(home, "parallel_env", None)):
        raise InvalidInputError(
            f"module {name!r} has no parallel_env; expected one of PettingZoo's "
            "manner, e.g. mpe2.simple_spread_v3"
        )
    return PettingZooEnv(home.parallel_env(**parameters), parameters)
