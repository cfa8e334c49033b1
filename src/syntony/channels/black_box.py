"""Black-box channels: functions of NumPy arrays, e.g. a simulator or a radio.

They are called between compiled functions, never within one. The received symbols are
validated before they are used for training.
"""

import dataclasses
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from threading import Lock
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Key

from syntony import identifiers
from syntony.channels.awgn import AWGN
from syntony.channels.channel import SNR_LIMITS, AnyChannel, Channel
from syntony.channels.user_arguments import (
    Argument,
    Signature,
    check_arguments,
    format_arguments,
    parse_arguments,
    signature_of,
)
from syntony.equations.signal import complex_to_pairs, pairs_to_complex
from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
    raising_invalid_input,
    summarize_exception,
)
from syntony.plugins import PREFIX, import_user_object, resolve_name

UserFunction = Callable[..., object]
"""From complex64[B, C] and keyword arguments to complex[B, D], which is validated."""
SNR, OUTPUT_USES = "snr_db", "output_uses"
"""Arguments of a user's function that have a meaning for the link."""
MAX_LENGTH = 120
"""Most characters of a description of a value that is no signal."""


class ChannelError(InvalidInputError):
    """Failure of a user's channel, or an invalid signal returned by it."""


# Not a `pytree_dataclass`: a function is no data to JAX, so nothing here is traced.
@jax.tree_util.register_static
@dataclass(frozen=True, kw_only=True, eq=False)
class BlackBoxChannel:
    """A user's function from complex64[B, C] to complex[B, D].

    What is known of it, it says itself: its SNR is that of its argument `snr_db`, D is
    its attribute or argument `output_uses`, a number or a function of C, and an
    attribute `awgn` that is True states y = x + n with white Gaussian noise.

    Calls never overlap, also not those of several seeds.
    """

    function: UserFunction
    """Samples y given x, with a random generator and noise of its own; a function, an
    object that is called like one, or the class of such objects."""
    arguments: Mapping[str, Argument] = dataclasses.field(
        default_factory=dict[str, Argument]
    )
    """Keyword arguments of every call; of a class, those of its construction."""
    name: str = ""
    """`MODULE:NAME` by which it is imported; by default searched in its module."""

    differentiable = False
    is_black_box = True
    has_unknown_gain = False

    def __post_init__(self):
        object.__setattr__(self, "name", self.name or find_name(self.function))
        self.check()

    def check(self) -> None:
        """Raises InvalidInputError for an argument that is missing or no SNR.

        The object of a class is made here.
        """
        check_arguments(f"{PREFIX}{self._label}", self.signature, self.arguments)
        if self.snr_db is not None and self.snr_db not in SNR_LIMITS:
            raise InvalidInputError(
                f"{SNR} is {self.snr_db} in {self.id}; expected {SNR_LIMITS}"
            )
        _ = self.sample

    @cached_property
    def signature(self) -> Signature:
        """Its keyword arguments."""
        return signature_of(self.function)

    @cached_property
    def sample(self) -> UserFunction:
        """The function, with its arguments; or the object, of a class."""
        accepted = {
            name: value
            for name, value in self.arguments.items()
            if name in self.signature.defaults or self.signature.accepts_others
        }
        if not isinstance(self.function, type):
            return partial(self.function, **accepted)
        with raising_invalid_input(f"channel {self.id} cannot be constructed:"):
            return cast(UserFunction, self.function(**accepted))

    @property
    def id(self) -> str:
        """`python:MODULE:NAME?argument=value`, or `python:<NAME>` without a name."""
        return f"{PREFIX}{self._label}{format_arguments(self.arguments)}"

    @property
    def _label(self) -> str:
        if self.name:
            return self.name
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        return f"<{name.rpartition('.')[2].strip('<>')}>"

    @property
    def snr_db(self) -> float | None:
        """Value of the argument `snr_db`, in dB; None if it has no such number."""
        value = self._argument(SNR)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value)

    def with_snr(self, snr_db: Float[Array, ""] | float) -> "BlackBoxChannel":
        """The same channel with another value of its argument `snr_db`.

        The channel of an SNR is the same one in every call: the object of a class keeps
        its state.
        """
        if self.snr_db is None or self.snr_db == float(snr_db):
            return self
        other = {**self.arguments, SNR: float(snr_db)}
        if other[SNR] not in self._at_other_snr:
            self._at_other_snr[other[SNR]] = dataclasses.replace(self, arguments=other)
        return self._at_other_snr[other[SNR]]

    @cached_property
    def _at_other_snr(self) -> "dict[Argument, BlackBoxChannel]":
        return {}

    def output_uses(self, uses: int) -> int:
        """Complex symbols D of a received block; C, where it declares nothing.

        Raises:
            InvalidInputError: the declared number is no whole number from 1.
        """
        declared = self._argument(OUTPUT_USES)
        if declared is None:
            declared = self._attribute(OUTPUT_USES)
        if callable(declared):
            with raising_invalid_input(f"{OUTPUT_USES} of channel {self.id} raised"):
                declared = declared(uses)
        if declared is None:
            return uses
        if type(declared) is int and declared >= 1:
            return declared
        raise InvalidInputError(
            f"{OUTPUT_USES} of channel {self.id} is {declared!r}; expected the number "
            "of symbols of a received block, or a function of that of x"
        )

    def bler_bounds(self, messages: int, uses: int) -> dict[str, float]:
        """Bounds of AWGN of its SNR, where it declares `awgn`; else none."""
        is_awgn = self._attribute("awgn") is True and self.output_uses(uses) == uses
        if self.snr_db is None or not is_awgn:
            return {}
        return AWGN(snr_db=self.snr_db).bler_bounds(messages, uses)

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B D 2"]:
        """The function's value as pairs of reals.

        Raises:
            ChannelError: the function raised an exception, or returned anything but
                finite complex numbers of the shape that was expected.
        """
        del key  # The function has a random generator of its own.
        sent = pairs_to_complex(x)
        blocks, uses = sent.shape
        shape = [blocks, self.output_uses(uses)]
        expected = f"expected complex64{shape}"
        received = self._receive(sent, expected)
        if [*received.shape] != shape or not np.iscomplexobj(received):
            raise ChannelError(
                f"channel {self.id} returned {_format_shape(received)}; {expected}"
                f"{self._length_hint(received, blocks)}"
            )
        with np.errstate(over="ignore"):
            symbols = received.astype(np.complex64)
        if num_invalid := np.sum(~np.isfinite(symbols)):
            raise ChannelError(
                f"channel {self.id} returned {_format_shape(received)} with "
                f"{num_invalid} values that are infinite or NaN; {expected}, all finite"
            )
        return jnp.asarray(complex_to_pairs(symbols))

    def _receive(self, sent: Complex[np.ndarray, "B C"], expected: str) -> np.ndarray:
        """The function's value as an array of any shape and type.

        Args:
            sent: transmitted symbols.
            expected: end of an error message.
        """
        try:
            with self._lock:
                # A copy, as the function may change it in place, even its shape.
                result = self.sample(sent.copy())
        except USER_CODE_EXCEPTIONS as error:
            raise ChannelError(
                f"channel {self.id} raised {summarize_exception(error)}"
            ) from error
        received = _as_array(result)
        if isinstance(received, str):
            raise ChannelError(f"channel {self.id} returned {received}; {expected}")
        return received

    @cached_property
    def _lock(self) -> Lock:
        return Lock()

    def _length_hint(self, received: np.ndarray, blocks: int) -> str:
        """Hint how to declare another length of blocks, if only that is wrong."""
        is_signal = received.ndim == 2 and received.size and np.iscomplexobj(received)
        if not is_signal or len(received) != blocks:
            return ""
        name, length = self._label.rpartition(":")[2], received.shape[1]
        return f", or the length declared by: {name}.{OUTPUT_USES} = {length}"

    def _argument(self, name: str) -> object:
        """Value of an argument: the given one, or its default; None without both."""
        return self.arguments.get(name, self.signature.defaults.get(name))

    def _attribute(self, name: str) -> object:
        """Attribute of the function or object; None without one."""
        target = self.sample if isinstance(self.function, type) else self.function
        with raising_invalid_input(f"{name} of channel {self.id} raised"):
            return getattr(target, name, None)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, BlackBoxChannel)
            and self.function is other.function
            and self.arguments == other.arguments
        )

    def __hash__(self) -> int:
        # A callable object may not be hashable.
        return id(self.function)


