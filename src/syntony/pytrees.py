"""Type of pytrees: arrays in nested tuples, dictionaries, modules and dataclasses."""

from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

if TYPE_CHECKING:
    from typing import Protocol

    LeafT = TypeVar("LeafT", covariant=True, default=object)

    # Type checkers know jaxtyping's own as a type without a declaration, so that a
    # strict check of a user's code rejects every function with a pytree.
    class PyTree(Protocol[LeafT]):
        """Any value; its leaves are of the type in brackets."""
else:
    from jaxtyping import PyTree as PyTree

# `Policy` or `Actor` alone is one of any hidden state, of which only its author knows;
# so is `ChannelWithMemory`.
HiddenT = TypeVar("HiddenT", default=Any)
"""Hidden state of an actor, a policy or a channel: a pytree of arrays."""
