"""Adapters of other libraries' spaces: flat observations and discrete actions."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import (
    NamedTuple,
    Protocol,
    SupportsFloat,
    SupportsInt,
    cast,
    runtime_checkable,
)

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from syntony.errors import EnvironmentStepError, InvalidInputError, summarize_exception
from syntony.plugins import import_user_module

ACTION_MASK_KEY = "action_mask"
"""Key of an agent's action mask, in its observation or its info."""
MAX_IMAGE_SIZE = 10_000
"""Numbers of the largest image that is flattened; larger ones are refused."""


class Observation(NamedTuple):
    """Observations and action masks of all agents, and which of them are alive."""

    obs: Float[np.ndarray, "N O"]
    action_mask: Bool[np.ndarray, "N A"]
    alive: Bool[np.ndarray, " N"]
    global_state: Float[np.ndarray, " S"]
    """State of the environment; S = 0 where it gives none."""


class StepResult(NamedTuple):
    """Result of an environment step."""

    observation: Observation
    reward: Float[np.ndarray, " N"]
    terminated: bool
    truncated: bool
    agent_truncated: Bool[np.ndarray, " N"] | None = None
    """Which agents were truncated in this step; None: all, where the episode was."""


@runtime_checkable
class MultiAgentEnv(Protocol):
    """An open environment that runs one episode at a time."""

    @property
    def adapters(self) -> "Sequence[AgentAdapter]":
        """One adapter for each agent."""
        ...

    @property
    def time_limit(self) -> int | None:
        """Steps of an episode; None if unknown."""
        ...

    @property
    def global_state_dim(self) -> int:
        """Length S of the global state; 0 where it gives none."""
        ...

    def reset(self, seed: int) -> Observation:
        """Starts an episode whose randomness is determined by `seed`."""
        ...

    def step(self, action: Int[np.ndarray, " N"]) -> StepResult:
        """Applies the joint action."""
        ...

    def render(self) -> object:
        """Image of the present state, as the environment draws it."""
        ...

    def close(self) -> None:
        """Closes windows and processes."""
        ...


class AgentAdapter(NamedTuple):
    """Conversion of an agent's observations and actions."""

    agent_id: Hashable
    flatten_fn: Callable[..., object]
    """Flattens an observation without its mask to a vector."""
    obs_dim: int
    """Length of a flat observation."""
    num_actions: int
    action_start: int
    """The environment's index of the first action."""
    has_action_mask: bool
    """Whether observations are dictionaries that contain an action mask."""

    def flatten_obs(self, obs: object) -> Float[np.ndarray, " obs_dim"]:
        """Observation as a vector, without its action mask.

        Raises:
            EnvironmentStepError: its length is wrong, or a number is not finite.
        """
        if self.has_action_mask:
            parts = cast(Mapping[str, object], obs)
            obs = {n: part for n, part in parts.items() if n != ACTION_MASK_KEY}
        # Numbers beyond the range of float32 become infinite, and are rejected.
        with np.errstate(over="ignore"):
            numbers = np.asarray(self.flatten_fn(obs), np.float32)
        if numbers.shape != (self.obs_dim,):
            raise EnvironmentStepError(
                f"observation of {self.agent_id} holds {numbers.size} numbers; "
                f"expected {self.obs_dim}"
            )
        if not np.isfinite(numbers).all():
            raise EnvironmentStepError(
                f"observation of {self.agent_id} holds numbers that are not finite in "
                "float32"
            )
        return numbers

    def given_mask(self, obs: object, info: object) -> object:
        """Action mask as it is in the info or the observation; None without one."""
        if isinstance(info, Mapping) and ACTION_MASK_KEY in info:
            return cast(Mapping[str, object], info)[ACTION_MASK_KEY]
        if self.has_action_mask:
            return cast(Mapping[str, object], obs)[ACTION_MASK_KEY]
        return None

    def action_mask(self, given: object) -> Bool[np.ndarray, " num_actions"]:
        """Mask of available actions; all are, if none is given.

        Raises:
            EnvironmentStepError: the mask has the wrong shape, holds other numbers than
                0 and 1, or no action is available.
        """
        if given is None:
            return np.ones(self.num_actions, bool)
        values = np.asarray(given)
        mask = values.astype(bool)
        is_binary = mask.shape == (self.num_actions,) and (values == mask).all()
        if not (is_binary and mask.any()):
            raise EnvironmentStepError(
                f"{ACTION_MASK_KEY} of {self.agent_id} is {values.tolist()}; expected "
                f"{self.num_actions} values, 0 or 1, not all 0"
            )
        return mask