TRIED_BLOCKS = 2
"""Blocks that are sent before a training, to try a user's function."""


def try_out(channel: AnyChannel, uses: int) -> None:
    """Sends blocks through a user's function: what is wrong with it is told first.

    Args:
        channel: a channel; others than a user's function are left alone.
        uses: C, channel uses of a block.

    Raises:
        ChannelError: as of a call.
    """
    if isinstance(channel, BlackBoxChannel):
        channel(jax.random.key(0), jnp.full((TRIED_BLOCKS, uses, 2), 0.5**0.5))


def find_name(function: object) -> str:
    """`MODULE:NAME` by which a function or object is imported; empty without one."""
    module = getattr(function, "__module__", "") or ""
    # The module `__main__` is another one when another script runs.
    root = None if module == "__main__" else sys.modules.get(module)
    name = getattr(function, "__qualname__", type(function).__name__)
    if root is not None and resolve_name(root, name) is function:
        return f"{module}:{name}"
    # An object has no name of its own.
    for variable, value in list(getattr(root, "__dict__", {}).items()):
        if value is function:
            return f"{module}:{variable}"
    return ""


def load_user_channel(id: str) -> Channel:
    """Imports the channel with the id `python:MODULE:NAME?argument=value`.

    The name is that of a function of NumPy arrays, of an object that is called like
    one, of a class of such objects, or of a `Channel` in JAX: an object, or a dataclass
    with the id's parameters. The module is searched on Python's path, then in the
    current folder.

    Raises:
        InvalidInputError: there is no such module or function, the module cannot be
            imported, or an argument is unknown or missing.
    """
    if id.startswith(f"{PREFIX}<"):
        raise InvalidInputError(
            f"{id!r} is a function that cannot be imported; expected "
            f"{PREFIX}MODULE:FUNCTION, a function at the top level of a module"
        )
    value = import_user_object(id, "function", callable)
    if hasattr(value, "with_snr"):
        return _load_jax_channel(id, value)
    if isinstance(value, type) and not _has_call(value):
        raise InvalidInputError(
            f"{id} is a class without __call__; expected a function of complex64[B, C],"
            " or a class of objects that are called like one"
        )
    arguments = parse_arguments(id, signature_of(value), (OUTPUT_USES,))
    name = id.removeprefix(PREFIX).partition("?")[0]
    return BlackBoxChannel(function=value, arguments=arguments, name=name)


