"""Channels' ids there and back, and what is said of those that are none."""

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
from syntony.channels.chain import Chain
from syntony.channels.channel import Channel
from syntony.channels.iq_imbalance import IQImbalance
from syntony.channels.multipath import Multipath
from syntony.channels.phase import PhaseNoise
from syntony.channels.quantizer import Quantizer
from syntony.channels.rayleigh import Rayleigh
from syntony.channels.registry import (
    CHANNEL_FAMILIES,
    as_channel,
    channel,
    channel_summaries,
    parse_channel,
)
from syntony.channels.rician import Rician
from syntony.errors import InvalidInputError

SNR = st.floats(-100.0, 300.0)
DB = st.floats(-60.0, 60.0)
ONE = st.one_of(
    st.builds(AWGN, snr_db=SNR),
    st.builds(Rayleigh, snr_db=SNR),
    st.builds(Rician, k_db=DB, snr_db=SNR),
    st.builds(Amplifier, smoothness=st.floats(0.1, 100.0), backoff_db=DB),
    st.builds(PhaseNoise, std=st.floats(0.0, 100.0), random=st.booleans()),
    st.builds(CarrierFrequencyOffset, largest=st.floats(0.0, 0.5)),
    st.builds(Multipath, taps=st.integers(1, 64), fading=st.booleans()),
    st.builds(IQImbalance, gain_db=DB, phase_deg=st.floats(-90.0, 90.0)),
    st.builds(Quantizer, bits=st.integers(1, 16), clip=st.floats(0.001, 1000.0)),
)
ANY = ONE | st.builds(Chain, parts=st.lists(ONE, min_size=2, max_size=4))


@given(one=ANY)
@settings(deadline=None)
def test_ids_there_and_back(one: Channel):
    assert parse_channel(one.id) == one
    assert parse_channel(one.id).id == one.id
    assert " " not in one.id


@given(one=ANY)
@settings(deadline=None)
def test_what_is_typed_always_has_noise(one: Channel):
    typed = channel(one.id)
    assert typed.snr_db is not None
    assert typed.id == one.id + ("" if one.snr_db is not None else "+awgn")
    assert channel(typed.id) == typed


def test_whole_numbers_are_numbers():
    assert AWGN(snr_db=8).id == parse_channel("awgn?snr_db=8").id == "awgn?snr_db=8.0"
    assert AWGN(snr_db=10).id == "awgn"
    assert parse_channel("awgn?snr_db=1e+1+iq").id == "awgn+iq"


def test_every_name_is_ready_to_be_listed():
    listed = dict(channel_summaries())
    assert len(listed) == len(CHANNEL_FAMILIES) + 1
    for name, family in CHANNEL_FAMILIES.items():
        one = parse_channel(family.example)
        assert type(one) is family.config_class
        assert one.id == family.example
        assert parse_channel(name) == family.config_class()
    assert not [summary for summary in listed.values() if "\n" in summary]


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("Rayleigh", "unknown channel 'Rayleigh'; did you mean 'rayleigh'?"),
        ("awgn+quantizer", "unknown channel 'quantizer'; did you mean 'quantiser'?"),
        ("", "unknown channel ''; valid: amplifier, awgn,"),
        ("awgn+", "unknown channel ''; valid"),
        ("awgn\n", r"unknown channel 'awgn\n'; did you mean 'awgn'?"),
        ("awgn?snr=3", "unknown parameter of awgn 'snr'; did you mean 'snr_db'?"),
        ("awgn?snr_db=nan", "snr_db is 'nan'; expected a number, e.g. snr_db=10.0"),
        ("awgn?snr_db=301", "snr_db is 301.0; expected -100.0 to 300.0, e.g. awgn?snr"),
        ("awgn?snr_db=1&snr_db=2", "snr_db is given twice in"),
        ("awgn?snr_db", "'snr_db' sets nothing; expected PARAMETER=NUMBER, of snr_db"),
        ("phase?random=1", "random is '1'; expected true or false, e.g. random=false"),
        ("phase?std=-1", "std is -1.0; expected 0.0 to 100.0, e.g. phase?std=0.0"),
        ("cfo?largest=1", "largest is 1.0; expected 0.0 to 0.5, e.g. cfo?largest=0.5"),
        ("multipath?taps=0", "taps is 0; expected 1 to 64, e.g. multipath?taps=1"),
        ("multipath?taps=2.5", "taps is '2.5'; expected a whole number, e.g. taps=3"),
        ("multipath?decay_db=-3", "decay_db is -3.0; expected 0.0 to 100.0"),
        ("quantiser?bits=0", "bits is 0; expected 1 to 16, e.g. quantiser?bits=1"),
        ("quantiser?clip=0", "clip is 0.0; expected 0.001 to 1000.0"),
        ("amplifier?smoothness=0", "smoothness is 0.0; expected 0.1 to 100.0"),
        ("iq?phase_deg=91", "phase_deg is 91.0; expected -90.0 to 90.0"),
        ("rician?k_db=1e9", "k_db is 1000000000.0; expected -100.0 to 100.0"),
    ],
)
def test_what_is_wrong_with_an_id_is_said(id: str, message: str):
    with pytest.raises(InvalidInputError, match="^" + re.escape(message)) as it:
        channel(id)
    assert "\n" not in str(it.value)


def test_whatever_can_be_a_channel_becomes_one():
    def own(x):
        return x

    assert as_channel("awgn") == AWGN()
    assert as_channel(Rayleigh()) == Rayleigh()
    assert as_channel(own) == BlackBoxChannel(function=own)


@pytest.mark.parametrize("given", [3, None, AWGN])
def test_what_cannot_be_a_channel_is_refused(given: object):
    # Unwrapped: under test, types are checked before anything else is.
    with pytest.raises(
        InvalidInputError, match=r"channel is .*; expected an id, a channel, or"
    ):
        inspect.unwrap(as_channel)(given)  # pyright: ignore[reportArgumentType]


def test_settings_are_held_to_the_same_limits():
    with pytest.raises(InvalidInputError, match="bits is 17; expected 1 to 16"):
        dataclasses.replace(Quantizer(), bits=17)
