"""The protocol of tasks."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float, Int, Key


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
class Task(Protocol):
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

    def reset(self, key: Key[Array, ""]) -> tuple[Any, Float[Array, "N O"]]:
        """Initial state and observations of an episode.

        Args:
            key: consumed.
        """
        ...

    def action_mask(self, state: Any) -> Bool[Array, "N A"]:
        """Mask of the available actions of each agent; at least one per agent."""
        ...

    def step(
        self, key: Key[Array, ""], state: Any, action: Int[Array, " N"]
    ) -> tuple[Any, TimeStep]:
        """Applies the joint action.

        Args:
            key: consumed.
            state: current state.
            action: index of each agent's action, less than A.
        """
        ...
