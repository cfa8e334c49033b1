"""Channels by id: `channel("amplifier?smoothness=2+awgn?snr_db=10")`."""

import re
from collections.abc import Iterator
from typing import NamedTuple, cast

from syntony import identifiers
from syntony.channels import black_box
from syntony.channels.amplifier import Amplifier
from syntony.channels.awgn import AWGN
from syntony.channels.black_box import BlackBoxChannel, UserFunction
from syntony.channels.carrier_frequency_offset import CarrierFrequencyOffset
from syntony.channels.chain import chain, with_default_snrs
from syntony.channels.channel import AnyChannel, ChannelProperties
from syntony.channels.drift import Drift
from syntony.channels.imdd import IMDD
from syntony.channels.impulsive import Impulsive
from syntony.channels.iq_imbalance import IQImbalance
from syntony.channels.isi import ISI
from syntony.channels.jakes import Jakes
from syntony.channels.multipath import Multipath
from syntony.channels.ofdm import OFDM
from syntony.channels.phase import PhaseNoise
from syntony.channels.quantizer import Quantizer
from syntony.channels.rayleigh import Rayleigh
from syntony.channels.rician import Rician
from syntony.channels.saleh import Saleh
from syntony.channels.square_law import SquareLaw
from syntony.errors import InvalidInputError, unknown_name_error
from syntony.jax_settings import standard_jax_settings
from syntony.plugins import PREFIX


class ChannelFamily(NamedTuple):
    """A channel class as it is listed."""

    config_class: type
    example: str
    """A valid id, with the parameters that are set most often."""
    summary: str
    """The effect on a signal, in one line."""


CHANNEL_FAMILIES = {
    "awgn": ChannelFamily(AWGN, "awgn?snr_db=8.0", "white Gaussian noise"),
    "rayleigh": ChannelFamily(
        Rayleigh, "rayleigh?snr_db=15.0", "an unknown gain for each block, and noise"
    ),
    "rician": ChannelFamily(
        Rician, "rician?k_db=6.0", "Rayleigh fading plus a line of sight, and noise"
    ),
    "amplifier": ChannelFamily(
        Amplifier, "amplifier?backoff_db=1.0", "saturation of strong symbols (Rapp)"
    ),
    "phase": ChannelFamily(
        PhaseNoise, "phase?std=0.1", "phase noise: a random walk (Wiener)"
    ),
    "cfo": ChannelFamily(
        CarrierFrequencyOffset,
        "cfo?max_cfo=0.02",
        "an unknown carrier-frequency offset",
    ),
    "multipath": ChannelFamily(
        Multipath, "multipath?taps=2", "delayed echoes: a random FIR filter"
    ),
    "iq": ChannelFamily(
        IQImbalance, "iq?gain_db=2.0", "IQ imbalance: a weak mirror image"
    ),
    "quantizer": ChannelFamily(
        Quantizer, "quantizer?bits=2", "few bits for each real part"
    ),
    "saleh": ChannelFamily(
        Saleh, "saleh?am_gain=2.0", "saturation and rotation of strong symbols (Saleh)"
    ),
    "ofdm": ChannelFamily(OFDM, "ofdm?taps=4", "OFDM over unknown echoes, and noise"),
    "jakes": ChannelFamily(
        Jakes, "jakes?doppler=0.02", "a gain that changes from use to use, and noise"
    ),
    "isi": ChannelFamily(
        ISI, "isi?taps=1.0,0.5", "echoes that reach into later blocks, and noise"
    ),
    "drift": ChannelFamily(
        Drift,
        "drift?period=1000.0",
        "a phase that turns batch by batch, and noise",
    ),
    "impulsive": ChannelFamily(
        Impulsive, "impulsive?probability=0.1", "Gaussian noise with strong impulses"
    ),
    "imdd": ChannelFamily(
        IMDD, "imdd?snr_db=20.0", "intensity modulation, direct detection, and noise"
    ),
    "square_law": ChannelFamily(
        SquareLaw, "square_law?snr_db=20.0", "the energy of each symbol, and noise"
    ),
}
"""Channels by name."""

USER_CHANNEL = ChannelFamily(
    BlackBoxChannel, "python:my_module:my_function", "a function of NumPy arrays"
)


@standard_jax_settings()
def channel(spec: AnyChannel | str | UserFunction) -> AnyChannel:
    """Channel with this id, or over this function of NumPy arrays.

    The parts of an id are joined by `+`, in the order in which the signal passes them.
    If none of them adds noise, AWGN of the default SNR is appended. A user's function
    is assumed to add its own noise.

    Args:
        spec: an id, a function from complex64[B, C] to complex[B, C], or a channel,
            which is returned unchanged.

    Raises:
        InvalidInputError: it is none of these, or there is no channel with this id;
            then the message has the nearest one.
    """
    if isinstance(spec, str):
        return _channel_with_noise(parse_channel(spec))
    if isinstance(spec, ChannelProperties) and not isinstance(spec, type):
        return cast(AnyChannel, spec)
    if not callable(spec) or isinstance(spec, type):
        raise InvalidInputError(
            f"channel is {spec!r}; expected an id, a channel, or a function of "
            "complex64[B, C]"
        )
    return BlackBoxChannel(function=spec)


def parse_channel(id: str) -> AnyChannel:
    """Channel with exactly this id: the inverse of `Channel.id`.

    Raises:
        InvalidInputError: there is no such channel; the message has the nearest one.
    """
    # A number may have a plus in its exponent.
    ids = re.split(r"\+(?![0-9])", id)
    parts = [_parse_part(part) for part in ids]
    return chain(with_default_snrs(parts, ids)) if len(parts) > 1 else parts[0]


def _channel_with_noise(parsed: AnyChannel) -> AnyChannel:
    if parsed.is_black_box or parsed.snr_db is not None:
        return parsed
    return chain([parsed, AWGN()])


def no_snr_error(channel: AnyChannel) -> InvalidInputError:
    """Error for an SNR that is to be set of a channel that has none."""
    if not channel.is_black_box:
        return InvalidInputError(
            f"{channel.id} has no noise whose SNR can be set; leave out --snr-db"
        )
    return InvalidInputError(
        f"{channel.id} takes no argument snr_db; expected def f(x, snr_db=10.0), or "
        "leave out --snr-db"
    )


def channel_summaries() -> Iterator[tuple[str, str]]:
    """Yields an example id and a summary of each channel."""
    for family in (*CHANNEL_FAMILIES.values(), USER_CHANNEL):
        yield family.example, family.summary


def _parse_part(id: str) -> AnyChannel:
    if id.startswith(PREFIX):
        return black_box.load_user_channel(id)
    name = id.partition("?")[0]
    if name not in CHANNEL_FAMILIES:
        raise unknown_name_error(
            "channel", name, [*CHANNEL_FAMILIES, USER_CHANNEL.example]
        )
    config_class = CHANNEL_FAMILIES[name].config_class
    _, parameters = identifiers.parse_id(id, config_class, f"parameter of {name}")
    return cast(AnyChannel, config_class(**parameters))
