"""Protocol of all tasks, and the capability protocols.

`Task` is what training needs. The others are capabilities that a task may have: what
is drawn and known of it. They are asked for with `isinstance`; no code outside of a
task's own package asks for its class.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key
from typing_extensions import TypeVar

from syntony.tasks.scene import Benchmark, Feature, ObsWindow, Scene

# `Task` alone is one of any state: only a task looks into its states.
EnvStateT = TypeVar("EnvStateT", default=Any)
"""State of a task: a pytree of arrays."""
StateT_contra = TypeVar("StateT_contra", contravariant=True)
"""State of a task that is only read."""


class TimeStep(NamedTuple):
    """Result of an environment step."""

    obs: Float[Array, "N O"]
    """Next observation of each agent; after the last step, the true final one."""
    reward: Float[Array, " N"]
    """Reward of each agent. The team's reward is the sum over agents."""
    terminated: Bool[Array, ""]
    """Whether the episode reached a terminal state, whose value is zero."""
    truncated: Bool[Array, ""]
    """Whether the time limit ended the episode in a state of nonzero value."""


@runtime_checkable
class Task(Protocol[EnvStateT]):
    """A cooperative, partially observable environment (Dec-POMDP): a config, no state.

    `reset` and `step` are pure. A batch of episodes is `jax.vmap` of them. A task may
    be stepped after an episode's end; the results are masked out.
    """

    @property
    def num_agents(self) -> int:
        """Number of agents N."""
        ...

    @property
    def num_actions(self) -> int:
        """Number of discrete actions A of each agent."""
        ...

    @property
    def obs_dim(self) -> int:
        """Length O of an agent's observation."""
        ...

    @property
    def time_limit(self) -> int:
        """Steps T after which an episode is truncated."""
        ...

    @property
    def shared_reward(self) -> bool:
        """Whether each agent receives the whole team's reward.

        The sum over agents then counts it N times, as published returns of some tasks
        do; for such a task the return per agent is reported as well.
        """
        ...

    @property
    def id(self) -> str:
        """The id from which `syntony.task` makes this config."""
        ...

    def reset(self, key: Key[Array, ""]) -> tuple[EnvStateT, Float[Array, "N O"]]:
        """Initial state and observations of an episode.

        Args:
            key: consumed.
        """
        ...

    def action_mask(self, state: EnvStateT) -> Bool[Array, "N A"]:
        """Mask of the available actions of each agent; at least one per agent."""
        ...

    def step(
        self, key: Key[Array, ""], state: EnvStateT, action: Int[Array, " N"]
    ) -> tuple[EnvStateT, TimeStep]:
        """Applies the joint action.

        Args:
            key: consumed.
            state: current state.
            action: index of each agent's action, less than A.
        """
        ...


@runtime_checkable
class Drawable(Protocol[StateT_contra]):
    """Capability of a task whose states can be drawn."""

    def render(self, state: StateT_contra) -> Scene:
        """Scene of one state; called outside of compiled code.

        Args:
            state: state of one episode, with NumPy or JAX arrays.
        """
        ...


@runtime_checkable
class NamesFeatures(Protocol):
    """Capability of a task that names the features of its observations."""

    def feature_names(self, agent: int) -> Sequence[Feature]:
        """Names of the O features of an agent's observation, in order."""
        ...


@runtime_checkable
class DrawsObservations(Protocol):
    """Capability of a task that says how an observation is drawn."""

    def obs_window(self, agent: int) -> ObsWindow:
        """How an agent's observation is drawn."""
        ...


@runtime_checkable
class HasActionCounts(Protocol):
    """Capability of a task whose agents have different numbers of actions."""

    @property
    def action_counts(self) -> Sequence[int]:
        """Number of actions of each agent; the others of A are never available.

        Empty where every agent of these settings has A actions.
        """
        ...


@runtime_checkable
class HasScoreRange(Protocol):
    """Capability of a task whose worst and best return are known."""

    @property
    def score_range(self) -> tuple[float, float] | None:
        """Lowest and highest return of an episode, summed over agents.

        None where these settings of the task have no known range.
        """
        ...


@runtime_checkable
class HasReturnBounds(Protocol):
    """Capability of a task with known returns of agents that transmit to each other."""

    def return_bounds(self, snr_db: float | int, uses: int) -> dict[str, float]:
        """Known returns of an episode, summed over agents, by name.

        They hold for an AWGN channel between any two agents; a value that does not
        depend on the SNR holds for every channel. The names are the same at all SNRs.

        Args:
            snr_db: SNR per complex use, Es/N0.
            uses: complex uses C of each agent in an environment step; the energy of its
                C symbols is C.
        """
        ...


@runtime_checkable
class HasBenchmark(Protocol):
    """Capability of a task of a benchmark for which papers give constants."""

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark, by which presets choose their constants."""
        ...


@runtime_checkable
class HasGlobalState(Protocol[StateT_contra]):
    """Capability of a task with a global state, for central critics and mixers."""

    @property
    def global_state_dim(self) -> int:
        """Length S of the global state; 0 where these settings have none."""
        ...

    def global_state(self, state: StateT_contra) -> Float[Array, " S"]:
        """Global state of the environment, which no agent needs to act.

        Args:
            state: current state.
        """
        ...


@runtime_checkable
class HasAgentEndings(Protocol[StateT_contra]):
    """Capability of a task whose agents can finish before the episode ends."""

    def alive(self, state: StateT_contra) -> Bool[Array, " N"]:
        """Which agents still act. A finished one has no effect and earns nothing.

        Args:
            state: current state.
        """
        ...


def global_state_dim(task: Task) -> int:
    """Length of a task's global state; 0 if it has none."""
    return task.global_state_dim if isinstance(task, HasGlobalState) else 0


def global_state(task: Task[EnvStateT], state: EnvStateT) -> Float[Array, " S"]:
    """Global state of a task; of length 0 if it has none."""
    if isinstance(task, HasGlobalState):
        return cast(HasGlobalState[EnvStateT], task).global_state(state)
    return jnp.zeros(0)


def agents_alive(task: Task[EnvStateT], state: EnvStateT) -> Bool[Array, " N"]:
    """Which agents still act: all, where none can finish before the episode ends."""
    if isinstance(task, HasAgentEndings):
        return cast(HasAgentEndings[EnvStateT], task).alive(state)
    return jnp.ones(task.num_agents, bool)
