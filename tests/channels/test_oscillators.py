"""Phase noise and carrier-frequency offset against their distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from syntony.channels.carrier_frequency_offset import CarrierFrequencyOffset
from syntony.channels.phase import PhaseNoise
from syntony.equations.signal import complex_to_pairs, pairs_to_complex

BLOCKS, USES = 10_000, 6


def gains(channel) -> NDArray[np.complex128]:
    """Gains y / x of all uses."""
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, (BLOCKS, USES))
    x = np.exp(1j * angle).astype(np.complex64)
    y = pairs_to_complex(channel(jax.random.key(1), jnp.asarray(complex_to_pairs(x))))
    return y / x


def test_phase_is_a_gaussian_random_walk_from_zero():
    gain = gains(PhaseNoise(std=0.2))
    np.testing.assert_allclose(abs(gain), 1.0, rtol=1e-5)
    np.testing.assert_allclose(gain[:, 0], 1.0, atol=1e-6)
    step = np.angle(gain[:, 1:] / gain[:, :-1])
    assert stats.kstest(step.ravel(), stats.norm(0, 0.2).cdf).pvalue > 1e-3
    correlation = np.corrcoef(step.T) - np.eye(USES - 1)
    assert np.max(abs(correlation)) < 5 / np.sqrt(BLOCKS)


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_phase_autocorrelation_is_that_of_wiener_noise(lag: int):
    gain = gains(PhaseNoise(std=0.5, random_initial_phase=True))
    autocorrelation = np.mean(gain[:, lag:] * gain[:, :-lag].conj())
    assert autocorrelation == pytest.approx(
        np.exp(-lag * 0.5**2 / 2), abs=5 / np.sqrt(BLOCKS)
    )


def test_a_random_initial_phase_is_uniform_and_an_unknown_gain():
    start = np.angle(gains(PhaseNoise(std=0.0, random_initial_phase=True)))
    np.testing.assert_allclose(start, np.tile(start[:, :1], USES), atol=1e-5)
    uniform = stats.uniform(-np.pi, 2 * np.pi)
    assert stats.kstest(start[:, 0], uniform.cdf).pvalue > 1e-3
    assert PhaseNoise(random_initial_phase=True).has_unknown_gain
    assert not PhaseNoise().has_unknown_gain


def test_phase_noise_of_zero_changes_nothing():
    np.testing.assert_allclose(gains(PhaseNoise(std=0.0)), 1.0, atol=1e-6)


def test_an_offset_is_a_phase_ramp_of_uniform_rate():
    gain = gains(CarrierFrequencyOffset(max_cfo=0.05))
    rate = np.angle(gain[:, 1]) / (2 * np.pi)
    ramp = np.exp(2j * np.pi * rate[:, None] * np.arange(USES))
    np.testing.assert_allclose(gain, ramp, atol=1e-4)
    assert stats.kstest(rate, stats.uniform(-0.05, 0.1).cdf).pvalue > 1e-3


def test_an_offset_has_its_documented_mean_gain():
    z = 2 * np.pi * 0.1 * np.arange(1, USES)
    mean_gain = np.mean(gains(CarrierFrequencyOffset(max_cfo=0.1))[:, 1:], axis=0)
    np.testing.assert_allclose(mean_gain, np.sin(z) / z, atol=5 / np.sqrt(BLOCKS))
