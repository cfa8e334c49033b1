"""Detectors against densities in NumPy, one codeword at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from syntony.equations import detection

B, M, C = 5, 7, 3
# Compiled as a whole: most of the time would go to compiling single operations.
coherent_ml_metric = jax.jit(detection.coherent_ml_metric)
coherent_log_posterior = jax.jit(detection.coherent_log_posterior)
known_fading_ml_metric = jax.jit(detection.known_fading_ml_metric)
noncoherent_ml_metric = jax.jit(detection.noncoherent_ml_metric)
rician_ml_metric = jax.jit(detection.rician_ml_metric)
lmmse_channel_estimate = jax.jit(detection.lmmse_channel_estimate)
pilot_aided_ml_metric = jax.jit(
    detection.pilot_aided_ml_metric, static_argnames="num_pilots"
)

SNR_DB = [-8.0, 3.0, 14.0]


def pairs(z):
    return jnp.asarray(np.stack([np.real(z), np.imag(z)], axis=-1), jnp.float32)


def normal(rng, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2)


@pytest.fixture
def link():
    """Received blocks, and a codebook with codewords of different energies."""
    rng = np.random.default_rng(0)
    return normal(rng, B, C), normal(rng, M, C) * rng.uniform(0.5, 1.5, size=(M, 1))


def log_density(y, mean, covariance):
    """ln CN(y; mean, covariance), by its definition."""
    error = y - mean
    exponent = np.real(error.conj() @ np.linalg.solve(covariance, error))
    return -exponent - np.linalg.slogdet(np.pi * covariance)[1]


def log_posterior(y, codebook, model):
    """ln p(m | y) where `model` maps a codeword to the mean and covariance of y."""
    likelihood = [
        [log_density(block, *model(word)) for word in codebook] for block in y
    ]
    return special.log_softmax(np.array(likelihood), axis=1)


def noise(snr_db):
    return 10 ** (-snr_db / 10) * np.eye(C)


@pytest.mark.parametrize("snr_db", SNR_DB)
def test_coherent_posterior(link, snr_db):
    y, codebook = link
    want = log_posterior(y, codebook, lambda c: (c, noise(snr_db)))
    got = coherent_log_posterior(pairs(y), pairs(codebook), snr_db)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_coherent_ml_decides_for_the_nearest_codeword(link):
    y, codebook = link
    got = coherent_ml_metric(pairs(y), pairs(codebook))
    distance2 = np.sum(np.abs(y[:, None] - codebook) ** 2, axis=-1)
    energy = np.sum(np.abs(y) ** 2, axis=-1)[:, None]
    np.testing.assert_allclose(got, (energy - distance2) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("snr_db", SNR_DB)
def test_known_fading(link, snr_db):
    y, codebook = link
    h = normal(np.random.default_rng(1), B)
    metric = known_fading_ml_metric(pairs(y), pairs(h), pairs(codebook))
    got = special.log_softmax(2 * 10 ** (snr_db / 10) * metric, axis=1)
    for b, gain in enumerate(h):
        want = log_posterior(
            y[b : b + 1], codebook, lambda c, gain=gain: (gain * c, noise(snr_db))
        )
        np.testing.assert_allclose(got[b], want[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("snr_db", SNR_DB)
def test_noncoherent_likelihood(link, snr_db):
    y, codebook = link
    want = log_posterior(
        y, codebook, lambda c: (np.zeros(C), noise(snr_db) + np.outer(c, c.conj()))
    )
    metric = noncoherent_ml_metric(pairs(y), pairs(codebook), snr_db)
    np.testing.assert_allclose(
        special.log_softmax(metric, axis=1), want, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("snr_db", SNR_DB)
@pytest.mark.parametrize(("k_factor", "phase"), [(0.0, 0.0), (0.7, 2.0), (10.0, -1.0)])
def test_rician_likelihood(link, snr_db, k_factor, phase):
    y, codebook = link
    mean_gain = np.sqrt(k_factor / (k_factor + 1)) * np.exp(1j * phase)

    def model(c):
        covariance = np.outer(c, c.conj()) / (k_factor + 1)
        return mean_gain * c, noise(snr_db) + covariance

    metric = rician_ml_metric(
        pairs(y), pairs(codebook), snr_db, k_factor=k_factor, phase=phase
    )
    want = log_posterior(y, codebook, model)
    np.testing.assert_allclose(
        special.log_softmax(metric, axis=1), want, rtol=2e-4, atol=2e-4
    )


def test_rician_limits_of_the_k_factor(link):
    y, codebook = map(pairs, link)
    scattered = rician_ml_metric(y, codebook, 5.0, k_factor=0.0, phase=1.0)
    np.testing.assert_allclose(
        scattered, noncoherent_ml_metric(y, codebook, 5.0), rtol=1e-5
    )
    line_of_sight = rician_ml_metric(y, codebook, 5.0, k_factor=1e7, phase=0.0)
    coherent = 2 * 10**0.5 * coherent_ml_metric(y, codebook)
    np.testing.assert_allclose(line_of_sight, coherent, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("pilots", [1, 2])
def test_lmmse_is_the_conditional_mean_of_the_gain(pilots):
    """ĥ per unit of y is the regression of h on y over random samples."""
    rng = np.random.default_rng(0)
    p, snr_db = np.array([1.2 - 0.5j, 0.3j])[:pilots], 4.0
    h = normal(rng, 200_000)
    y = h[:, None] * p + 10 ** (-snr_db / 20) * normal(rng, len(h), pilots)
    weights = np.linalg.lstsq(y, h, rcond=None)[0]
    got = lmmse_channel_estimate(pairs(np.eye(pilots, dtype=complex)), pairs(p), snr_db)
    np.testing.assert_allclose(got, pairs(weights), atol=0.005)


def test_pilot_aided_ml_against_numpy(link):
    y, codebook = link
    codebook[:, 0] = 0.8 + 0.6j
    gamma = 10**0.9
    h = gamma * np.conj(codebook[0, 0]) * y[:, 0] / (1 + gamma)
    rest = np.abs(y[:, None, 1:] - h[:, None, None] * codebook[:, 1:]) ** 2
    want = -np.sum(rest, axis=-1) / 2
    got = pilot_aided_ml_metric(pairs(y), pairs(codebook), 9.0)
    # Up to a term that all messages share, which contains the pilot's.
    difference = got - want
    shared = np.broadcast_to(np.mean(difference, 1, keepdims=True), (B, M))
    np.testing.assert_allclose(difference, shared, atol=1e-5)


def test_noncoherent_ml_errs_less_than_pilot_aided_ml():
    """The codewords are a pilot and two QPSK symbols."""
    rng = np.random.default_rng(0)
    blocks, snr_db = 40_000, 6.0
    qpsk = np.exp(1j * np.pi * (np.arange(4) / 2 + 0.25))
    data = np.stack(np.meshgrid(qpsk, qpsk), axis=-1).reshape(16, 2)
    codebook = np.concatenate([np.ones((16, 1)), data], axis=1)
    message = rng.integers(16, size=blocks)
    y = normal(rng, blocks, 1) * codebook[message]
    y = pairs(y + 10 ** (-snr_db / 20) * normal(rng, blocks, 3))
    codebook = pairs(codebook)
    error_rates = [
        np.mean(np.argmax(np.asarray(detect(y, codebook, snr_db)), axis=1) != message)
        for detect in (noncoherent_ml_metric, pilot_aided_ml_metric)
    ]
    assert error_rates[0] < error_rates[1] - 0.01


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 2 * np.pi))
def test_noncoherent_ml_does_not_depend_on_the_phase(seed, angle):
    rng = np.random.default_rng(seed)
    y, codebook = normal(rng, B, C), normal(rng, M, C)
    metric = noncoherent_ml_metric(pairs(y), pairs(codebook), 8.0)
    rotated = noncoherent_ml_metric(pairs(np.exp(1j * angle) * y), pairs(codebook), 8.0)
    np.testing.assert_allclose(metric, rotated, rtol=1e-3, atol=1e-3)


def test_error_rate_of_two_codewords():
    """±1 in one use: P = Q(√(2γ))."""
    rng, snr_db, blocks = np.random.default_rng(0), 2.0, 100_000
    codebook = np.array([[1.0], [-1.0]], complex)
    message = rng.integers(2, size=blocks)
    y = codebook[message] + 10 ** (-snr_db / 20) * normal(rng, blocks, 1)
    decided = np.argmax(
        np.asarray(coherent_ml_metric(pairs(y), pairs(codebook))), axis=1
    )
    want = stats.norm.sf(np.sqrt(2 * 10 ** (snr_db / 10)))
    # Four standard errors.
    within = float(4 * np.sqrt(want / blocks))
    assert np.mean(decided != message) == pytest.approx(want, abs=within)


def test_detectors_compile_and_batch_over_snr(link):
    y, codebook = map(pairs, link)
    snrs = jnp.array(SNR_DB)
    many = jax.jit(jax.vmap(detection.noncoherent_ml_metric, (None, None, 0)))(
        y, codebook, snrs
    )
    one = noncoherent_ml_metric(y, codebook, SNR_DB[1])
    np.testing.assert_allclose(many[1], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "detect",
    [
        detection.coherent_log_posterior,
        detection.noncoherent_ml_metric,
        detection.pilot_aided_ml_metric,
    ],
)
def test_detectors_allocate_no_array_of_blocks_codewords_and_uses(detect):
    """The largest array has 2 B M elements, not B M C."""
    y, codebook = jnp.ones((11, 5, 2)), jnp.ones((13, 5, 2))
    program = jax.make_jaxpr(lambda a, b: detect(a, b, 3.0))(y, codebook)
    sizes = [out.aval.size for eqn in program.eqns for out in eqn.outvars]
    assert 11 * 13 <= max(sizes) <= 2 * 11 * 13
