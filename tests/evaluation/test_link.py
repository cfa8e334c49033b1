"""Bounds of an evaluated link."""

import pytest

from syntony.channels.registry import channel
from syntony.equations import limits
from syntony.evaluation.link import bler_bounds


def test_bounds_of_awgn_and_rayleigh():
    awgn = bler_bounds(channel("awgn?snr_db=6.0"), 256, 4)
    assert awgn["Shannon 1959"] == limits.shannon59(6.0, 256, 4)
    rayleigh = bler_bounds(channel("rayleigh?snr_db=6.0"), 256, 4)
    assert rayleigh["QPSK, fading known"] == limits.rayleigh_qpsk_bler(6.0, 256, 4)


@pytest.mark.parametrize("id", ["awgn?snr_db=6.0+quantizer", "amplifier", "rician"])
def test_other_channels_have_no_bounds(id: str):
    assert bler_bounds(channel(id), 256, 4) == {}
