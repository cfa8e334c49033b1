"""What lies between agents: the protocol that every task follows."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float, Int, Key


class TimeStep(NamedTuple):
    """What a task answers when all agents have acted once."""

    obs: Float[Array, "N O"]
    """What each agent sees next; after the last step, the true final observation."""
    reward: Float[Array, " N"]
    """What each agent earned. The team's reward is the sum over agents."""
    terminated: Bool[Array, ""]
    """The episode reached an end of its own: nothing can be earned after it."""
    truncated: Bool[Array, ""]
    """The time limit cut the episode: more could have been earned after it."""


@runtime_checkable
class Task(Protocol):
    """A cooperative, partially observed world; a record of settings, no state inside.

    Both methods are pure. A batch of episodes is `jax.vmap` of them. After an
    episode's end a task may be stepped on; what it answers then is masked out.
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
        """Whether each agent is given the whole team's reward.

        The sum over agents then counts it N times, as published returns of some tasks
        do; a return of such a task is reported per agent as well.
        """
        ...

    @property
    def id(self) -> str:
        """The id that `syntony.task` turns back into this record."""
        ...

    def reset(self, key: Key[Array, ""]) -> tuple[Any, Float[Array, "N O"]]:
        """Returns the first state of an episode and what each agent sees of it."""
        ...

    def action_mask(self, state: Any) -> Bool[Array, "N A"]:
        """Returns which actions each agent may choose."""
        ...

    def step(
        self, key: Key[Array, ""], state: Any, action: Int[Array, " N"]
    ) -> tuple[Any, TimeStep]:
        """Moves all agents once."""
        ...
