"""Signals against complex arithmetic, SciPy densities and sample moments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from syntony.equations import signal

VARIANCES = st.floats(0.001, 0.9)


def random_normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_noise_power_is_the_inverse_of_the_snr():
    assert float(signal.noise_power(10.0)) == pytest.approx(0.1)
    assert float(signal.noise_power(0.0)) == 1.0


def test_pairs_and_complex_numbers_are_the_same():
    z = np.array([1 + 2j, -0.5j], np.complex64)
    np.testing.assert_array_equal(signal.complex_to_pairs(z), [[1, 2], [0, -0.5]])
    np.testing.assert_array_equal(
        signal.pairs_to_complex(signal.complex_to_pairs(z)), z
    )


def test_multiply_and_divide_against_complex_arithmetic():
    a, b = random_normal(5, 3, 2), random_normal(5, 1, 2, seed=1)
    ours = signal.pairs_to_complex(signal.complex_multiply(jnp.array(a), jnp.array(b)))
    za, zb = signal.pairs_to_complex(a), signal.pairs_to_complex(b)
    np.testing.assert_allclose(ours, za * zb, rtol=1e-5)
    ours = signal.pairs_to_complex(signal.complex_divide(jnp.array(a), jnp.array(b)))
    np.testing.assert_allclose(ours, za / zb, rtol=1e-4)


def test_complex_noise_has_half_the_variance_in_each_part(key):
    noise = np.asarray(signal.complex_noise(key, (200_000,), 0.3))
    np.testing.assert_allclose(noise.var(axis=0), [0.15, 0.15], rtol=0.02)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.01


def test_average_power_is_one_over_the_whole_codebook():
    codebook = np.asarray(
        signal.normalize_average_power(jnp.array(random_normal(16, 4, 2)))
    )
    energies = np.abs(signal.pairs_to_complex(codebook)) ** 2
    assert energies.mean() == pytest.approx(1.0, rel=1e-5)
    assert energies.mean(axis=1).std() > 0.1


def test_normalization_of_codewords_and_symbols():
    codebook = jnp.array(random_normal(16, 4, 2))
    energies = (
        np.abs(signal.pairs_to_complex(signal.normalize_codeword_power(codebook))) ** 2
    )
    np.testing.assert_allclose(energies.mean(axis=1), 1.0, rtol=1e-5)
    symbols = np.abs(signal.pairs_to_complex(signal.normalize_symbol_power(codebook)))
    np.testing.assert_allclose(symbols, 1.0, rtol=1e-5)


def test_clipping_shortens_strong_symbols_only():
    codebook = random_normal(16, 4, 2)
    before = signal.pairs_to_complex(codebook)
    after = signal.pairs_to_complex(signal.clip_amplitude(jnp.array(codebook), 1.2))
    np.testing.assert_allclose(np.abs(after), np.minimum(np.abs(before), 1.2), 1e-5)
    np.testing.assert_allclose(np.angle(after), np.angle(before), atol=1e-5)


def test_cross_entropy_is_minus_the_log_of_the_softmax():
    logits, message = random_normal(7, 5), np.arange(7) % 5
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ours = signal.cross_entropy(jnp.array(logits), jnp.array(message))
    np.testing.assert_allclose(ours, -np.log(p[np.arange(7), message]), rtol=1e-5)


def test_cross_entropy_of_large_logits():
    logits = jnp.array([[1e4, 0.0], [1e4, 0.0]])
    ours = signal.cross_entropy(logits, jnp.array([0, 1]))
    np.testing.assert_allclose(ours, [0.0, 1e4])


@given(VARIANCES)
def test_explore_log_prob_against_scipy(variance: float):
    x, sent = random_normal(6, 4, 2), random_normal(6, 4, 2, seed=1)
    mean = np.sqrt(1 - variance) * x
    scale = np.sqrt(variance / 2)
    expected = stats.norm.logpdf(sent, mean, scale).sum(axis=(1, 2))
    ours = signal.explore_log_prob(jnp.array(sent), jnp.array(x), variance)
    np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=1e-4)


def test_gradient_of_explore_log_prob():
    x, sent, variance = (
        jnp.array(random_normal(3, 4, 2)),
        jnp.array(random_normal(3, 4, 2)),
        0.02,
    )
    score = jax.grad(lambda x: signal.explore_log_prob(sent, x, variance).sum())(x)
    a = np.sqrt(1 - variance)
    np.testing.assert_allclose(score, 2 * a / variance * (sent - a * x), rtol=1e-4)


@given(VARIANCES)
def test_perturb_keeps_the_mean_power(variance: float):
    x = jnp.ones((50_000, 2, 2)) / np.sqrt(2)
    noise = signal.complex_noise(jax.random.key(1), (50_000, 2), variance)
    sent = signal.perturb(x, noise, variance)
    assert float(signal.mean_power(sent).mean()) == pytest.approx(1.0, rel=0.03)


def test_perturb_has_the_stated_mean_and_variance(key):
    x = jnp.broadcast_to(jnp.array(random_normal(1, 3, 2)), (100_000, 3, 2))
    noise = signal.complex_noise(key, (100_000, 3), 0.1)
    sent = np.asarray(signal.perturb(x, noise, 0.1), np.float64)
    np.testing.assert_allclose(sent.mean(axis=0), np.sqrt(0.9) * x[0], atol=0.005)
    np.testing.assert_allclose(sent.var(axis=0), 0.05, rtol=0.03)


def test_gaussian_nll_against_scipy():
    y, mean, variance = random_normal(5, 3, 2), random_normal(5, 3, 2, seed=1), 0.3
    parts = stats.norm.logpdf(y, mean, np.sqrt(variance / 2.0))
    got = signal.gaussian_nll(jnp.array(y), jnp.array(mean), variance)
    np.testing.assert_allclose(got, -parts.sum(axis=(1, 2)), rtol=1e-5)


def test_inverse_odds_are_a_sum_over_the_other_messages():
    logits, message = jnp.array(random_normal(6, 5)), np.array([0, 1, 2, 3, 4, 0])
    nll = signal.cross_entropy(logits / 3.0, jnp.array(message))
    logits = np.asarray(logits, np.float64)
    ratio = np.exp(logits - np.take_along_axis(logits, message[:, None], axis=1))
    want = np.sum(ratio ** (1 / 3), axis=1) - 1.0
    np.testing.assert_allclose(signal.inverse_odds(nll), want, rtol=1e-4)


def test_db_to_linear():
    assert signal.db_to_linear(10.0) == 10.0
    levels = np.array([-3.0, 0.0, 20.0])
    np.testing.assert_allclose(signal.db_to_linear(levels), [10**-0.3, 1.0, 100.0])
