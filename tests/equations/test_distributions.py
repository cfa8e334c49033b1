"""Log-probabilities and entropies against SciPy; samples against probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from syntony.equations import distributions

LOGITS = jnp.array([[0.3, -0.5, 1.1, 0.0], [2.0, 0.0, -1.0, 0.5]])


def test_log_prob_and_entropy():
    p = np.asarray(jax.nn.softmax(LOGITS))
    got = distributions.categorical_log_prob(LOGITS, jnp.array([2, 3]))
    np.testing.assert_allclose(got, np.log([p[0, 2], p[1, 3]]), rtol=1e-5)
    want = [stats.entropy(row) for row in p]
    np.testing.assert_allclose(
        distributions.categorical_entropy(LOGITS), want, rtol=1e-5
    )


def test_samples_follow_the_softmax(key):
    noise = jax.random.gumbel(key, (50_000, 4))
    rows = jnp.broadcast_to(LOGITS[0], noise.shape)
    samples = distributions.categorical_sample(noise, rows)
    counts = np.bincount(samples, minlength=4)
    expected = 50_000 * np.asarray(jax.nn.softmax(LOGITS[0]), np.float64)
    assert stats.chisquare(counts, expected * 50_000 / expected.sum()).pvalue > 1e-4


def test_samples_without_noise_are_greedy():
    samples = distributions.categorical_sample(jnp.zeros_like(LOGITS), LOGITS)
    np.testing.assert_array_equal(samples, [2, 0])


def test_masked_actions_are_never_sampled_and_have_no_entropy(key):
    action_mask = jnp.array([True, False, True, False])
    rows = jnp.broadcast_to(LOGITS[0], (9_999, 4))
    logits = distributions.masked_logits(
        rows, jnp.broadcast_to(action_mask, rows.shape)
    )
    samples = distributions.categorical_sample(
        jax.random.gumbel(key, rows.shape), logits
    )
    assert set(np.unique(samples)) == {0, 2}
    p = np.exp(np.asarray(LOGITS[0])[[0, 2]])
    want = stats.entropy(p / p.sum())
    np.testing.assert_allclose(
        distributions.categorical_entropy(logits[0]), want, rtol=1e-5
    )
    grads = jax.grad(
        lambda x: distributions.categorical_entropy(
            distributions.masked_logits(x, action_mask)
        )
    )(LOGITS[0])
    assert np.all(np.isfinite(grads))


def test_gaussian_sample_has_the_given_mean_and_variance(key):
    noise = jax.random.normal(key, (200_000, 2))
    mean = jnp.broadcast_to(jnp.array([1.0, -2.0]), noise.shape)
    log_var = jnp.broadcast_to(jnp.log(jnp.array([0.25, 4.0])), noise.shape)
    z = distributions.gaussian_sample(noise, mean, log_var)
    np.testing.assert_allclose(z.mean(0), [1.0, -2.0], atol=0.02)
    np.testing.assert_allclose(z.var(0), [0.25, 4.0], rtol=0.02)
