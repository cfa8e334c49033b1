import pytest

from syntony.channels.registry import channel
from syntony.equations import limits
from syntony.evaluation.link import bler_bounds
from syntony.systems.link.link import Link


def test_bounds_are_those_of_the_channel():
    noisy = bler_bounds(Link(), channel("awgn?snr_db=6.0"))
    assert noisy["Shannon 1959"] == limits.shannon59(6.0, 256, 4)
    faded = bler_bounds(Link(), channel("rayleigh?snr_db=6.0"))
    assert faded["QPSK, fading known"] == limits.rayleigh_qpsk_bler(6.0, 256, 4)


@pytest.mark.parametrize("id", ["awgn?snr_db=6.0+quantiser", "amplifier", "rician"])
def test_of_other_channels_nothing_is_claimed(id: str):
    assert bler_bounds(Link(), channel(id)) == {}
