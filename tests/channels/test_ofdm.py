"""OFDM against a simulation in the time domain, with its cyclic prefix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from syntony.channels.ofdm import OFDM
from syntony.equations.signal import complex_to_pairs, pairs_to_complex

BLOCKS, CARRIERS = 20_000, 8

jitted_call = jax.jit(lambda channel, key, x: channel(key, x))


def apply(channel: OFDM, x: np.ndarray) -> NDArray[np.complex128]:
    received = jitted_call(
        channel, jax.random.key(1), jnp.asarray(complex_to_pairs(x.astype(complex)))
    )
    return pairs_to_complex(received).astype(complex)


def time_domain(x: np.ndarray, taps: np.ndarray, prefix: int) -> np.ndarray:
    """Inverse DFT, cyclic prefix, linear convolution, DFT of what follows it."""
    samples = np.fft.ifft(x, axis=1, norm="ortho")
    sent = np.concatenate([samples[:, -prefix:], samples], axis=1)
    received = np.stack(
        [np.convolve(s, h)[: len(s)] for s, h in zip(sent, taps, strict=True)]
    )
    return np.fft.fft(received[:, prefix:], axis=1, norm="ortho")


@pytest.mark.parametrize("taps", [1, 3, 7])
def test_response_is_that_of_the_taps_in_the_time_domain(taps: int):
    rng = np.random.default_rng(0)
    x = np.exp(2j * np.pi * rng.random((50, CARRIERS)))
    y = apply(OFDM(taps=taps, snr_db=float("inf")), x)
    impulse_response = np.fft.ifft(y / x, axis=1)
    # All energy is in the first L taps.
    np.testing.assert_allclose(impulse_response[:, taps:], 0.0, atol=1e-6)
    want = time_domain(x, impulse_response[:, :taps], prefix=taps)
    np.testing.assert_allclose(y, want, atol=1e-5)


def test_taps_are_independent_gaussians_of_equal_power():
    y = apply(OFDM(taps=3, snr_db=float("inf")), np.ones((BLOCKS, CARRIERS)))
    taps = np.fft.ifft(y, axis=1)[:, :3]
    covariance = taps.T @ taps.conj() / BLOCKS
    np.testing.assert_allclose(covariance, np.eye(3) / 3, atol=5 / BLOCKS**0.5 / 3)
    scaled = np.sqrt(6) * np.concatenate([taps.real, taps.imag]).ravel()
    assert stats.kstest(scaled, stats.norm.cdf).pvalue > 1e-3


def test_noise_has_its_power_on_every_subcarrier():
    noise = apply(OFDM(snr_db=15.0), np.zeros((BLOCKS, CARRIERS)))
    power = np.mean(np.abs(noise) ** 2, axis=0)
    np.testing.assert_allclose(power, 10**-1.5, rtol=5 / BLOCKS**0.5)
    assert stats.kstest(noise.imag.ravel(), stats.norm(0, 0.5**0.5 * 10**-0.75).cdf)
