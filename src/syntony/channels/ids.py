"""Ids to channels: `channel("amplifier?smoothness=2+awgn?snr_db=10")`."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

from syntony import naming
from syntony.channels import opaque
from syntony.channels.amplifier import Amplifier
from syntony.channels.awgn import Awgn
from syntony.channels.cfo import Cfo
from syntony.channels.chain import Chain
from syntony.channels.channel import Channel
from syntony.channels.iq import Iq
from syntony.channels.multipath import Multipath
from syntony.channels.opaque import Opaque
from syntony.channels.phase import Phase
from syntony.channels.quantiser import Quantiser
from syntony.channels.rayleigh import Rayleigh
from syntony.channels.rician import Rician
from syntony.errors import BadInput, unknown


class Family(NamedTuple):
    """Channels that share a record, and how to type them."""

    record: type
    example: str
    """A valid id, with the parameters that one would set first."""
    summary: str
    """What it does to a signal, in one line."""


FAMILIES = {
    "awgn": Family(Awgn, "awgn?snr_db=8.0", "white Gaussian noise"),
    "rayleigh": Family(
        Rayleigh, "rayleigh?snr_db=15.0", "an unknown gain for each block, and noise"
    ),
    "rician": Family(
        Rician, "rician?k_db=6.0", "the same, with a line of sight among the paths"
    ),
    "amplifier": Family(
        Amplifier, "amplifier?backoff_db=1.0", "saturation of strong symbols (Rapp)"
    ),
    "phase": Family(Phase, "phase?std=0.1", "a phase that walks at random (Wiener)"),
    "cfo": Family(Cfo, "cfo?largest=0.02", "an unknown carrier-frequency offset"),
    "multipath": Family(Multipath, "multipath?taps=2", "echoes that overlap (FIR)"),
    "iq": Family(Iq, "iq?gain_db=2.0", "IQ imbalance: a weak mirror image"),
    "quantiser": Family(Quantiser, "quantiser?bits=2", "few bits for each real part"),
}
"""Channels by name."""

OWN = Family(Opaque, "python:my_module:my_function", "a function of NumPy arrays")


def channel(id: str) -> Channel:
    """Returns the channel that `id` names, with noise.

    Parts are joined by `+`, the first one first. Where none of them adds noise, white
    noise of the default SNR comes last: an amplifier alone is no link. A function of
    one's own is taken to have its noise in it.

    Raises:
        BadInput: no channel has that name; the message has the nearest one.
    """
    named = exact(id)
    if named.opaque or named.snr_db is not None:
        return named
    return Chain(parts=(named, Awgn()))


def exact(id: str) -> Channel:
    """Returns the channel that `id` names, as it stands: the inverse of `Channel.id`.

    Raises:
        BadInput: no channel has that name; the message has the nearest one.
    """
    # A number may have a plus in its exponent.
    parts = [_part(part) for part in re.split(r"\+(?![0-9])", id)]
    return Chain(parts=tuple(parts)) if len(parts) > 1 else parts[0]


def as_channel(given: Channel | str | Callable[[Any], Any]) -> Channel:
    """Returns a channel for an id, for a function of NumPy arrays, or for itself.

    Raises:
        BadInput: it is none of these.
    """
    if isinstance(given, str):
        return channel(given)
    if isinstance(given, Channel) and not isinstance(given, type):
        return given
    if not callable(given) or isinstance(given, type):
        raise BadInput(
            f"channel is {given!r}; expected an id, a channel, or a function of "
            "complex64[B, C]"
        )
    return Opaque(function=given)


def summaries() -> Iterator[tuple[str, str]]:
    """Yields an example of each channel, and what it does to a signal."""
    for family in (*FAMILIES.values(), OWN):
        yield family.example, family.summary


def _part(id: str) -> Channel:
    if id.startswith(opaque.PREFIX):
        return opaque.load(id)
    name = id.partition("?")[0]
    if name not in FAMILIES:
        raise unknown("channel", name, [*FAMILIES, OWN.example])
    record = FAMILIES[name].record
    _, parameters = naming.split(id, record, f"parameter of {name}")
    return cast(Channel, record(**parameters))
