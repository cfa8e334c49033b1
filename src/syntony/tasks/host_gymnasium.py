"""Gymnasium's multi-agent manner: tuples, with one entry for each agent."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from syntony.errors import BadInput, HostFault
from syntony.modules import module
from syntony.tasks.host_views import (
    MASK,
    Answer,
    Seen,
    earned,
    limit_of,
    unseen,
    view,
    write,
)


class Gymnasium:
    """One environment whose spaces are tuples, as lbforaging and rware register them.

    Some, these two among them, count their steps themselves and report their limit as
    an end. So an end in the very last step counts as the limit's cut.
    """

    def __init__(self, env: Any, parameters: Mapping[str, Any]):
        spaces = module("gymnasium.spaces")
        pair = env.observation_space, env.action_space
        if not all(isinstance(space, spaces.Tuple) for space in pair):
            kinds = " and ".join(type(space).__name__ for space in pair)
            raise BadInput(
                f"its observations and actions are {kinds}; expected Tuple and Tuple, "
                "with one entry for each agent"
            )
        pairs = zip(*pair, strict=True)
        self.views = [view(f"agent {i}", *both) for i, both in enumerate(pairs)]
        self._own_limit = limit_of(env, parameters)
        wrapped = getattr(env.spec, "max_episode_steps", None)
        self.time_limit = self._own_limit if wrapped is None else int(wrapped)
        self._env = env
        self._unseen = unseen(self.views)
        self._time = 0

    def reset(self, seed: int) -> Seen:
        """Starts an episode."""
        obs, info = self._env.reset(seed=seed)
        self._time = 0
        return self._seen(obs, info)

    def step(self, action: Int[np.ndarray, " N"]) -> Answer:
        """Moves all agents once."""
        sent = tuple(v.first + int(action[i]) for i, v in enumerate(self.views))
        obs, rewards, ended, cut, info = self._env.step(sent)
        self._time += 1
        reward = np.array(self._rewards(rewards), np.float32)
        ended, cut = bool(np.all(ended)), bool(np.all(cut))
        if ended and self._time == self._own_limit:
            ended, cut = False, True
        return Answer(self._seen(obs, info), reward, ended, cut and not ended)

    def close(self) -> None:
        """Lets go of windows and processes."""
        self._env.close()

    def _rewards(self, rewards: Any) -> list[float]:
        agents = len(self.views)
        if np.ndim(rewards) == 0:
            # The team's, of which each gets its part: their sum is what counts.
            return [earned("the team", rewards) / agents] * agents
        if len(rewards) != agents:
            raise HostFault(f"there are {len(rewards)} rewards; expected {agents}")
        return [earned(v.name, r) for v, r in zip(self.views, rewards, strict=True)]

    def _seen(self, obs: Any, info: Mapping[str, Any]) -> Seen:
        agents = len(self.views)
        if len(obs) != agents:
            raise HostFault(f"there are {len(obs)} observations; expected {agents}")
        seen = Seen(*(part.copy() for part in self._unseen))
        masks = info.get(MASK)
        for i, v in enumerate(self.views):
            write(seen, i, v, obs[i], None if masks is None else {MASK: masks[i]})
        return seen


def open_gymnasium(name: str, parameters: Mapping[str, Any]) -> Gymnasium:
    """Returns a new copy of `gymnasium.make(name, **parameters)`.

    Raises:
        BadInput: there is no such environment, or it is not of many agents.
    """
    gymnasium = module("gymnasium")
    home, _, bare = name.rpartition(":")
    if home:
        # Here, so that one that is missing is said in our words.
        module(home)
    # Gymnasium would take the newest, another day another one.
    if versions := [x for x in gymnasium.registry if x.rpartition("-v")[0] == bare]:
        raise BadInput(f"{bare} is of no version; expected e.g. {versions[-1]}")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            env = gymnasium.make(name, disable_env_checker=True, **parameters)
    except gymnasium.error.Error as error:
        # It says all that was warned of before.
        raise BadInput(" ".join(str(error).split())) from error
    for warning in said:
        warnings.warn(warning.message, stacklevel=1)
    return Gymnasium(env, parameters)
