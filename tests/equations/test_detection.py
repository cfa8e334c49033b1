"""Detectors against densities written out in NumPy, one codeword at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from syntony.equations import detection

B, M, C = 5, 7, 3
# Compiled whole: op by op most of the time would go to the compiler.
coherent_ml = jax.jit(detection.coherent_ml_metric)
coherent_log_posterior = jax.jit(detection.coherent_log_posterior)
known_fading_ml = jax.jit(detection.known_fading_ml_metric)
noncoherent_ml = jax.jit(detection.noncoherent_ml_metric)
rician_ml = jax.jit(detection.rician_ml_metric)
lmmse_fading = jax.jit(detection.lmmse_channel_estimate)
pilot_ml = jax.jit(detection.pilot_aided_ml_metric, static_argnames="pilots")

SNR_DB = [-8.0, 3.0, 14.0]


def pairs(z):
    return jnp.asarray(np.stack([np.real(z), np.imag(z)], axis=-1), jnp.float32)


def normal(rng, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2)


@pytest.fixture
def link():
    """Received blocks and a codebook whose energies differ, as learned ones' do."""
    rng = np.random.default_rng(0)
    return normal(rng, B, C), normal(rng, M, C) * rng.uniform(0.5, 1.5, size=(M, 1))


def log_density(y, mean, covariance):
    """ln CN(y; mean, covariance), by its definition."""
    error = y - mean
    exponent = np.real(error.conj() @ np.linalg.solve(covariance, error))
    return -exponent - np.linalg.slogdet(np.pi * covariance)[1]


def posterior(y, book, law):
    """ln p(m | y) where `law` maps a codeword to the mean and covariance of y."""
    likelihood = [[log_density(block, *law(word)) for word in book] for block in y]
    return special.log_softmax(np.array(likelihood), axis=1)


def noise(snr_db):
    return 10 ** (-snr_db / 10) * np.eye(C)