class DictSpace(Protocol):
    """Gymnasium's space of dictionaries."""

    @property
    def spaces(self) -> Mapping[str, object]: ...


class DiscreteSpace(Protocol):
    """Gymnasium's space of n integers from `start` on."""

    @property
    def n(self) -> SupportsInt: ...

    @property
    def start(self) -> SupportsInt: ...


def make_agent_adapter(
    agent_id: Hashable, observation_space: object, action_space: object
) -> AgentAdapter:
    """Adapter for an agent with these Gymnasium spaces.

    Raises:
        InvalidInputError: observations cannot be flattened, or actions are not
            discrete.
    """
    spaces = import_user_module("gymnasium.spaces")
    parts: dict[str, object] = {}
    if isinstance(observation_space, spaces.Dict):
        parts.update(cast(DictSpace, observation_space).spaces)
    has_action_mask = ACTION_MASK_KEY in parts
    if has_action_mask:
        del parts[ACTION_MASK_KEY]
        observation_space = spaces.Dict(parts)
    if not isinstance(action_space, spaces.Discrete):
        space = type(action_space).__name__
        raise InvalidInputError(f"actions of {agent_id} are {space}; expected Discrete")
    actions = cast(DiscreteSpace, action_space)
    try:
        obs_dim = int(spaces.flatdim(observation_space))
    except (ValueError, NotImplementedError) as error:
        raise InvalidInputError(
            f"observations of {agent_id}: {summarize_exception(error)}"
        ) from error
    _refuse_images(agent_id, observation_space)
    # `spaces.flatten` is slow, and a Box is an array already.
    is_array = isinstance(observation_space, spaces.Box)
    flatten = np.ravel if is_array else partial(spaces.flatten, observation_space)
    return AgentAdapter(
        agent_id=agent_id,
        flatten_fn=flatten,
        obs_dim=obs_dim,
        num_actions=int(actions.n),
        action_start=int(actions.start),
        has_action_mask=has_action_mask,
    )


def _refuse_images(agent_id: Hashable, space: object) -> None:
    """Refuses a space that is or contains a large image."""
    parts = getattr(space, "spaces", ())
    by_name = cast(Mapping[str, object], parts)
    for part in by_name.values() if isinstance(parts, Mapping) else parts:
        _refuse_images(agent_id, part)
    shape = cast(tuple[int, ...], getattr(space, "shape", None) or ())
    is_image = len(shape) > 2 or (
        len(shape) == 2 and getattr(space, "dtype", None) == np.uint8
    )
    if is_image and (size := int(np.prod(shape))) > MAX_IMAGE_SIZE:
        sides = " x ".join(map(str, shape))
        raise InvalidInputError(
            f"observations of {agent_id} are images of {sides}: {size:,} features; "
            "there is no convolution here; expected vectors, or images of at most "
            f"{MAX_IMAGE_SIZE:,} numbers"
        )


def max_sizes(adapters: Sequence[AgentAdapter]) -> tuple[int, int]:
    """Largest observation length and largest number of actions of all agents."""
    return max(v.obs_dim for v in adapters), max(v.num_actions for v in adapters)


