"""Black-box channels: functions of NumPy arrays, e.g. a simulator or a radio.

They are called between compiled functions, never within one. The received symbols are
validated before they are used for training.
"""

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Key

from syntony import identifiers
from syntony.channels.channel import Channel
from syntony.equations.signal import complex_to_pairs, pairs_to_complex
from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
    summarize_exception,
)
from syntony.plugins import PREFIX, import_user_object, resolve_name

UserFunction = Callable[[Complex[np.ndarray, "B C"]], object]
"""From complex64[B, C] to complex[B, C]; the result is validated."""


class ChannelError(InvalidInputError):
    """Failure of a user's channel, or an invalid signal returned by it."""


# Not a `pytree_dataclass`: a function is no data to JAX, so nothing here is traced.
@jax.tree_util.register_static
@dataclass(frozen=True, kw_only=True, eq=False)
class BlackBoxChannel:
    """A user's function from complex64[B, C] to complex[B, C]."""

    function: UserFunction
    """Samples y given x, with a random generator and noise of its own."""

    snr_db = None
    differentiable = False
    is_black_box = True
    has_unknown_gain = False

    def check(self) -> None:
        """Does nothing: a function is validated when it is called."""

    @property
    def id(self) -> str:
        """`python:MODULE:FUNCTION`, or `python:<NAME>` if it cannot be imported."""
        module = getattr(self.function, "__module__", "")
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        # The module `__main__` is another one when another script runs.
        root = None if module == "__main__" else sys.modules.get(module)
        if resolve_name(root, name) is self.function:
            return f"{PREFIX}{module}:{name}"
        # An object has no name of its own.
        for variable, value in list(getattr(root, "__dict__", {}).items()):
            if value is self.function:
                return f"{PREFIX}{module}:{variable}"
        return f"{PREFIX}<{name.rpartition('.')[2].strip('<>')}>"

    def with_snr(self, snr_db: Float[Array, ""] | float) -> "BlackBoxChannel":
        del snr_db
        return self

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        """The function's value as pairs of reals.

        Raises:
            ChannelError: the function raised an exception, or returned anything but
                finite complex numbers of the shape of x.
        """
        del key  # The function has a random generator of its own.
        sent = pairs_to_complex(x)
        try:
            # A copy, as the function may change it in place, even its shape.
            result = self.function(sent.copy())
            received = np.asarray(result)
        except USER_CODE_EXCEPTIONS as error:
            raise ChannelError(
                f"channel {self.id} raised {summarize_exception(error)}"
            ) from error
        expected = f"expected {_format_shape(sent)}"
        if received.shape != sent.shape or not np.iscomplexobj(received):
            actual = "None" if result is None else _format_shape(received)
            raise ChannelError(f"channel {self.id} returned {actual}; {expected}")
        with np.errstate(over="ignore"):
            symbols = received.astype(np.complex64)
        if num_invalid := np.sum(~np.isfinite(symbols)):
            raise ChannelError(
                f"channel {self.id} returned {_format_shape(received)} with "
                f"{num_invalid} values that are infinite or NaN; {expected}, all finite"
            )
        return jnp.asarray(complex_to_pairs(symbols))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlackBoxChannel) and self.function is other.function

    def __hash__(self) -> int:
        # A callable object may not be hashable.
        return id(self.function)


def load_user_channel(id: str) -> Channel:
    """Imports the channel with the id `python:MODULE:NAME`.

    The name is that of a function of NumPy arrays, of an object that is called like
    one, or of a `Channel` in JAX: an object, or a dataclass with the id's parameters.
    The module is searched on Python's path, then in the current folder.

    Raises:
        InvalidInputError: there is no such module or function, or the module cannot be
            imported.
    """
    if id.startswith(f"{PREFIX}<"):
        raise InvalidInputError(
            f"channel {id!r} is a function that cannot be imported; expected "
            f"{PREFIX}MODULE:FUNCTION, a function at the top level of a module"
        )
    value = import_user_object(id, "function", callable)
    if isinstance(value, type) and dataclasses.is_dataclass(value):
        value = identifiers.make_config(id, value, "channel parameter")
    elif "?" in id:
        raise InvalidInputError(
            f"{id} has parameters; expected the dataclass of a channel, or no `?`"
        )
    if isinstance(value, type):
        raise InvalidInputError(
            f"{id} is a class without fields; expected a function of complex64[B, C]"
        )
    if isinstance(value, Channel):
        return value
    return BlackBoxChannel(function=cast(UserFunction, value))


def _format_shape(signal: np.ndarray) -> str:
    return f"{signal.dtype}{list(signal.shape)}"
