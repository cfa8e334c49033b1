"""Multipath against NumPy's convolution; taps against the power-delay profile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from syntony.channels.multipath import Multipath
from syntony.equations.signal import complex_to_pairs, pairs_to_complex


def apply(channel, x: NDArray[np.complex64]) -> NDArray[np.complex64]:
    return pairs_to_complex(
        channel(jax.random.key(1), jnp.asarray(complex_to_pairs(x)))
    )


def signal(blocks: int, uses: int) -> NDArray[np.complex64]:
    draws = np.random.default_rng(0).normal(size=(2, blocks, uses))
    return (draws[0] + 1j * draws[1]).astype(np.complex64)


def impulse(blocks: int, uses: int) -> NDArray[np.complex64]:
    return np.eye(uses, dtype=np.complex64)[:1].repeat(blocks, axis=0)


@pytest.mark.parametrize("fading", [True, False])
@pytest.mark.parametrize(("taps", "uses"), [(1, 4), (3, 8), (5, 3)])
def test_convolution_is_truncated_to_the_block(fading: bool, taps: int, uses: int):
    channel, x = Multipath(taps=taps, fading=fading), signal(20, uses)
    response = apply(channel, impulse(20, uses))
    pairs = zip(response, x, strict=True)
    expected = [np.convolve(h, block)[:uses] for h, block in pairs]
    np.testing.assert_allclose(apply(channel, x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(response[:, taps:], 0.0)
    assert np.all(abs(response[:, : min(taps, uses)]) > 0)


def test_taps_follow_the_power_delay_profile():
    blocks = 20_000
    h = apply(Multipath(taps=4, decay_db=3.0), impulse(blocks, 4))
    power = 10 ** (-0.3 * np.arange(4))
    # The standard deviation of an exponentially distributed power is its mean.
    tolerance = 5 / np.sqrt(blocks)
    np.testing.assert_allclose(
        np.mean(abs(h) ** 2, axis=0), power / power.sum(), rtol=tolerance
    )
    unit = h / np.sqrt(power / power.sum())
    np.testing.assert_allclose(unit.T.conj() @ unit / blocks, np.eye(4), atol=tolerance)
    np.testing.assert_allclose(unit.T @ unit / blocks, 0.0, atol=2 * tolerance)


def test_fixed_taps_are_the_square_roots_of_the_powers():
    h = apply(Multipath(taps=3, decay_db=10.0, fading=False), impulse(2, 3))
    expected = np.sqrt(np.array([1.0, 0.1, 0.01]) / 1.11)
    np.testing.assert_allclose(h, [expected, expected], rtol=1e-5)


def test_blocks_do_not_interfere():
    x = signal(2, 4)
    before = apply(Multipath(), x)
    x[0] = 0.0
    np.testing.assert_array_equal(apply(Multipath(), x)[1], before[1])
