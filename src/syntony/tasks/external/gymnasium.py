"""Multi-agent environments of Gymnasium: tuple spaces, one entry for each agent."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

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


class TupleEnv(Protocol):
    """An environment of Gymnasium with one entry for each agent."""

    @property
    def observation_space(self) -> Iterable[object]: ...

    @property
    def action_space(self) -> Iterable[object]: ...

    @property
    def spec(self) -> object: ...

    def reset(self, *, seed: int) -> tuple[Sequence[object], Mapping[str, object]]: ...

    def step(
        self, action: tuple[int, ...], /
    ) -> tuple[
        Sequence[object], ArrayLike, ArrayLike, ArrayLike, Mapping[str, object]
    ]: ...

    def close(self) -> None: ...


class GymnasiumEnv:
    """An environment with tuple spaces, as lbforaging and rware register them.

    Some, also these two, count their steps and report `terminated` at their time limit.
    So a termination in the last step counts as a truncation.
    """

    def __init__(self, env: object, parameters: Mapping[str, object]):
        self._env = cast(TupleEnv, env)
        spaces = import_user_module("gymnasium.spaces")
        pair = self._env.observation_space, self._env.action_space
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
        outer = getattr(self._env.spec, "max_episode_steps", None)
        self.time_limit = self._internal_time_limit if outer is None else int(outer)
        self.global_state_dim = 0
        self._absent_observation = absent_observation(self.adapters)
        self._step_count = 0

    def reset(self, seed: int) -> Observation:
        """Starts an episode whose randomness is determined by `seed`."""
        obs, info = self._env.reset(seed=seed)
        self._step_count = 0
        return self._to_observation(obs, info)

    def step(self, action: Int[np.ndarray, " N"]) -> StepResult:
        """Applies the joint action."""
        env_action = tuple(
            v.action_start + int(action[i]) for i, v in enumerate(self.adapters)
        )
        obs, rewards, terminated, truncated, info = self._env.step(env_action)
        self._step_count += 1
        reward = np.array(self._per_agent_rewards(rewards), np.float32)
        terminated, truncated = bool(np.all(terminated)), bool(np.all(truncated))
        if terminated and self._step_count == self._internal_time_limit:
            terminated, truncated = False, True
        return StepResult(
            self._to_observation(obs, info),
            reward,
            terminated,
            truncated and not terminated,
        )

    def close(self) -> None:
        """Closes windows and processes."""
        self._env.close()

    def _per_agent_rewards(self, rewards: object) -> list[float]:
        agents = len(self.adapters)
        if np.ndim(cast(ArrayLike, rewards)) == 0:
            # A team reward is divided equally, as the sum over agents is used.
            return [validate_reward("the team", rewards) / agents] * agents
        by_agent = cast(Sequence[object], rewards)
        if len(by_agent) != agents:
            raise EnvironmentStepError(
                f"there are {len(by_agent)} rewards; expected {agents}"
            )
        return [
            validate_reward(v.agent_id, r)
            for v, r in zip(self.adapters, by_agent, strict=True)
        ]

    def _to_observation(
        self, obs: Sequence[object], info: Mapping[str, object]
    ) -> Observation:
        agents = len(self.adapters)
        if len(obs) != agents:
            raise EnvironmentStepError(
                f"there are {len(obs)} observations; expected {agents}"
            )
        observation = Observation(*(part.copy() for part in self._absent_observation))
        masks = cast(Sequence[object] | None, info.get(ACTION_MASK_KEY))
        for i, v in enumerate(self.adapters):
            agent_info = None if masks is None else {ACTION_MASK_KEY: masks[i]}
            set_agent_observation(observation, i, v, obs[i], agent_info)
        return observation


def make_gymnasium_env(name: str, parameters: Mapping[str, object]) -> GymnasiumEnv:
    """Opens `gymnasium.make(name, **parameters)`.

    Raises:
        InvalidInputError: there is no such environment, or it is not multi-agent.
    """
    gymnasium = import_user_module("gymnasium")
    module, _, env_name = name.rpartition(":")
    if module:
        # Not by Gymnasium, for the error message if it is not installed.
        import_user_module(module)
    # Without a version Gymnasium uses the newest, which is not reproducible.
    if versions := [x for x in gymnasium.registry if x.rpartition("-v")[0] == env_name]:
        raise InvalidInputError(
            f"{env_name} has no version; expected e.g. {versions[-1]}"
        )
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            env = gymnasium.make(name, disable_env_checker=True, **parameters)
    except gymnasium.error.Error as error:
        # The message repeats the warnings, so these are dropped.
        raise InvalidInputError(" ".join(str(error).split())) from error
    for warning in caught:
        warnings.warn(warning.message, stacklevel=1)
    return GymnasiumEnv(env, parameters)
