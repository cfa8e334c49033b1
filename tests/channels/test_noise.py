"""AWGN, Rayleigh and Rician fading against their distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from syntony.channels.awgn import AWGN
from syntony.channels.rayleigh import Rayleigh
from syntony.channels.rician import Rician
from syntony.equations.signal import complex_to_pairs, pairs_to_complex

BLOCKS, USES = 20_000, 4
NOISELESS = 300.0
"""An SNR in dB at which noise is negligible."""


def qpsk() -> NDArray[np.complex64]:
    sign = np.random.default_rng(0).choice([-1.0, 1.0], (2, BLOCKS, USES))
    return ((sign[0] + 1j * sign[1]) / np.sqrt(2)).astype(np.complex64)


def apply(channel, x: NDArray[np.complex64]) -> NDArray[np.complex64]:
    return pairs_to_complex(
        channel(jax.random.key(1), jnp.asarray(complex_to_pairs(x)))
    )


@pytest.mark.parametrize("snr_db", [0.0, 7.0])
def test_awgn_is_circularly_symmetric_gaussian(snr_db: float):
    x = qpsk()
    noise = (apply(AWGN(snr_db=snr_db), x) - x).ravel()
    std = np.sqrt(10 ** (-snr_db / 10) / 2)
    for part in (noise.real, noise.imag):
        assert stats.kstest(part, stats.norm(0, std).cdf).pvalue > 1e-3
    tolerance = 5 / np.sqrt(noise.size)
    assert abs(np.corrcoef(noise.real, noise.imag)[0, 1]) < tolerance
    assert abs(np.corrcoef(noise.real[:-1], noise.real[1:])[0, 1]) < tolerance
    assert np.mean(abs(noise) ** 2) == pytest.approx(2 * std**2, rel=tolerance)


def test_rayleigh_has_one_complex_gain_per_block():
    x = qpsk()
    gain = apply(Rayleigh(snr_db=NOISELESS), x) / x
    np.testing.assert_allclose(gain, np.tile(gain[:, :1], USES), rtol=1e-5)
    # Exponential power, uniform phase, independent blocks.
    h = gain[:, 0]
    assert stats.kstest(abs(h) ** 2, stats.expon.cdf).pvalue > 1e-3
    uniform = stats.uniform(-np.pi, 2 * np.pi)
    assert stats.kstest(np.angle(h), uniform.cdf).pvalue > 1e-3
    assert abs(np.mean(h[1:] * h[:-1].conj())) < 5 / np.sqrt(BLOCKS)


def test_fading_is_a_complex_product():
    """A published implementation multiplies Re by Re and Im by Im, which is wrong."""
    x = qpsk()
    y = apply(Rayleigh(snr_db=NOISELESS), x)
    h = (y / x)[:, :1]
    np.testing.assert_allclose(y, h * x, rtol=1e-4, atol=1e-6)
    # A rotation of x by 90° rotates y by 90°. With separate products of the parts, no
    # complex gain has this property.
    np.testing.assert_allclose(apply(Rayleigh(snr_db=NOISELESS), 1j * x), 1j * y)
    separate = h.real * x.real + 1j * h.imag * x.imag
    rotated = h.real * (1j * x).real + 1j * h.imag * (1j * x).imag
    assert np.mean(abs(rotated - 1j * separate) > 0.1) > 0.5


def test_rayleigh_noise_has_the_power_of_its_snr():
    zeros = np.zeros((BLOCKS, USES), np.complex64)
    noise = apply(Rayleigh(snr_db=3.0), zeros)
    for part in (noise.real, noise.imag):
        std = np.sqrt(10**-0.3 / 2)
        assert stats.kstest(part.ravel(), stats.norm(0, std).cdf).pvalue > 1e-3


@pytest.mark.parametrize("k_db", [-10.0, 0.0, 6.0])
def test_rician_has_the_power_of_its_k_factor(k_db: float):
    x = qpsk()
    gain = apply(Rician(k_db=k_db, snr_db=NOISELESS), x) / x
    np.testing.assert_allclose(gain, np.tile(gain[:, :1], USES), rtol=1e-4)
    h, k = gain[:, 0], 10 ** (k_db / 10)
    distribution = stats.rice(np.sqrt(2 * k), scale=np.sqrt(0.5 / (k + 1)))
    assert stats.kstest(abs(h), distribution.cdf).pvalue > 1e-3
    assert np.mean(h) == pytest.approx(np.sqrt(k / (k + 1)), abs=5 / np.sqrt(BLOCKS))
    assert np.mean(abs(h) ** 2) == pytest.approx(1.0, abs=5 / np.sqrt(BLOCKS))


def test_a_strong_line_of_sight_is_awgn():
    x = qpsk()
    y = apply(Rician(k_db=100.0, snr_db=NOISELESS), x)
    np.testing.assert_allclose(y, x, atol=1e-4)
