"""Ids to channels: `channel("amplifier?smoothness=2+awgn?snr_db=10")`."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

from syntony import identifiers
from syntony.channels import black_box
from syntony.channels.amplifier import Amplifier
from syntony.channels.awgn import AWGN
from syntony.channels.black_box import BlackBoxChannel
from syntony.channels.carrier_frequency_offset import CarrierFrequencyOffset
from syntony.channels.chain import Chain
from syntony.channels.channel import Channel
from syntony.channels.iq_imbalance import IQImbalance
from syntony.channels.multipath import Multipath
from syntony.channels.phase import PhaseNoise
from syntony.channels.quantizer import Quantizer
from syntony.channels.rayleigh import Rayleigh
from syntony.channels.rician import Rician
from syntony.errors import InvalidInputError, unknown_name_error


class ChannelFamily(NamedTuple):
    """Channels that share a record, and how to type them."""

    config_class: type
    example: str
    """A valid id, with the parameters that one would set first."""
    summary: str
    """What it does to a signal, in one line."""


CHANNEL_FAMILIES = {
    "awgn": ChannelFamily(AWGN, "awgn?snr_db=8.0", "white Gaussian noise"),
    "rayleigh": ChannelFamily(
        Rayleigh, "rayleigh?snr_db=15.0", "an unknown gain for each block, and noise"
    ),
    "rician": ChannelFamily(
        Rician, "rician?k_db=6.0", "the same, with a line of sight among the paths"
    ),
    "amplifier": ChannelFamily(
        Amplifier, "amplifier?backoff_db=1.0", "saturation of strong symbols (Rapp)"
    ),
    "phase": ChannelFamily(
        PhaseNoise, "phase?std=0.1", "a phase that walks at random (Wiener)"
    ),
    "cfo": ChannelFamily(
        CarrierFrequencyOffset,
        "cfo?largest=0.02",
        "an unknown carrier-frequency offset",
    ),
    "multipath": ChannelFamily(
        Multipath, "multipath?taps=2", "echoes that overlap (FIR)"
    ),
    "iq": ChannelFamily(
        IQImbalance, "iq?gain_db=2.0", "IQ imbalance: a weak mirror image"
    ),
    "quantizer": ChannelFamily(
        Quantizer, "quantiser?bits=2", "few bits for each real part"
    ),
}
"""Channels by name."""

USER_CHANNEL = ChannelFamily(
    BlackBoxChannel, "python:my_module:my_function", "a function of NumPy arrays"
)


def channel(id: str) -> Channel:
    """Returns the channel that `id` names, with noise.

    Parts are joined by `+`, the first one first. Where none of them adds noise, white
    noise of the default SNR comes last: an amplifier alone is no link. A function of
    one's own is taken to have its noise in it.

    Raises:
        BadInput: no channel has that name; the message has the nearest one.
    """
    named = parse_channel(id)
    if named.is_black_box or named.snr_db is not None:
        return named
    return Chain(parts=(named, AWGN()))


def parse_channel(id: str) -> Channel:
    """Returns the channel that `id` names, as it stands: the inverse of `Channel.id`.

    Raises:
        BadInput: no channel has that name; the message has the nearest one.
    """
    # A number may have a plus in its exponent.
    parts = [_parse_part(part) for part in re.split(r"\+(?![0-9])", id)]
    return Chain(parts=tuple(parts)) if len(parts) > 1 else parts[0]


def as_channel(spec: Channel | str | Callable[[Any], Any]) -> Channel:
    """Returns a channel for an id, for a function of NumPy arrays, or for itself.

    Raises:
        BadInput: it is none of these.
    """
    if isinstance(spec, str):
        return channel(spec)
    if isinstance(spec, Channel) and not isinstance(spec, type):
        return spec
    if not callable(spec) or isinstance(spec, type):
        raise InvalidInputError(
            f"channel is {spec!r}; expected an id, a channel, or a function of "
            "complex64[B, C]"
        )
    return BlackBoxChannel(function=spec)


def channel_summaries() -> Iterator[tuple[str, str]]:
    """Yields an example of each channel, and what it does to a signal."""
    for family in (*CHANNEL_FAMILIES.values(), USER_CHANNEL):
        yield family.example, family.summary


def _parse_part(id: str) -> Channel:
    if id.startswith(black_box.USER_PREFIX):
        return black_box.load_black_box(id)
    name = id.partition("?")[0]
    if name not in CHANNEL_FAMILIES:
        raise unknown_name_error(
            "channel", name, [*CHANNEL_FAMILIES, USER_CHANNEL.example]
        )
    record = CHANNEL_FAMILIES[name].config_class
    _, parameters = identifiers.parse_id(id, record, f"parameter of {name}")
    return cast(Channel, record(**parameters))
