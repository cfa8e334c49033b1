"""Type of pytrees: arrays in nested tuples, dictionaries, modules and dataclasses."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    from typing_extensions import TypeVar

    LeafT = TypeVar("LeafT", covariant=True, default=object)

    # Type checkers know jaxtyping's own as a type without a declaration, so that a
    # strict check of a user's code rejects every function with a pytree.
    class PyTree(Protocol[LeafT]):
        """Any value; its leaves are of the type in brackets."""
else:
    from jaxtyping import PyTree as PyTree
