"""A substitute for a channel that cannot be made, e.g. as its module is not here.

A link is loaded with it where its channel is a function of another script, or of a
module that cannot be imported: its codebook and its receiver need no channel.
"""

from dataclasses import dataclass

import jax
from jaxtyping import Array, Float, Key

from syntony.channels.channel import AnyChannel
from syntony.errors import InvalidInputError


# Static, as a `BlackBoxChannel` is: nothing in it is traced.
@jax.tree_util.register_static
@dataclass(frozen=True, kw_only=True)
class MissingChannel:
    """A channel with the properties of one that is missing; it transmits nothing."""

    id: str
    """Id of the channel that is missing."""
    reason: str
    """Why it cannot be made."""
    received_uses: int | None = None
    """Complex symbols of a received block; None: as many as of a sent one."""
    snr_db: float | None = None
    differentiable: bool = False
    has_unknown_gain: bool = False

    is_black_box = True

    def check(self) -> None:
        """Does nothing: a link can be opened without its channel."""

    def with_snr(self, snr_db: Float[Array, ""] | float) -> "MissingChannel":
        del snr_db
        return self

    def output_uses(self, uses: int) -> int:
        return self.received_uses or uses

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B D 2"]:
        """Raises InvalidInputError."""
        del key, x
        raise _missing_error(self)


def is_missing(channel: AnyChannel) -> bool:
    """Whether a channel is the substitute of one that is missing."""
    return isinstance(channel, MissingChannel)


def require_channel(channel: AnyChannel) -> None:
    """Raises InvalidInputError if a channel is missing, with the way out."""
    if isinstance(channel, MissingChannel):
        raise _missing_error(channel)


def _missing_error(channel: MissingChannel) -> InvalidInputError:
    return InvalidInputError(
        f"channel {channel.id} cannot be used: {channel.reason}; another one is set by "
        "syntony.load(RUN, channel=...)"
    )