def _load_jax_channel(id: str, value: object) -> Channel:
    """Object of the protocol `Channel`, or the dataclass of one with its parameters."""
    made = value
    if isinstance(value, type) and dataclasses.is_dataclass(value):
        cls = cast(type[object], value)
        made = identifiers.make_config(id, cls, "channel parameter")
    elif isinstance(value, type) or "?" in id:
        raise InvalidInputError(
            f"{id} is no dataclass; expected the dataclass of a channel, or an object "
            "without parameters"
        )
    members = [name for name in dir(Channel) if not name.startswith("_")]
    if missing := [name for name in members if not hasattr(made, name)]:
        raise InvalidInputError(f"{id} is not a channel: it lacks {', '.join(missing)}")
    return cast(Channel, made)


def _has_call(cls: type) -> bool:
    # Not `hasattr`: every class is called, to make an object.
    return any("__call__" in vars(base) for base in cls.__mro__)


def _as_array(result: object) -> np.ndarray | str:
    """Array that a function returned, or a description of what it is instead."""
    kind = type(result).__name__
    # A tuple of arrays of equal shapes would pass as an array.
    if result is None or isinstance(result, tuple):
        return "None" if result is None else "a tuple"
    try:
        array = np.asarray(result)
    except USER_CODE_EXCEPTIONS as error:
        return textwrap.shorten(f"a {kind}, which is no array: {error}", MAX_LENGTH)
    return f"a {kind}" if array.dtype.kind == "O" and not array.ndim else array


def _format_shape(signal: np.ndarray) -> str:
    return f"{signal.dtype}{list(signal.shape)}"
