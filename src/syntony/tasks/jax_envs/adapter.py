"""Adapters of other JAX libraries: padded arrays with a leading agent axis."""

import inspect
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.errors import unknown_name_error
from syntony.pytrees import PyTree
from syntony.tasks.task import EnvStateT

UNREACHABLE_LIMIT = 2**30
"""Time limit of an environment whose steps are counted outside of it."""


class EnvStep(NamedTuple):
    """Result of an environment step, without the time limit."""

    obs: Float[Array, "N O"]
    reward: Float[Array, " N"]
    ended: Bool[Array, ""]
    """Whether the environment says that the episode is over."""


@runtime_checkable
class AdaptedEnv(Protocol[EnvStateT]):
    """An environment of a JAX library without its automatic reset."""

    @property
    def action_counts(self) -> tuple[int, ...]:
        """Number of actions of each agent."""
        ...

    @property
    def time_limit(self) -> int:
        """Steps after which the environment ends an episode."""
        ...

    @property
    def ends_at_time_limit(self) -> bool:
        """Whether `EnvStep.ended` is also true at the time limit."""
        ...

    @property
    def shared_reward(self) -> bool:
        """Whether each agent receives the whole team's reward."""
        ...

    def reset(self, key: Key[Array, ""]) -> tuple[EnvStateT, Float[Array, "N O"]]:
        """Initial state and observations of an episode."""
        ...

    def action_mask(self, state: EnvStateT) -> Bool[Array, "N A"]:
        """Mask of the available actions."""
        ...

    def alive(self, state: EnvStateT) -> Bool[Array, " N"]:
        """Which agents still act."""
        ...

    def global_state(self, state: EnvStateT) -> Float[Array, " S"]:
        """The state as one vector; empty if the library has none."""
        ...

    def step(
        self, key: Key[Array, ""], state: EnvStateT, action: Int[Array, " N"]
    ) -> tuple[EnvStateT, EnvStep]:
        """Applies the joint action."""
        ...


def accepted_parameters(*objects: object) -> list[str]:
    """Names of the keyword arguments with which objects' classes are constructed."""
    classes = [part for value in objects for part in type(value).__mro__[:-1]]
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    return sorted(
        {
            name
            for part in classes
            for name, parameter in inspect.signature(part).parameters.items()
            if parameter.kind in kinds
        }
    )


def require_known_parameters(given: Collection[str], accepted: Sequence[str]) -> None:
    """Raises `InvalidInputError` if a parameter is not accepted."""
    for name in given:
        if name not in accepted:
            raise unknown_name_error("parameter", name, accepted)


def flatten(observation: PyTree[Array]) -> Float[Array, " size"]:
    """All numbers of an agent's observation as one vector."""
    leaves = [jnp.ravel(jnp.asarray(x)) for x in jax.tree.leaves(observation)]
    return jnp.concatenate([x.astype(jnp.float32) for x in leaves])


def stack_padded(vectors: Iterable[Array]) -> Array:
    """Vectors of several lengths as rows, padded with zeros to the longest."""
    rows = list(vectors)
    longest = max(row.shape[0] for row in rows)
    padding = [jnp.zeros(longest - row.shape[0], row.dtype) for row in rows]
    return jnp.stack([*map(jnp.append, rows, padding)])


def split_reward(
    reward: Float[Array, ""], alive: Bool[Array, " N"]
) -> Float[Array, " N"]:
    """Reward of a team, divided equally among the agents that act."""
    return jnp.where(alive, reward / jnp.maximum(jnp.sum(alive), 1), 0.0)
