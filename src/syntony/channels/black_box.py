"""A channel that is any function of NumPy arrays: a simulator, a process, a radio.

Nothing is known of it but what it answers. It is called between compiled pieces, never
within one, and what comes back is looked at before anybody learns from it.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from syntony.equations.signal import complex_to_pairs, pairs_to_complex
from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
    summarize_exception,
    unknown_name_error,
)
from syntony.plugins import import_module

USER_PREFIX = "python:"


class ChannelError(InvalidInputError):
    """A channel of the user's own failed, or returned what is no signal."""


# No `record`: a function is not data to JAX, so that nothing in here can be traced.
@jax.tree_util.register_static
@dataclass(frozen=True, kw_only=True, eq=False)
class BlackBoxChannel:
    """Calls a function that turns complex64[B, C] into complex[B, C]."""

    function: Callable[[np.ndarray], Any]
    """Draws y for x; its chance, and its noise, are its own business."""

    snr_db = None
    differentiable = False
    is_black_box = True
    has_unknown_gain = False

    def check(self) -> None:
        """Does nothing: what a function does shows when it is called."""

    @property
    def id(self) -> str:
        """`python:MODULE:FUNCTION`, or `python:<NAME>` if it cannot be imported."""
        module = getattr(self.function, "__module__", "")
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        # What a script defines is in another place when something else is the script.
        known = module != "__main__" and _resolve_name(sys.modules.get(module), name)
        if known is self.function:
            return f"{USER_PREFIX}{module}:{name}"
        return f"{USER_PREFIX}<{name.rpartition('.')[2].strip('<>')}>"

    def with_snr(self, snr_db: Float[Array, ""] | float) -> "BlackBoxChannel":
        del snr_db
        return self

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        """Returns the function's answer.

        Raises:
            ChannelFault: it raised, or returned no finite complex numbers of x's shape.
        """
        del key  # It has its own chance.
        sent = pairs_to_complex(x)
        try:
            # A copy of its own: it may change that in place, even its shape.
            answer = self.function(sent.copy())
            got = np.asarray(answer)
        except USER_CODE_EXCEPTIONS as error:
            raise ChannelError(
                f"channel {self.id} raised {summarize_exception(error)}"
            ) from error
        expected = f"expected {_format_shape(sent)}"
        if got.shape != sent.shape or not np.iscomplexobj(got):
            said = "None" if answer is None else _format_shape(got)
            raise ChannelError(f"channel {self.id} returned {said}; {expected}")
        with np.errstate(over="ignore"):
            received = got.astype(np.complex64)
        if broken := np.sum(~np.isfinite(received)):
            raise ChannelError(
                f"channel {self.id} returned {_format_shape(got)} with {broken} values that "
                f"are infinite or no number; {expected}, all finite"
            )
        return jnp.asarray(complex_to_pairs(received))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlackBoxChannel) and self.function is other.function

    def __hash__(self) -> int:
        # A function may be an object that has no hash of its own.
        return id(self.function)


def load_black_box(id: str) -> BlackBoxChannel:
    """Returns the channel that `python:MODULE:FUNCTION` names.

    A module is looked for where Python finds its modules, then in the current folder.

    Raises:
        BadInput: there is no such module or function, or the module cannot be imported.
    """
    module_name, _, name = id.removeprefix(USER_PREFIX).partition(":")
    if module_name.startswith("<"):
        raise InvalidInputError(
            f"channel {id!r} was a function that no name leads to; expected "
            f"{USER_PREFIX}MODULE:FUNCTION, of a function at the top of a module's file"
        )
    if not module_name or not name:
        raise InvalidInputError(
            f"channel {id!r} is incomplete; expected {USER_PREFIX}MODULE:FUNCTION"
        )
    module = _import_channel_module(module_name)
    function = _resolve_name(module, name)
    if function is None:
        valid = [n for n, value in vars(module).items() if callable(value)]
        raise unknown_name_error(
            f"function of {module_name}", name, valid or ["(it has none)"]
        )
    if not callable(function):
        raise InvalidInputError(
            f"{id} is {type(function).__name__}; expected a function of complex64[B, C]"
        )
    return BlackBoxChannel(function=function)


def _import_channel_module(name: str) -> Any:
    try:
        return import_module(name)
    except USER_CODE_EXCEPTIONS as error:
        raise InvalidInputError(
            f"module {name!r} cannot be imported: {summarize_exception(error)}; expected a module "
            f"that Python finds, e.g. {name.partition('.')[0]}.py in the current folder"
        ) from error


def _resolve_name(root: Any, name: str) -> Any:
    """Returns what a dotted name leads to, or None."""
    for part in name.split("."):
        root = getattr(root, part, None)
    return root


def _format_shape(signal: np.ndarray) -> str:
    return f"{signal.dtype}{list(signal.shape)}"
