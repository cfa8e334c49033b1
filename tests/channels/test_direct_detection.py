"""Channels that keep only an intensity, against NumPy; impulses."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from syntony.channels.channel import Channel
from syntony.channels.imdd import IMDD
from syntony.channels.impulsive import Impulsive
from syntony.channels.square_law import SquareLaw
from syntony.equations.signal import complex_to_pairs, pairs_to_complex

SHAPE = 20_000, 4
X = np.random.default_rng(0).normal(size=(2, *SHAPE)) / 2**0.5
X = X[0] + 1j * X[1]

jitted_call = jax.jit(lambda channel, key, x: channel(key, x))


def apply(channel: Channel, x: np.ndarray = X) -> NDArray[np.complex128]:
    received = jitted_call(
        channel, jax.random.key(1), jnp.asarray(complex_to_pairs(x.astype(complex)))
    )
    return pairs_to_complex(received).astype(complex)


@pytest.mark.parametrize(
    ("channel", "intensity"),
    [
        (IMDD(), lambda x: np.maximum(x.real + 1.0, 0.0)),
        (IMDD(bias=0.3), lambda x: np.maximum(x.real + 0.3, 0.0)),
        (SquareLaw(), lambda x: np.abs(x) ** 2),
    ],
)
def test_intensity_and_its_real_noise(
    channel: Channel, intensity: Callable[[np.ndarray], np.ndarray]
):
    silent = apply(channel.with_snr(float("inf")))
    np.testing.assert_allclose(silent, intensity(X), atol=1e-5)
    noise = apply(channel) - silent
    assert not noise.imag.any()
    # σ = 0.15 by default.
    assert stats.kstest(noise.real.ravel(), stats.norm(0, 0.15).cdf).pvalue > 1e-3


def test_the_snr_of_real_noise_is_one_over_its_variance():
    noise = apply(SquareLaw(snr_db=4.0), np.zeros(SHAPE))
    assert np.var(noise.real) == pytest.approx(10**-0.4, rel=0.02)


def test_impulses_are_a_mixture_of_two_gaussians():
    noise = apply(Impulsive(probability=0.2, impulse_db=10.0, snr_db=3.0)) - X
    strength = 10**-0.3
    energy = np.abs(noise).ravel() ** 2

    def cdf(value: np.ndarray) -> np.ndarray:
        hit, other = stats.expon(scale=10 * strength), stats.expon(scale=strength)
        return 0.2 * hit.cdf(value) + 0.8 * other.cdf(value)

    assert stats.kstest(energy, cdf).pvalue > 1e-3
    assert stats.kstest(np.angle(noise).ravel() / np.pi, stats.uniform(-1, 2).cdf)
    # Hits of two uses of a block are independent.
    blocks = energy.reshape(SHAPE)
    assert abs(np.corrcoef(blocks[:, 0], blocks[:, 1])[0, 1]) < 5 / SHAPE[0] ** 0.5


def test_the_snr_of_impulsive_noise_is_that_of_its_background():
    channel = Impulsive()
    assert 10 * np.log10(channel.excess_noise) == pytest.approx(7.745, abs=1e-3)
    power = np.mean(np.abs(apply(channel, np.zeros((100_000, 4)))) ** 2)
    assert power == pytest.approx(5.95 * 10**-1.3, rel=0.05)
    background = apply(Impulsive(probability=0.0), np.zeros(SHAPE))
    assert np.mean(np.abs(background) ** 2) == pytest.approx(10**-1.3, rel=0.02)
