"""`syntony train link --channel ID --snr-db X`, beside `Link(channel=ID)`."""

import pytest

from syntony.channels.channel import InSeries
from syntony.channels.registry import channel
from syntony.cli.train import parse_train
from syntony.errors import InvalidInputError
from syntony.systems.link.link import Link

IDS = [
    "rayleigh?snr_db=300+awgn?snr_db=10",
    "awgn?snr_db=25+quantizer?bits=3+awgn?snr_db=8",
    "rician?snr_db=40+amplifier+awgn",
    "rayleigh+awgn",
    "rayleigh?snr_db=inf",
    "quantizer",
]


def parse_link(*argv: str) -> Link:
    link = parse_train(["link", *argv]).system
    assert isinstance(link, Link)
    return link


@pytest.mark.parametrize("id", IDS)
def test_command_and_call_train_over_the_same_channel(id: str):
    command, call = parse_link("--channel", id), Link(channel=channel(id))
    assert command.channel == call.channel
    assert command.training_channel == call.training_channel == call.channel


def test_the_flag_sets_the_total():
    link = parse_link("--channel", IDS[1], "--snr-db", "12")
    assert link.channel.snr_db == pytest.approx(12.0)
    assert isinstance(link.channel, InSeries)
    first, _, last = (part.snr_db for part in link.channel.parts)
    assert first is not None
    assert last is not None
    assert first - last == pytest.approx(25.0 - 8.0)


@pytest.mark.parametrize("id", ["rayleigh?snr_db=inf", "awgn?snr_db=inf+iq"])
def test_no_flag_sets_the_snr_of_no_noise(id: str):
    with pytest.raises(InvalidInputError, match="has no noise whose SNR can be set"):
        parse_link("--channel", id, "--snr-db", "12")
