"""Running moments against NumPy over the whole stream."""

import jax
import jax.numpy as jnp
import numpy as np

from syntony.equations.running_stats import (
    init_running_mean_std,
    normalize,
    update_running_mean_std,
)


def test_batches_add_up_to_the_whole_stream(key):
    x = 3.0 + 2.0 * jax.random.normal(key, (5, 10, 4, 3))
    mask = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.6, (5, 10, 4))
    moments = init_running_mean_std((3,))
    for batch, lived in zip(x, mask, strict=True):
        moments = update_running_mean_std(moments, batch, lived)
    rows = np.asarray(x)[np.asarray(mask)]
    np.testing.assert_allclose(moments.mean, rows.mean(0), rtol=1e-4)
    np.testing.assert_allclose(moments.var, rows.var(0), rtol=1e-3)
    standard = normalize(moments, jnp.asarray(rows))
    np.testing.assert_allclose(standard.mean(0), 0.0, atol=1e-3)
    np.testing.assert_allclose(standard.std(0), 1.0, rtol=1e-3)


def test_masked_rows_change_nothing(key):
    x = jax.random.normal(key, (6, 2))
    mask = jnp.array([True, True, False, True, False, True])
    loud = jnp.where(mask[:, None], x, 1e6)
    for got, want in zip(
        update_running_mean_std(init_running_mean_std((2,)), loud, mask),
        update_running_mean_std(init_running_mean_std((2,)), x, mask),
        strict=True,
    ):
        np.testing.assert_array_equal(got, want)


def test_a_batch_of_nothing_changes_nothing():
    before = update_running_mean_std(
        init_running_mean_std(()), jnp.arange(4.0), jnp.ones(4, bool)
    )
    after = update_running_mean_std(before, jnp.full(4, 9.0), jnp.zeros(4, bool))
    for got, want in zip(after, before, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
