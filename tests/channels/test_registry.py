"""Round trips of channel ids, and error messages of invalid ids."""

import dataclasses
import inspect
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syntony.channels.amplifier import Amplifier
from syntony.channels.awgn import AWGN
from syntony.channels.black_box import BlackBoxChannel
from syntony.channels.carrier_frequency_offset import CarrierFrequencyOffset
from syntony.channels.chain import chain
from syntony.channels.channel import AnyChannel, Channel
from syntony.channels.iq_imbalance import IQImbalance
from syntony.channels.multipath import Multipath
from syntony.channels.phase import PhaseNoise
from syntony.channels.quantizer import Quantizer
from syntony.channels.rayleigh import Rayleigh
from syntony.channels.registry import (
    CHANNEL_FAMILIES,
    channel,
    channel_summaries,
    parse_channel,
)
from syntony.channels.rician import Rician
from syntony.errors import InvalidInputError

SNR = st.floats(-100.0, 300.0) | st.just(float("inf"))
DB = st.floats(-60.0, 60.0)
SINGLE = st.one_of(
    st.builds(AWGN, snr_db=SNR),
    st.builds(Rayleigh, snr_db=SNR),
    st.builds(Rician, k_db=DB, snr_db=SNR),
    st.builds(Amplifier, smoothness=st.floats(0.1, 100.0), backoff_db=DB),
    st.builds(
        PhaseNoise, std=st.floats(0.0, 100.0), random_initial_phase=st.booleans()
    ),
    st.builds(CarrierFrequencyOffset, max_cfo=st.floats(0.0, 0.5)),
    st.builds(Multipath, taps=st.integers(1, 64), fading=st.booleans()),
    st.builds(IQImbalance, gain_db=DB, phase_deg=st.floats(-90.0, 90.0)),
    st.builds(Quantizer, bits=st.integers(1, 16), full_scale=st.floats(0.001, 1000.0)),
)
PARTS = st.lists(SINGLE, min_size=1, max_size=4)


def in_series(parts: list[Channel]) -> AnyChannel:
    """One channel. Not within a strategy: type checks of lists are random."""
    return chain(parts) if len(parts) > 1 else parts[0]


@given(parts=PARTS)
@settings(deadline=None)
def test_id_round_trip(parts: list[Channel]):
    given_channel = in_series(parts)
    id = given_channel.id
    assert parse_channel(id) == given_channel
    assert parse_channel(id).id == id
    assert " " not in id


@given(parts=PARTS)
@settings(deadline=None)
def test_noise_is_appended_if_there_is_none(parts: list[Channel]):
    given_channel = in_series(parts)
    noisy = channel(given_channel.id)
    assert noisy.snr_db is not None
    suffix = "" if given_channel.snr_db is not None else "+awgn"
    assert noisy.id == given_channel.id + suffix
    assert channel(noisy.id) == noisy


def test_whole_numbers_are_floats():
    assert AWGN(snr_db=8).id == parse_channel("awgn?snr_db=8").id == "awgn?snr_db=8.0"
    assert AWGN(snr_db=10).id == "awgn"
    assert parse_channel("awgn?snr_db=1e+1+iq").id == "awgn+iq"


def test_every_family_is_listed():
    listed = dict(channel_summaries())
    assert len(listed) == len(CHANNEL_FAMILIES) + 1
    for name, family in CHANNEL_FAMILIES.items():
        example = parse_channel(family.example)
        assert type(example) is family.config_class
        assert example.id == family.example
        assert parse_channel(name) == family.config_class()
    assert not [summary for summary in listed.values() if "\n" in summary]


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("Rayleigh", "unknown channel 'Rayleigh'; did you mean 'rayleigh'?"),
        ("awgn+quantiser", "unknown channel 'quantiser'; did you mean 'quantizer'?"),
        ("", "unknown channel ''; valid: amplifier, awgn,"),
        ("awgn+", "unknown channel ''; valid"),
        ("awgn\n", r"unknown channel 'awgn\n'; did you mean 'awgn'?"),
        ("awgn?snr=3", "unknown parameter of awgn 'snr'; did you mean 'snr_db'?"),
        ("awgn?snr_db=nan", "snr_db is 'nan'; expected a number, e.g. snr_db=10.0"),
        (
            "awgn?snr_db=301",
            "snr_db is 301.0; expected -100.0 to 300.0, or inf, e.g. awgn",
        ),
        ("awgn?snr_db=1&snr_db=2", "snr_db is given twice in"),
        ("awgn?snr_db", "'snr_db' sets nothing; expected PARAMETER=VALUE, of snr_db"),
        (
            "phase?random_initial_phase=1",
            "random_initial_phase is '1'; expected true or false, "
            "e.g. random_initial_phase=false",
        ),
        ("phase?std=-1", "std is -1.0; expected 0.0 to 100.0, e.g. phase?std=0.0"),
        ("cfo?max_cfo=1", "max_cfo is 1.0; expected 0.0 to 0.5, e.g. cfo?max_cfo=0.5"),
        ("multipath?taps=0", "taps is 0; expected 1 to 64, e.g. multipath?taps=1"),
        ("multipath?taps=2.5", "taps is '2.5'; expected a whole number, e.g. taps=3"),
        ("multipath?decay_db=-3", "decay_db is -3.0; expected 0.0 to 100.0"),
        ("quantizer?bits=0", "bits is 0; expected 1 to 16, e.g. quantizer?bits=1"),
        ("quantizer?full_scale=0", "full_scale is 0.0; expected 0.001 to 1000.0"),
        ("amplifier?smoothness=0", "smoothness is 0.0; expected 0.1 to 100.0"),
        ("iq?phase_deg=91", "phase_deg is 91.0; expected -90.0 to 90.0"),
        ("rician?k_db=1e9", "k_db is 1000000000.0; expected -100.0 to 100.0"),
    ],
)
def test_an_invalid_id_is_reported(id: str, message: str):
    with pytest.raises(InvalidInputError, match="^" + re.escape(message)) as it:
        channel(id)
    assert "\n" not in str(it.value)


def test_a_channel_may_be_an_id_a_channel_or_a_function():
    def own(x):
        return x

    assert channel("awgn") == AWGN()
    assert channel(Rayleigh()) == Rayleigh()
    assert channel(own) == BlackBoxChannel(function=own)


@pytest.mark.parametrize("given", [3, None, AWGN])
def test_anything_else_is_no_channel(
    given: object,
):
    # Unwrapped, as the tests' type checks would raise another exception.
    with pytest.raises(
        InvalidInputError, match=r"channel is .*; expected an id, a channel, or"
    ):
        inspect.unwrap(channel)(given)  # pyright: ignore[reportArgumentType]


def test_configs_have_the_same_limits():
    with pytest.raises(InvalidInputError, match="bits is 17; expected 1 to 16"):
        dataclasses.replace(Quantizer(), bits=17)
