"""Multi-agent environments of Gymnasium: tuple spaces, one entry for each agent."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

import numpy as np
from jaxtyping import Bool, Int

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.plugins import ImportFn, import_user_module
from syntony.tasks.external.adapter import (
    ACTION_MASK_KEY,
    Observation,
    StepResult,
    absent_observation,
    agent_rewards,
    make_agent_adapter,
    set_agent_observation,
    set_final_observation,
)
from syntony.tasks.external.endings import EpisodeStatus, agent_flags, episode_end
from syntony.tasks.external.env_methods import (
    ActionMaskMethod,
    draw_image,
    find_global_state,
)
from syntony.tasks.external.limits import own_time_limit


class TupleEnv(Protocol):
    """An environment of Gymnasium with one entry for each agent."""

    @property
    def observation_space(self) -> Iterable[object]: ...

    @property
    def action_space(self) -> Iterable[object]: ...

    @property
    def spec(self) -> object: ...

    def reset(self, *, seed: int) -> tuple[Sequence[object], object]: ...

    def step(
        self, action: tuple[int, ...], /
    ) -> tuple[Sequence[object], object, object, object, object]: ...

    def close(self) -> None: ...


class GymnasiumEnv:
    """An environment with tuple spaces, as lbforaging and rware register them.

    Some, also these two, count their steps and report `terminated` at their time limit.
    So a termination in the last step of the environment's own limit counts as a
    truncation. A finished agent takes its first available action.
    """

    def __init__(self, env: object):
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
        unwrapped = getattr(env, "unwrapped", env)
        # What the environment itself was made with, without what its wrappers were.
        kwargs: dict[str, object] = getattr(self._env.spec, "kwargs", {})
        self._own_time_limit = own_time_limit(unwrapped, kwargs)
        of_wrapper: int | None = getattr(self._env.spec, "max_episode_steps", None)
        limits = [x for x in (self._own_time_limit, of_wrapper) if x is not None]
        self.time_limit = min(limits, default=None)
        self._mask_method = ActionMaskMethod(env, self.adapters)
        self._global_state = find_global_state(
            unwrapped, lambda: self._env.reset(seed=0)
        )
        self.global_state_dim = self._global_state.dim
        self._absent_observation = absent_observation(
            self.adapters, self.global_state_dim
        )
        self._status = EpisodeStatus(len(self.adapters))
        self._step_count = 0

    def reset(self, seed: int) -> Observation:
        """Starts an episode whose randomness is determined by `seed`."""
        obs, info = self._env.reset(seed=seed)
        self._step_count = 0
        self._status.reset(np.ones(len(self.adapters), bool))
        return self._to_observation(obs, info, np.zeros(len(self.adapters), bool))

    def step(self, action: Int[np.ndarray, " N"]) -> StepResult:
        """Applies the joint action."""
        acted = self._status.alive
        action = np.where(acted, action, self._idle_action)
        env_action = tuple(
            v.action_start + int(action[i]) for i, v in enumerate(self.adapters)
        )
        obs, rewards, terminated, truncated, info = self._env.step(env_action)
        self._step_count += 1
        reward = agent_rewards(rewards, self.adapters, acted)
        agents = range(len(self.adapters))
        terminated = agent_flags("terminated", terminated, agents)
        truncated = agent_flags("truncated", truncated, agents)
        at_limit = self._step_count == self._own_time_limit
        if at_limit:
            terminated, truncated = np.zeros_like(terminated), terminated | truncated
        endings = self._status.update(
            np.ones_like(acted), terminated, truncated, at_limit=at_limit
        )
        return StepResult(
            self._to_observation(obs, info, endings.ended),
            reward,
            *episode_end(self._status.alive, endings.truncated),
            endings.truncated,
        )

    def render(self) -> object:
        """Image of the present state, as the environment draws it."""
        return draw_image(self._env)

    def close(self) -> None:
        """Closes windows and processes."""
        self._env.close()

    def _to_observation(
        self, obs: Sequence[object], info: object, ended: Bool[np.ndarray, " N"]
    ) -> Observation:
        agents = len(self.adapters)
        if len(obs) != agents:
            raise EnvironmentStepError(
                f"there are {len(obs)} observations; expected {agents}"
            )
        observation = Observation(*(part.copy() for part in self._absent_observation))
        observation.global_state[:] = self._global_state.read()
        self._idle_action = np.zeros(agents, int)
        of_method = self._mask_method.read()
        infos = per_agent_infos(info, agents)
        for i, v in enumerate(self.adapters):
            mask = v.given_mask(obs[i], infos[i]) if obs[i] is not None else None
            mask = of_method[i] if mask is None else mask
            if self._status.alive[i]:
                set_agent_observation(observation, i, v, obs[i], mask)
            elif ended[i]:
                set_final_observation(observation, i, v, obs[i])
            if not self._status.alive[i] and mask is not None:
                self._idle_action[i] = int(np.argmax(np.asarray(mask)))
        return observation


def per_agent_infos(info: object, num_agents: int) -> Sequence[object]:
    """Info of each agent, from a list of them or from one that holds lists.

    Args:
        info: as the environment returned it: a sequence with an info for each agent, or
            a mapping whose action mask is a sequence with one for each agent.
        num_agents: number of agents.

    Raises:
        EnvironmentStepError: there is not one for each agent.
    """
    infos = info
    if isinstance(info, Mapping):
        masks = cast(Mapping[str, object], info).get(ACTION_MASK_KEY)
        if masks is None:
            return [None] * num_agents
        infos = [{ACTION_MASK_KEY: mask} for mask in cast(Sequence[object], masks)]
    by_agent = list(cast(Sequence[object], infos))
    if len(by_agent) != num_agents:
        raise EnvironmentStepError(
            f"there are infos of {len(by_agent)} agents; expected {num_agents}"
        )
    return by_agent


def make_gymnasium_env(
    name: str,
    parameters: Mapping[str, object],
    import_module: ImportFn = import_user_module,
) -> GymnasiumEnv:
    """Opens `gymnasium.make(name, **parameters)`.

    Args:
        name: id of the environment, after the module that registers it.
        parameters: parameters of the environment.
        import_module: imports a module, also one of another process.

    Raises:
        InvalidInputError: there is no such environment, or it is not multi-agent.
    """
    gymnasium = import_module("gymnasium")
    module, _, env_name = name.rpartition(":")
    if module:
        # Not by Gymnasium, for the error message if it is not installed.
        import_module(module)
    # Without a version Gymnasium uses the newest, which is not reproducible.
    if versions := [x for x in gymnasium.registry if x.rpartition("-v")[0] == env_name]:
        raise InvalidInputError(
            f"{env_name} has no version; expected e.g. {versions[-1]}"
        )
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            env = gymnasium.make(name, disable_env_checker=True, **parameters)
    except Exception as error:
        if type(error).__module__ != "gymnasium.error":
            raise
        # The message repeats the warnings, so these are dropped.
        raise InvalidInputError(" ".join(str(error).split())) from error
    for warning in caught:
        warnings.warn(warning.message, stacklevel=1)
    return GymnasiumEnv(env)
