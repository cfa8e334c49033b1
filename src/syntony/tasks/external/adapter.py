"""What networks understand of other libraries' spaces: flat numbers, whole choices."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from syntony.errors import EnvironmentStepError, InvalidInputError, summarize_exception
from syntony.plugins import import_user_module

ACTION_MASK_KEY = "action_mask"
"""Under this name an environment says which actions an agent may choose."""
TIME_LIMIT_ATTRIBUTES = (
    *("max_cycles", "max_episode_steps", "_max_episode_steps", "max_steps"),
    *("_max_steps", "max_num_steps", "episode_limit", "time_limit"),
)
"""Under these names environments keep the steps after which they end an episode."""


class Observation(NamedTuple):
    """What all agents see, what each may do, and which of them still play."""

    obs: Float[np.ndarray, "N O"]
    action_mask: Bool[np.ndarray, "N A"]
    alive: Bool[np.ndarray, " N"]


class StepResult(NamedTuple):
    """What an environment answers when all agents have acted once."""

    observation: Observation
    reward: Float[np.ndarray, " N"]
    terminated: bool
    truncated: bool


@runtime_checkable
class MultiAgentEnv(Protocol):
    """One environment, opened; it plays one episode after the other."""

    @property
    def adapters(self) -> "Sequence[AgentAdapter]":
        """How each agent sees it."""
        ...

    @property
    def time_limit(self) -> int | None:
        """Steps of an episode, if it says so."""
        ...

    def reset(self, seed: int) -> Observation:
        """Starts an episode, all of whose chance follows from `seed`."""
        ...

    def step(self, action: Int[np.ndarray, " N"]) -> StepResult:
        """Moves all agents once."""
        ...

    def close(self) -> None:
        """Lets go of windows and processes."""
        ...


class AgentAdapter(NamedTuple):
    """How one agent sees its environment, and acts in it."""

    agent_id: Any
    flatten_fn: Callable[[Any], Any]
    """Turns an observation, without its mask, into numbers in a row."""
    obs_dim: int
    """Numbers in a flat observation."""
    num_actions: int
    action_start: int
    """What the environment calls the first action."""
    has_action_mask: bool
    """Whether observations are dictionaries with a mask in them."""

    def flatten_obs(self, obs: Any) -> Float[np.ndarray, " obs_dim"]:
        """Returns an observation as numbers in a row.

        Raises:
            HostFault: it is none of its space, or some number is not finite.
        """
        if self.has_action_mask:
            obs = {name: part for name, part in obs.items() if name != ACTION_MASK_KEY}
        # What float32 cannot hold becomes infinite, and is refused for that.
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

    def action_mask(
        self, obs: Any, info: Any
    ) -> Bool[np.ndarray, " num_actions"] | bool:
        """Returns which actions it may choose: all (true), unless there is a mask.

        Raises:
            HostFault: the mask is none, or allows nothing.
        """
        found = obs[ACTION_MASK_KEY] if self.has_action_mask else None
        if isinstance(info, Mapping) and ACTION_MASK_KEY in info:
            found = info[ACTION_MASK_KEY]
        if found is None:
            return True
        mask = np.asarray(found).astype(bool)
        if mask.shape != (self.num_actions,) or not mask.any():
            raise EnvironmentStepError(
                f"{ACTION_MASK_KEY} of {self.agent_id} is {np.asarray(found).tolist()}; "
                f"expected {self.num_actions} values, not all 0"
            )
        return mask


def make_agent_adapter(
    agent_id: Any, observation_space: Any, action_space: Any
) -> AgentAdapter:
    """Returns how an agent of these spaces sees and acts.

    Raises:
        BadInput: observations cannot be made flat, or actions are not choices.
    """
    spaces = import_user_module("gymnasium.spaces")
    masked = (
        isinstance(observation_space, spaces.Dict)
        and ACTION_MASK_KEY in observation_space.spaces
    )
    if masked:
        rest = {
            n: part
            for n, part in observation_space.spaces.items()
            if n != ACTION_MASK_KEY
        }
        observation_space = spaces.Dict(rest)
    if not isinstance(action_space, spaces.Discrete):
        kind = type(action_space).__name__
        raise InvalidInputError(f"actions of {agent_id} are {kind}; expected Discrete")
    try:
        size = int(spaces.flatdim(observation_space))
    except (ValueError, NotImplementedError) as error:
        raise InvalidInputError(
            f"observations of {agent_id}: {summarize_exception(error)}"
        ) from error
    # The general way is slow: what is an array already takes a short one.
    plain = isinstance(observation_space, spaces.Box)
    flatten = np.ravel if plain else partial(spaces.flatten, observation_space)
    return AgentAdapter(
        agent_id, flatten, size, int(action_space.n), int(action_space.start), masked
    )


def max_sizes(adapters: Sequence[AgentAdapter]) -> tuple[int, int]:
    """Returns the longest observation of all agents, and the most actions."""
    return max(v.obs_dim for v in adapters), max(v.num_actions for v in adapters)


def absent_observation(adapters: Sequence[AgentAdapter]) -> Observation:
    """Returns what agents see that are not there: zeros; they may do the first."""
    size, actions = max_sizes(adapters)
    available = np.zeros((len(adapters), actions), bool)
    available[:, 0] = True
    blank = np.zeros((len(adapters), size), np.float32)
    return Observation(blank, available, np.zeros(len(adapters), bool))


def set_agent_observation(
    observation: Observation, agent: int, adapter: AgentAdapter, obs: Any, info: Any
) -> None:
    """Writes down what an agent who plays sees and may do; behind that stay zeros."""
    observation.alive[agent] = True
    observation.obs[agent, : adapter.obs_dim] = adapter.flatten_obs(obs)
    observation.action_mask[agent, : adapter.num_actions] = adapter.action_mask(
        obs, info
    )


def validate_reward(name: Any, reward: Any) -> float:
    """Returns a reward as a number.

    Raises:
        HostFault: it is none, or not finite in float32.
    """
    try:
        number = float(reward)
    except (TypeError, ValueError):
        number = float("nan")
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.float32(number))
    if not finite:
        raise EnvironmentStepError(
            f"reward of {name} is {reward!r}; expected a finite number in float32"
        )
    return number


def env_time_limit(env: Any, parameters: Mapping[str, Any]) -> int | None:
    """Returns the steps after which an environment ends an episode, if it says so."""
    inner = getattr(env, "unwrapped", env)
    for name in TIME_LIMIT_ATTRIBUTES:
        found = parameters.get(name, getattr(inner, name, None))
        if isinstance(found, int | np.integer) and found > 0:
            return int(found)
    return None