@pytest.mark.parametrize("snr_db", SNR_DB)
def test_coherent_posterior(link, snr_db):
    y, book = link
    want = posterior(y, book, lambda c: (c, noise(snr_db)))
    got = coherent_log_posterior(pairs(y), pairs(book), snr_db)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_coherent_ml_is_the_nearest_codeword(link):
    y, book = link
    got = coherent_ml(pairs(y), pairs(book))
    distance2 = np.sum(np.abs(y[:, None] - book) ** 2, axis=-1)
    energy = np.sum(np.abs(y) ** 2, axis=-1)[:, None]
    np.testing.assert_allclose(got, (energy - distance2) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("snr_db", SNR_DB)
def test_known_fading(link, snr_db):
    y, book = link
    h = normal(np.random.default_rng(1), B)
    score = known_fading_ml(pairs(y), pairs(h), pairs(book))
    got = special.log_softmax(2 * 10 ** (snr_db / 10) * score, axis=1)
    for b in range(B):
        want = posterior(y[b : b + 1], book, lambda c: (h[b] * c, noise(snr_db)))  # noqa: B023
        np.testing.assert_allclose(got[b], want[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("snr_db", SNR_DB)
def test_noncoherent_likelihood(link, snr_db):
    y, book = link
    want = posterior(
        y, book, lambda c: (np.zeros(C), noise(snr_db) + np.outer(c, c.conj()))
    )
    score = noncoherent_ml(pairs(y), pairs(book), snr_db)
    np.testing.assert_allclose(
        special.log_softmax(score, axis=1), want, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("snr_db", SNR_DB)
@pytest.mark.parametrize(("k_factor", "phase"), [(0.0, 0.0), (0.7, 2.0), (10.0, -1.0)])
def test_rician_likelihood(link, snr_db, k_factor, phase):
    y, book = link
    line = np.sqrt(k_factor / (k_factor + 1)) * np.exp(1j * phase)

    def law(c):
        scattered = np.outer(c, c.conj()) / (k_factor + 1)
        return line * c, noise(snr_db) + scattered

    score = rician_ml(pairs(y), pairs(book), snr_db, k_factor=k_factor, phase=phase)
    want = posterior(y, book, law)
    np.testing.assert_allclose(
        special.log_softmax(score, axis=1), want, rtol=2e-4, atol=2e-4
    )


def test_rician_between_its_ends(link):
    y, book = map(pairs, link)
    none = rician_ml(y, book, 5.0, k_factor=0.0, phase=1.0)
    np.testing.assert_allclose(none, noncoherent_ml(y, book, 5.0), rtol=1e-5)
    most = rician_ml(y, book, 5.0, k_factor=1e7, phase=0.0)
    coherent = 2 * 10**0.5 * coherent_ml(y, book)
    np.testing.assert_allclose(most, coherent, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("pilots", [1, 2])
def test_lmmse_is_the_mean_of_the_gain_given_the_pilots(pilots):
    """By regression: E[h y*] / E[|y|²], over draws, is what ĥ is per unit of y."""
    rng = np.random.default_rng(0)
    p, snr_db = np.array([1.2 - 0.5j, 0.3j])[:pilots], 4.0
    h = normal(rng, 200_000)
    y = h[:, None] * p + 10 ** (-snr_db / 20) * normal(rng, len(h), pilots)
    weights = np.linalg.lstsq(y, h, rcond=None)[0]
    got = lmmse_fading(pairs(np.eye(pilots, dtype=complex)), pairs(p), snr_db)
    np.testing.assert_allclose(got, pairs(weights), atol=0.005)


def test_pilot_ml_takes_the_estimate_for_the_truth(link):
    y, book = link
    book[:, 0] = 0.8 + 0.6j
    gamma = 10**0.9
    h = gamma * np.conj(book[0, 0]) * y[:, 0] / (1 + gamma)
    rest = np.abs(y[:, None, 1:] - h[:, None, None] * book[:, 1:]) ** 2
    want = -np.sum(rest, axis=-1) / 2
    got = pilot_ml(pairs(y), pairs(book), 9.0)
    # Up to what all messages share, the pilot's own part among it.
    difference = got - want
    shared = np.broadcast_to(np.mean(difference, 1, keepdims=True), (B, M))
    np.testing.assert_allclose(difference, shared, atol=1e-5)


def test_knowing_that_the_estimate_errs_helps():
    """A pilot and QPSK of unequal energies: noncoherent ML errs less than LMMSE."""
    rng = np.random.default_rng(0)
    blocks, snr_db = 40_000, 6.0
    qpsk = np.exp(1j * np.pi * (np.arange(4) / 2 + 0.25))
    data = np.stack(np.meshgrid(qpsk, qpsk), axis=-1).reshape(16, 2)
    book = np.concatenate([np.ones((16, 1)), data], axis=1)
    sent = rng.integers(16, size=blocks)
    y = normal(rng, blocks, 1) * book[sent]
    y = pairs(y + 10 ** (-snr_db / 20) * normal(rng, blocks, 3))
    book = pairs(book)
    wrong = [
        np.mean(np.argmax(np.asarray(detect(y, book, snr_db)), axis=1) != sent)
        for detect in (noncoherent_ml, pilot_ml)
    ]
    assert wrong[0] < wrong[1] - 0.01


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 2 * np.pi))
def test_who_does_not_know_the_phase_does_not_care(seed, angle):
    rng = np.random.default_rng(seed)
    y, book = normal(rng, B, C), normal(rng, M, C)
    here = noncoherent_ml(pairs(y), pairs(book), 8.0)
    there = noncoherent_ml(pairs(np.exp(1j * angle) * y), pairs(book), 8.0)
    np.testing.assert_allclose(here, there, rtol=1e-3, atol=1e-3)


def test_two_codewords_err_by_the_tail():
    """±1 in one use: P = Q(√(2γ))."""
    rng, snr_db, blocks = np.random.default_rng(0), 2.0, 100_000
    book = np.array([[1.0], [-1.0]], complex)
    sent = rng.integers(2, size=blocks)
    y = book[sent] + 10 ** (-snr_db / 20) * normal(rng, blocks, 1)
    decided = np.argmax(np.asarray(coherent_ml(pairs(y), pairs(book))), axis=1)
    want = stats.norm.sf(np.sqrt(2 * 10 ** (snr_db / 10)))
    # Four standard errors.
    within = float(4 * np.sqrt(want / blocks))
    assert np.mean(decided != sent) == pytest.approx(want, abs=within)


def test_detectors_compile_and_batch_over_snr(link):
    y, book = map(pairs, link)
    snrs = jnp.array(SNR_DB)
    many = jax.jit(jax.vmap(detection.noncoherent_ml_metric, (None, None, 0)))(
        y, book, snrs
    )
    one = noncoherent_ml(y, book, SNR_DB[1])
    np.testing.assert_allclose(many[1], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "detect",
    [
        detection.coherent_log_posterior,
        detection.noncoherent_ml_metric,
        detection.pilot_aided_ml_metric,
    ],
)
def test_no_array_of_all_blocks_words_and_uses(detect):
    """Memory stays with B·M: nothing of B·M·C reals is ever made."""
    y, book = jnp.ones((11, 5, 2)), jnp.ones((13, 5, 2))
    program = jax.make_jaxpr(lambda a, b: detect(a, b, 3.0))(y, book)
    sizes = [out.aval.size for eqn in program.eqns for out in eqn.outvars]
    assert 11 * 13 <= max(sizes) <= 2 * 11 * 13