def absent_observation(
    adapters: Sequence[AgentAdapter], global_state_dim: int = 0
) -> Observation:
    """Observation of finished agents: zeros, with only the first action available."""
    obs_dim, num_actions = max_sizes(adapters)
    action_mask = np.zeros((len(adapters), num_actions), bool)
    action_mask[:, 0] = True
    obs = np.zeros((len(adapters), obs_dim), np.float32)
    global_state = np.zeros(global_state_dim, np.float32)
    return Observation(obs, action_mask, np.zeros(len(adapters), bool), global_state)


def set_agent_observation(
    observation: Observation,
    agent: int,
    adapter: AgentAdapter,
    obs: object,
    given_mask: object,
) -> None:
    """Sets the observation and action mask of a living agent; the padding stays zero.

    Args:
        observation: of all agents; changed in place.
        agent: index of the agent.
        adapter: adapter of the agent.
        obs: its observation in the environment's space.
        given_mask: its action mask as the environment gives it.

    Raises:
        EnvironmentStepError: the observation is missing or not valid, or the mask is
            not.
    """
    if obs is None:
        raise EnvironmentStepError(f"there is no observation of {adapter.agent_id}")
    observation.alive[agent] = True
    observation.obs[agent, : adapter.obs_dim] = adapter.flatten_obs(obs)
    observation.action_mask[agent, : adapter.num_actions] = adapter.action_mask(
        given_mask
    )


def set_final_observation(
    observation: Observation, agent: int, adapter: AgentAdapter, obs: object
) -> None:
    """Sets the observation of an agent that has just ended; zeros without one.

    Args:
        observation: of all agents; changed in place.
        agent: index of the agent.
        adapter: adapter of the agent.
        obs: its last observation; None and NaN stand for none.
    """
    if obs is None or _is_nan(obs):
        return
    observation.obs[agent, : adapter.obs_dim] = adapter.flatten_obs(obs)


def _is_nan(obs: object) -> bool:
    """Whether an observation is NaN, or an array of nothing else."""
    if not isinstance(obs, float | np.ndarray):
        return False
    numbers = np.asarray(cast(ArrayLike, obs))
    return numbers.dtype.kind == "f" and bool(np.isnan(numbers).all())


def agent_rewards(
    rewards: object, adapters: Sequence[AgentAdapter], acted: Bool[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """Rewards of the agents that acted; the others earn nothing.

    Args:
        rewards: a mapping by agent, a sequence, or one number for the team. The latter
            is divided equally, as the sum over agents is used.
        adapters: adapters of the agents.
        acted: agents that acted in the step.

    Raises:
        EnvironmentStepError: a reward is not a finite number, or a sequence has not one
            for each agent.
    """
    result = np.zeros(len(adapters), np.float32)
    if isinstance(rewards, Mapping):
        by_agent = cast(Mapping[Hashable, object], rewards)
        of_agents = [by_agent.get(v.agent_id, 0.0) for v in adapters]
    elif np.ndim(cast(ArrayLike, rewards)) == 0:
        result[acted] = validate_reward("the team", rewards) / max(acted.sum(), 1)
        return result
    else:
        of_agents = list(cast(Sequence[object], rewards))
    if len(of_agents) != len(adapters):
        raise EnvironmentStepError(
            f"there are {len(of_agents)} rewards; expected {len(adapters)}"
        )
    for i in map(int, np.flatnonzero(acted)):
        result[i] = validate_reward(adapters[i].agent_id, of_agents[i])
    return result


def validate_reward(name: object, reward: object) -> float:
    """Reward as a float.

    Raises:
        EnvironmentStepError: it is not a number, or not finite in float32.
    """
    try:
        number = float(cast(SupportsFloat, reward))
    except (TypeError, ValueError):
        number = float("nan")
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.float32(number))
    if not finite:
        raise EnvironmentStepError(
            f"reward of {name} is {reward!r}; expected a finite number in float32"
        )
    return number
