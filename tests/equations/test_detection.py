"""Detectors against densities in NumPy, one codeword at a time."""

import functools

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
random_phase_ml_metric = jax.jit(detection.random_phase_ml_metric)
random_phase_rician_ml_metric = jax.jit(detection.random_phase_rician_ml_metric)
gaussian_ml_metric = jax.jit(detection.gaussian_ml_metric)
impulsive_ml_metric = jax.jit(detection.impulsive_ml_metric)
quantized_ml_metric = jax.jit(
    detection.quantized_ml_metric, static_argnames="num_levels"
)
log_gaussian_interval = jax.jit(detection.log_gaussian_interval)
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


@pytest.mark.parametrize("snr_db", SNR_DB)
@pytest.mark.parametrize("k_factor", [0.0, 2.0, None])
def test_random_phase_is_the_mean_likelihood_over_phases(link, snr_db, k_factor):
    """By a sum over phases; without K there is no scattered power."""
    y, codebook = link
    scatter = 0.0 if k_factor is None else 1 / (k_factor + 1)
    phases = np.exp(2j * np.pi * np.arange(256) / 256)
    want = np.array(
        [
            [
                special.logsumexp(
                    [
                        log_density(
                            block,
                            np.sqrt(1 - scatter) * phase * c,
                            noise(snr_db) + scatter * np.outer(c, c.conj()),
                        )
                        for phase in phases
                    ]
                )
                for c in codebook[:3]
            ]
            for block in y[:2]
        ]
    )
    args = pairs(y[:2]), pairs(codebook[:3]), snr_db
    got = (
        random_phase_ml_metric(*args)
        if k_factor is None
        else random_phase_rician_ml_metric(*args, k_factor=k_factor)
    )
    np.testing.assert_allclose(
        special.log_softmax(got, axis=1),
        special.log_softmax(want, axis=1),
        rtol=2e-4,
        atol=2e-4,
    )


@pytest.mark.parametrize("snr_db", [*SNR_DB, 60.0])
@pytest.mark.parametrize("taps", [1, 2, 5])
def test_gaussian_likelihood(snr_db, taps):
    """Also with more paths than uses, and with two that are equal."""
    rng = np.random.default_rng(2)
    images = normal(rng, M, taps, C)
    images[:, -1] = images[:, 0]
    covariance = [noise(snr_db) + np.einsum("lc,ld->cd", a, a.conj()) for a in images]
    sent = rng.integers(M, size=B)
    y = np.stack([np.linalg.cholesky(covariance[m]) @ normal(rng, C) for m in sent])
    want = [[log_density(block, 0.0, k) for k in covariance] for block in y]
    got = gaussian_ml_metric(pairs(y), pairs(images), snr_db)
    tolerance = 1e-3 * max(1.0, 10 ** (snr_db / 10 - 4))
    np.testing.assert_allclose(
        special.log_softmax(got, axis=1),
        special.log_softmax(np.array(want), axis=1),
        rtol=1e-3,
        atol=tolerance,
    )


@pytest.mark.parametrize("snr_db", SNR_DB)
@pytest.mark.parametrize("probability", [0.0, 0.05, 1.0])
def test_impulsive_likelihood(link, snr_db, probability):
    y, codebook = link
    power, impulse = 10 ** (-snr_db / 10), 100.0
    error = y[:, None] - codebook

    def density(variance):
        part = stats.norm(0, np.sqrt(variance / 2))
        return part.pdf(error.real) * part.pdf(error.imag)

    mixed = (1 - probability) * density(power) + probability * density(impulse * power)
    want = np.sum(np.log(mixed), axis=-1)
    got = impulsive_ml_metric(
        pairs(y), pairs(codebook), snr_db, probability=probability, impulse=impulse
    )
    np.testing.assert_allclose(
        special.log_softmax(got, axis=1),
        special.log_softmax(want, axis=1),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("snr_db", SNR_DB)
@pytest.mark.parametrize("bits", [1, 2, 5])
def test_quantized_likelihood(link, snr_db, bits):
    y, codebook = link
    step, levels = 3.0 / 2**bits, 2**bits
    index = np.clip(np.floor(pairs(y) / step), -levels // 2, levels // 2 - 1).astype(
        int
    )
    sigma = np.sqrt(0.5 * 10 ** (-snr_db / 10))
    edges = step * np.arange(-levels // 2, levels // 2 + 1)
    edges[[0, -1]] = -np.inf, np.inf
    lower, upper = (edges[index + levels // 2 + i][:, None] for i in (0, 1))
    sent = np.asarray(pairs(codebook), float)
    below, above = (
        [f(edge, sent, sigma) for edge in (lower, upper)]
        for f in (stats.norm.cdf, stats.norm.sf)
    )
    # The tail without cancellation.
    probability = np.where(lower > sent, above[0] - above[1], below[1] - below[0])
    want = np.sum(np.log(np.maximum(probability, 1e-300)), axis=(-2, -1))
    got = quantized_ml_metric(
        jnp.asarray(step * (index + 0.5), jnp.float32),
        pairs(codebook),
        snr_db,
        step=step,
        num_levels=levels,
    )
    likely = want > want.max(axis=1, keepdims=True) - 20
    np.testing.assert_allclose(
        np.where(likely, got, 0.0), np.where(likely, want, 0.0), rtol=2e-4, atol=2e-4
    )


@pytest.mark.parametrize("width", [1e-4, 0.05, 0.4, 3.0, 40.0])
@pytest.mark.parametrize("lower", [-18.0, -3.0, -0.3, 0.0, 5.0, 17.0])
def test_logarithm_of_the_probability_of_an_interval(lower, width):
    a, b = np.float32(lower), np.float32(lower + width)
    # Relative to the peak of the density, on a fine grid within its reach.
    peak = np.clip(0.0, a, b)
    grid = np.linspace(max(a, peak - 40.0), min(b, peak + 40.0), 400_001)
    density = np.exp(0.5 * (peak**2 - grid.astype(float) ** 2))
    want = np.log(np.trapezoid(density, grid)) - 0.5 * (peak**2 + np.log(2 * np.pi))
    np.testing.assert_allclose(log_gaussian_interval(a, b), want, rtol=2e-6, atol=2e-6)


def test_open_intervals():
    ends = jnp.array([-np.inf, -2.0, 1.5]), jnp.array([-3.0, np.inf, np.inf])
    want = [stats.norm.logcdf(-3), stats.norm.logsf(-2), stats.norm.logsf(1.5)]
    np.testing.assert_allclose(log_gaussian_interval(*ends), want, rtol=1e-6)


@pytest.mark.parametrize(
    "metric",
    [
        noncoherent_ml_metric,
        random_phase_ml_metric,
        functools.partial(rician_ml_metric, k_factor=2.0, phase=0.0),
        functools.partial(random_phase_rician_ml_metric, k_factor=2.0),
        functools.partial(impulsive_ml_metric, probability=0.1, impulse=100.0),
        functools.partial(quantized_ml_metric, step=0.25, num_levels=16),
        lambda y, c, snr_db: gaussian_ml_metric(y, jnp.stack([c, c], 1), snr_db),
    ],
)
def test_without_noise_the_sent_codeword_is_decided(link, metric):
    _, codebook = link
    # Levels of the quantizer.
    codebook = 0.25 * (np.round(pairs(codebook) / 0.25 - 0.5) + 0.5)
    for snr_db in (200.0, np.inf):
        got = np.asarray(metric(jnp.asarray(codebook), jnp.asarray(codebook), snr_db))
        assert not np.any(np.isnan(got))
        np.testing.assert_array_equal(np.argmax(got, axis=1), np.arange(M))


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
