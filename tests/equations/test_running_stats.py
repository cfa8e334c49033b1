"""Running mean and variance against NumPy over all samples."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.equations.running_stats import (
    denormalize_values,
    init_feature_stats,
    init_running_mean_std,
    init_value_stats,
    normalize,
    normalize_features,
    normalize_values,
    two_sum,
    update_feature_stats,
    update_running_mean_std,
    update_value_stats,
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


def feature_stats(batches, masks):
    stats = init_feature_stats(batches[0].shape[-1:])
    for x, mask in zip(batches, masks, strict=True):
        stats = update_feature_stats(stats, x, mask)
    return stats


@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1.0, 0.0), (1e-30, 0.0), (1e30, 0.0), (1e8, 0.0), (1.0, 1e5), (1e-4, 10.0)],
)
def test_features_of_any_unit_and_offset_are_normalized(scale, offset):
    """Against float64, in three batches of different sizes and means."""
    rng = np.random.default_rng(0)
    raw = [(rng.normal(size=(n, 2)) + n) * scale + offset for n in (3, 40, 11)]
    batches = [jnp.asarray(x, jnp.float32) for x in raw]
    masks = [jnp.asarray(rng.uniform(size=len(x)) < 0.7) for x in raw]
    stats = feature_stats(batches, masks)
    kept = np.concatenate(
        [
            np.asarray(x, np.float64)[np.asarray(m)]
            for x, m in zip(batches, masks, strict=True)
        ]
    )
    assert float(stats.num_samples) == len(kept)
    np.testing.assert_allclose(stats.mean, kept.mean(0), rtol=1e-4)
    np.testing.assert_allclose(stats.std, kept.std(0), rtol=1e-3)
    got = normalize_features(stats, batches[1])
    want = (np.asarray(batches[1], np.float64) - kept.mean(0)) / kept.std(0)
    np.testing.assert_allclose(got, want, atol=0.02)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e30, 1e6 + 1])
def test_constant_features_are_zero(constant):
    x = jnp.full((7, 3), constant)
    stats = feature_stats([x, x[:2]], [jnp.ones(7, bool), jnp.ones(2, bool)])
    np.testing.assert_array_equal(normalize_features(stats, x), 0.0)
    # Also another value than that so far: its unit is not known yet.
    np.testing.assert_array_equal(normalize_features(stats, x + 1.0), 0.0)


def test_samples_that_do_not_count_may_be_anything():
    mask = jnp.array([False, True, True, False])
    with jax.debug_nans(False):
        x = jnp.array([[jnp.nan], [2.0], [4.0], [jnp.inf]])
        stats = update_feature_stats(init_feature_stats((1,)), x, mask)
        unchanged = update_feature_stats(stats, x, jnp.zeros(4, bool))
    np.testing.assert_allclose((stats.mean[0], stats.std[0]), (3.0, 1.0))
    for a, b in zip(stats, unchanged, strict=True):
        np.testing.assert_array_equal(a, b)
    empty = update_feature_stats(init_feature_stats((1,)), x[1:3], mask[:2] & False)
    np.testing.assert_array_equal(normalize_features(empty, x[1:3]), 0.0)


def test_normalized_features_are_clipped():
    x = jnp.concatenate([jnp.zeros(9_999), jnp.ones(1)])[:, None]
    stats = update_feature_stats(init_feature_stats((1,)), x, jnp.ones(10_000, bool))
    assert float(normalize_features(stats, x).max()) == 10.0


def test_there_may_be_no_features():
    empty = update_feature_stats(
        init_feature_stats((0,)), jnp.zeros((5, 0)), jnp.ones(5, bool)
    )
    assert empty.mean.shape == (0,)


def test_value_statistics_are_means_over_the_batches(key):
    """Without bias from the start, whatever β; masked targets do not count."""
    batches = 100.0 + 7.0 * jax.random.normal(key, (3, 50, 2))
    mask = jnp.arange(50)[:, None] < 30
    stats = init_value_stats()
    for batch in batches:
        loud = jnp.where(mask, batch, 1e6)
        stats = update_value_stats(stats, loud, mask, decay=0.99999)
    kept = np.asarray(batches[:, :30], np.float64)
    mean, std = kept.mean(), kept.std()
    np.testing.assert_allclose(denormalize_values(stats, jnp.zeros(1)), mean, rtol=1e-3)
    normalized = normalize_values(stats, jnp.array([mean + std]))
    np.testing.assert_allclose(normalized, 1.0, rtol=2e-2)
    again = denormalize_values(stats, normalized)
    np.testing.assert_allclose(again, mean + std, rtol=1e-5)


@partial(jax.jit, static_argnums=2)
def stats_of_normal_samples(stats, shift, batches):
    def update(i, stats):
        noise = jax.random.normal(jax.random.fold_in(jax.random.key(0), i), (50,))
        return update_feature_stats(stats, shift + noise, jnp.ones(50, bool))

    return jax.lax.fori_loop(0, batches, update, stats)


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: 1e8 + 0.0 * rng.normal(size=100_000),
        lambda rng: 1e6 + rng.choice([-1.0, 1.0], 1_000_000),
        lambda rng: 1e-20 * rng.normal(size=100_000),
        lambda rng: 1e37 * rng.normal(size=100_000),
    ],
    ids=["constant", "offset", "tiny", "huge"],
)
def test_statistics_of_many_rewards_are_exact(make):
    """Against float64. With a prior of mean 0, std was 10 times too large."""
    rewards = np.asarray(make(np.random.default_rng(0)), np.float32)
    stats = jax.jit(
        lambda x: jax.lax.scan(
            lambda s, x: (update_feature_stats(s, x, jnp.ones(50, bool)), None),
            init_feature_stats(()),
            x,
        )[0]
    )(rewards.reshape(-1, 50))
    wide = rewards.astype(np.float64)
    mean = float(stats.mean) + float(stats.mean_low)
    assert abs(mean - wide.mean()) <= 1e-6 * wide.std()
    np.testing.assert_allclose(stats.std, wide.std(), rtol=1e-6)


@pytest.mark.parametrize("count", [2.0**24, 2.0**30, 2.0**31 - 128, 2.0**40])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_statistics_never_freeze(count, offset):
    """After any number of samples 4,000 batches move them by their share."""
    stats = stats_of_normal_samples(init_feature_stats(()), offset, 100)
    stats = stats._replace(num_samples=jnp.float32(count))
    later = stats_of_normal_samples(stats, offset + 1000.0, 4000)
    share = 1 - (1 - 1 / min(count / 50, 2.0**20)) ** 4000
    moved = (later.mean - stats.mean) + (later.mean_low - stats.mean_low)
    np.testing.assert_allclose(moved, 1000.0 * share, rtol=0.03)
    variance = 1.0 + share * (1 - share) * 1000.0**2
    np.testing.assert_allclose(later.std, variance**0.5, rtol=0.03)


@pytest.mark.parametrize("count", [2.0**24, 2.0**30, 2.0**40])
def test_statistics_of_the_released_code_never_freeze(count):
    before = init_running_mean_std(())._replace(num_samples=jnp.float32(count))
    after = update_running_mean_std(before, jnp.full(50, 3.0), jnp.ones(50, bool))
    expected = 3.0 / min(count / 50, 2.0**20)
    np.testing.assert_allclose(after.mean, expected, rtol=1e-4)


def test_two_sum_loses_nothing_when_compiled():
    a, b = jnp.float32(2.0**24), jnp.float32(0.3)
    total, low = jax.jit(two_sum)(a, b)
    assert (float(total), float(low)) == (2.0**24, float(b))
