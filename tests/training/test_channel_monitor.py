"""Warnings of a training over a black-box channel."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_system import Toy

from syntony.channels.black_box import BlackBoxChannel
from syntony.channels.channel import AnyChannel, transmit
from syntony.channels.registry import channel
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule
from syntony.training.channel_monitor import monitored
from syntony.training.loop import train

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(40, 2, 2)) / 2**0.5, jnp.float32)
Signal = np.ndarray
Function = Callable[[Signal], Signal]


def noise(x: Signal) -> Signal:
    return x + 0.1 * (RNG.normal(size=x.shape) + 1j * RNG.normal(size=x.shape))


def at_call(number: int, change: Function, otherwise: Function = noise) -> Function:
    """A function that differs in one call."""
    calls: list[int] = []

    def function(x: Signal) -> Signal:
        calls.append(1)
        return change(x) if len(calls) == number else otherwise(x)

    return function


def with_sample(value: complex) -> Function:
    def change(x: Signal) -> Signal:
        y = noise(x).astype(np.complex64)
        y[3, 1] = value
        return y

    return change


def same_noise(x: Signal) -> Signal:
    return x + np.random.default_rng(1).normal(size=x.shape)


def run(spec: AnyChannel | Function, calls: int = 12) -> list[str]:
    """Warnings of some batches over a monitored channel."""
    system = monitored(Link(channel=spec, messages=4, uses=2))  # pyright: ignore[reportArgumentType]
    assert isinstance(system, Link)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for call in range(calls):
            y = transmit(system.channel, jax.random.key(call), (), X)[1]
            assert np.isfinite(y).all()
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            at_call(9, with_sample(1e30)),
            r"a batch was received with mean power 1\.\d+e\+58, where ",
        ),
        (
            at_call(3, with_sample(1e4)),
            r"a batch was received with mean power 1\.\d+e\+06, where ",
        ),
        (
            at_call(9, lambda x: 1e-3 * noise(x)),
            r"mean power \S+e-0[67], where the med",
        ),
        (
            at_call(9, lambda x: 0j * x),
            r"all symbols of a batch were received as 0\+0j; ",
        ),
        (lambda x: 0 * x + 3 - 1j, r"all symbols of a batch were received as 3-1j; "),
        (
            lambda x: x,
            r"the same 40 blocks, sent twice, were received alike to the last bit: it",
        ),
        (
            same_noise,
            r"seeds its random generator in every call.*add noise: python:\S+[+]awgn",
        ),
    ],
)
def test_a_fault_is_told_once(function: Function, message: str):
    told = run(function)
    assert any(re.search(message, text) for text in told), told
    assert len({text.partition(" where")[0] for text in told}) == len(told) <= 2
    for text in told:
        assert text.startswith("channel python:")
        assert "\n" not in text


@pytest.mark.parametrize(
    "function",
    [
        noise,
        lambda x: 1e-6 * noise(x),
        lambda x: np.round(3e4 * noise(x)),
        # One bit of each part, and a gain that drifts by 20 dB.
        lambda x: np.sign(np.real(noise(x))) + 1j * np.sign(np.imag(noise(x))),
        lambda x: RNG.uniform(0.1, 1.0) * noise(x),
    ],
)
def test_a_right_channel_is_not_warned_of(function: Function):
    assert run(function) == []


def test_noise_of_another_part_counts():
    quiet = BlackBoxChannel(function=np.conjugate)
    assert len(run(quiet)) == 1
    assert run(channel("python:numpy:conjugate+awgn")) == []


def test_other_snrs_have_medians_of_their_own():
    system = monitored(Link(channel=channel("python:own_channels:noisy"), uses=2))
    assert isinstance(system, Link)
    for key in range(5):
        for snr_db in (8.0, -30.0):
            at_snr = system.channel.with_snr(snr_db)
            assert at_snr is system.channel.with_snr(snr_db)
            transmit(at_snr, jax.random.key(key), (), X)


def test_other_systems_are_not_monitored():
    toy, link = Toy(), Link()
    assert monitored(toy) is toy
    assert monitored(link) is link


def test_a_training_warns(tmp_path: Path):
    schedule = TrainingSchedule(batch_size=16, decay="cosine")
    link = Link(
        channel=channel("python:own_channels:plain"),
        messages=4,
        uses=2,
        hidden=8,
        initial_codebook="network",
        receiver="mlp",
        schedule=schedule,
    )
    with pytest.warns(UserWarning, match="own_channels:plain: the same 8 blocks, sent"):
        trained = train(
            link, steps=1, eval_episodes=8, out=tmp_path / "run", quiet=True
        )
    assert isinstance(trained.system, Link)
    assert trained.system.channel is link.channel
