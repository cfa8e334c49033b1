"""Gymnasium's multi-agent manner: tuples, with one entry for each agent."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.plugins import import_user_module
from syntony.tasks.external.adapter import (
    ACTION_MASK_KEY,
    Observation,
    StepResult,
    absent_observation,
    env_time_limit,
    make_agent_adapter,
    set_agent_observation,
    validate_reward,
)


class GymnasiumEnv:
    """One environment whose spaces are tuples, as lbforaging and rware register them.

    Some, these two among them, count their steps themselves and report their limit as
    an end. So an end in the very last step counts as the limit's cut.
    """

    def __init__(self, env: Any, parameters: Mapping[str, Any]):
        spaces = import_user_module("gymnasium.spaces")
        pair = env.observation_space, env.action_space
        if not all(isinstance(space, spaces.Tuple) for space in pair):
            kinds = " and ".join(type(space).__name__ for space in pair)
            raise InvalidInputError(
                f"its observations and actions are {kinds}; expected Tuple and Tuple, "
                "with one entry for each agent"
            )
        pairs = zip(*pair, strict=True)
        self.adapters = [
            make_agent_adapter(f"agent {i}", *both) for i, both in enumerate(pairs)
        ]
        self._internal_time_limit = env_time_limit(env, parameters)
        wrapped = getattr(env.spec, "max_episode_steps", None)
        self.time_limit = self._internal_time_limit if wrapped is None else int(wrapped)
        self._env = env
        self._absent_observation = absent_observation(self.adapters)
        self._step_count = 0

    def reset(self, seed: int) -> Observation:
        """Starts an episode."""
        obs, info = self._env.reset(seed=seed)
        self._step_count = 0
        return self._to_observation(obs, info)

    def step(self, action: Int[np.ndarray, " N"]) -> StepResult:
        """Moves all agents once."""
        sent = tuple(
            v.action_start + int(action[i]) for i, v in enumerate(self.adapters)
        )
        obs, rewards, ended, cut, info = self._env.step(sent)
        self._step_count += 1
        reward = np.array(self._per_agent_rewards(rewards), np.float32)
        ended, cut = bool(np.all(ended)), bool(np.all(cut))
        if ended and self._step_count == self._internal_time_limit:
            ended, cut = False, True
        return StepResult(
            self._to_observation(obs, info), reward, ended, cut and not ended
        )

    def close(self) -> None:
        """Lets go of windows and processes."""
        self._env.close()

    def _per_agent_rewards(self, rewards: Any) -> list[float]:
        agents = len(self.adapters)
        if np.ndim(rewards) == 0:
            # The team's, of which each gets its part: their sum is what counts.
            return [validate_reward("the team", rewards) / agents] * agents
        if len(rewards) != agents:
            raise EnvironmentStepError(
                f"there are {len(rewards)} rewards; expected {agents}"
            )
        return [
            validate_reward(v.agent_id, r)
            for v, r in zip(self.adapters, rewards, strict=True)
        ]

    def _to_observation(self, obs: Any, info: Mapping[str, Any]) -> Observation:
        agents = len(self.adapters)
        if len(obs) != agents:
            raise EnvironmentStepError(
                f"there are {len(obs)} observations; expected {agents}"
            )
        seen = Observation(*(part.copy() for part in self._absent_observation))
        masks = info.get(ACTION_MASK_KEY)
        for i, v in enumerate(self.adapters):
            set_agent_observation(
                seen,
                i,
                v,
                obs[i],
                None if masks is None else {ACTION_MASK_KEY: masks[i]},
            )
        return seen


def make_gymnasium_env(name: str, parameters: Mapping[str, Any]) -> GymnasiumEnv:
    """Returns a new copy of `gymnasium.make(name, **parameters)`.

    Raises:
        BadInput: there is no such environment, or it is not of many agents.
    """
    gymnasium = import_user_module("gymnasium")
    home, _, bare = name.rpartition(":")
    if home:
        # Here, so that one that is missing is said in our words.
        import_user_module(home)
    # Gymnasium would take the newest, another day another one.
    if versions := [x for x in gymnasium.registry if x.rpartition("-v")[0] == bare]:
        raise InvalidInputError(
            f"{bare} is of no version; expected e.g. {versions[-1]}"
        )
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            env = gymnasium.make(name, disable_env_checker=True, **parameters)
    except gymnasium.error.Error as error:
        # It says all that was warned of before.
        raise InvalidInputError(" ".join(str(error).split())) from error
    for warning in said:
        warnings.warn(warning.message, stacklevel=1)
    return GymnasiumEnv(env, parameters)
