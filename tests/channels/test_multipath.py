"""Multipath against NumPy's convolution, and its taps against their profile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from syntony.channels.multipath import Multipath
from syntony.equations.signal import complex_to_pairs, pairs_to_complex


def through(channel, x: NDArray[np.complex64]) -> NDArray[np.complex64]:
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
def test_it_is_a_convolution_cut_to_the_block(fading: bool, taps: int, uses: int):
    channel, x = Multipath(taps=taps, fading=fading), signal(20, uses)
    response = through(channel, impulse(20, uses))
    pairs = zip(response, x, strict=True)
    want = [np.convolve(h, sent)[:uses] for h, sent in pairs]
    np.testing.assert_allclose(through(channel, x), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(response[:, taps:], 0.0)
    assert np.all(abs(response[:, : min(taps, uses)]) > 0)


def test_taps_follow_the_profile():
    blocks = 20_000
    h = through(Multipath(taps=4, decay_db=3.0), impulse(blocks, 4))
    power = 10 ** (-0.3 * np.arange(4))
    # Of exponential law, powers have a spread as large as their mean.
    spread = 5 / np.sqrt(blocks)
    np.testing.assert_allclose(
        np.mean(abs(h) ** 2, axis=0), power / power.sum(), rtol=spread
    )
    unit = h / np.sqrt(power / power.sum())
    np.testing.assert_allclose(unit.T.conj() @ unit / blocks, np.eye(4), atol=spread)
    np.testing.assert_allclose(unit.T @ unit / blocks, 0.0, atol=2 * spread)


def test_fixed_taps_are_the_roots_of_their_powers():
    h = through(Multipath(taps=3, decay_db=10.0, fading=False), impulse(2, 3))
    want = np.sqrt(np.array([1.0, 0.1, 0.01]) / 1.11)
    np.testing.assert_allclose(h, [want, want], rtol=1e-5)


def test_blocks_do_not_reach_into_one_another():
    x = signal(2, 4)
    alone = through(Multipath(), x)
    x[0] = 0.0
    np.testing.assert_array_equal(through(Multipath(), x)[1], alone[1])
