"""Running mean and variance against NumPy over all samples."""

import jax
import jax.numpy as jnp
import numpy as np

from syntony.equations.running_stats import (
    init_running_mean_std,
    normalize,
    update_running_mean_std,
)


def test_batches_equal_all_samples_at_once(key):
    x = 3.0 + 2.0 * jax.random.normal(key, (5, 10, 4, 3))
    mask = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.6, (5, 10, 4))
    running_stats = init_running_mean_std((3,))
    for batch, valid in zip(x, mask, strict=True):
        running_stats = update_running_mean_std(running_stats, batch, valid)
    samples = np.asarray(x)[np.asarray(mask)]
    np.testing.assert_allclose(running_stats.mean, samples.mean(0), rtol=1e-4)
    np.testing.assert_allclose(running_stats.var, samples.var(0), rtol=1e-3)
    normalized = normalize(running_stats, jnp.asarray(samples))
    np.testing.assert_allclose(normalized.mean(0), 0.0, atol=1e-3)
    np.testing.assert_allclose(normalized.std(0), 1.0, rtol=1e-3)


def test_masked_samples_are_ignored(key):
    x = jax.random.normal(key, (6, 2))
    mask = jnp.array([True, True, False, True, False, True])
    with_outliers = jnp.where(mask[:, None], x, 1e6)
    for got, want in zip(
        update_running_mean_std(init_running_mean_std((2,)), with_outliers, mask),
        update_running_mean_std(init_running_mean_std((2,)), x, mask),
        strict=True,
    ):
        np.testing.assert_array_equal(got, want)


def test_fully_masked_batch_changes_nothing():
    before = update_running_mean_std(
        init_running_mean_std(()), jnp.arange(4.0), jnp.ones(4, bool)
    )
    after = update_running_mean_std(before, jnp.full(4, 9.0), jnp.zeros(4, bool))
    for got, want in zip(after, before, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
