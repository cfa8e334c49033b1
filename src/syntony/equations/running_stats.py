"""Running mean and variance, and normalization by them."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

STD_EPSILON = 1e-8
"""Term added to standard deviations, against division by zero."""
MAX_BATCHES = 2.0**20
"""Full batches that statistics remember: from then on, older ones fade. Else the weight
of a batch would at some time be lost in rounding, and nothing would change any more."""


class RunningMeanStd(NamedTuple):
    """Mean and variance of each feature so far, as the released code of SMPE² has them.

    They begin with a sample of weight 10⁻⁴, mean 0 and variance 1.
    """

    mean: Float[Array, "*shape"]
    var: Float[Array, "*shape"]
    num_samples: Float[Array, ""]
    """Number of samples."""


def init_running_mean_std(shape: tuple[int, ...]) -> RunningMeanStd:
    """Initial statistics, with mean 0 and variance 1: normalization changes nothing."""
    # With a type: a number alone is weakly typed, and compiles everything twice.
    num_samples = jnp.full((), 1e-4, float)
    return RunningMeanStd(jnp.zeros(shape), jnp.ones(shape), num_samples)


def update_running_mean_std(
    running_stats: RunningMeanStd, x: Float[Array, "..."], mask: Bool[Array, "..."]
) -> RunningMeanStd:
    """Statistics after a batch of samples.

    Args:
        x: samples: any number of batch axes, then the shape of the statistics.
        mask: over the batch axes; samples with a false mask are ignored.

    Source: Chan, Golub & LeVeque (1979), with the biased variance of a batch.
    """
    samples = x.reshape(-1, *running_stats.mean.shape)
    valid = mask.reshape(-1).astype(x.dtype)
    n = jnp.sum(valid)
    weight = valid / jnp.maximum(n, 1.0)
    mean = jnp.tensordot(weight, samples, 1)
    var = jnp.tensordot(weight, (samples - mean) ** 2, 1)

    total = jnp.minimum(running_stats.num_samples + n, mask.size * MAX_BATCHES)
    delta = mean - running_stats.mean
    squares = running_stats.var * running_stats.num_samples + var * n
    squares = squares + delta**2 * (running_stats.num_samples * n / total)
    return RunningMeanStd(
        running_stats.mean + delta * (n / total), squares / total, total
    )


def normalize(
    running_stats: RunningMeanStd, x: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Normalized values (x − mean) / (std + 10⁻⁸)."""
    return (x - running_stats.mean) / (jnp.sqrt(running_stats.var) + STD_EPSILON)


class FeatureStats(NamedTuple):
    """Mean and standard deviation of each feature over all samples so far.

    Exact for features of any unit and offset: deviations are taken from a sample or
    from the mean, and squared relative to the largest. Both are sums of two numbers, so
    that a change far below the precision of one is not lost.
    """

    mean: Float[Array, "*shape"]
    mean_low: Float[Array, "*shape"]
    """What rounding has taken from the mean."""
    std: Float[Array, "*shape"]
    """Zero of a feature that has always been the same."""
    std_low: Float[Array, "*shape"]
    num_samples: Float[Array, ""]
    """Number of samples, at most `MAX_BATCHES` full batches."""


def init_feature_stats(shape: tuple[int, ...]) -> FeatureStats:
    """Statistics of no samples."""
    mean, low, std, std_low = (jnp.zeros(shape) for _ in range(4))
    # With a type: a number alone is weakly typed, and compiles everything twice.
    return FeatureStats(mean, low, std, std_low, jnp.full((), 0.0, float))


def update_feature_stats(
    stats: FeatureStats, x: Float[Array, "..."], mask: Bool[Array, "..."]
) -> FeatureStats:
    """Statistics after a batch of samples.

    Args:
        stats: statistics before.
        x: samples: any number of batch axes, then the shape of the statistics.
        mask: over the batch axes; samples with a false mask are ignored.

    Source: Chan, Golub & LeVeque (1979), with the biased variance of a batch.
    """
    # With the number of samples, as there may be no features.
    samples = x.reshape(mask.size, *stats.mean.shape)
    valid = mask.reshape(mask.size, *[1] * stats.mean.ndim)
    n = jnp.sum(mask, dtype=x.dtype)
    first = samples[jnp.argmax(mask.reshape(-1))]
    is_first = (stats.num_samples == 0.0) & (n > 0.0)
    center = jnp.where(is_first, first, stats.mean)
    deviation = jnp.where(valid, (samples - center) - stats.mean_low, 0.0)
    scale = jnp.max(jnp.abs(deviation), axis=0)
    # Relative to the largest, no square of a deviation overflows, and none vanishes.
    deviation = deviation / jnp.where(scale > 0.0, scale, 1.0)
    delta = jnp.sum(deviation, axis=0) / jnp.maximum(n, 1.0)
    squares = jnp.sum(jnp.where(valid, (deviation - delta) ** 2, 0.0), axis=0)
    std = scale * jnp.sqrt(squares / jnp.maximum(n, 1.0))

    total = jnp.minimum(stats.num_samples + n, mask.size * MAX_BATCHES)
    weight = n / jnp.maximum(total, 1.0)
    change = std_change(stats.std, std, scale * delta, weight)
    return FeatureStats(
        *two_sum(center, stats.mean_low + weight * scale * delta),
        *two_sum(stats.std, stats.std_low + change),
        total,
    )


def two_sum(
    a: Float[Array, "*shape"], b: Float[Array, "*shape"]
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Rounded sum of two numbers, and what rounding took from it.

    Source: Knuth, The Art of Computer Programming, volume 2, 4.2.2.
    """
    total = a + b
    rounded = total - a
    return total, (a - (total - rounded)) + (b - rounded)


def std_change(
    std: Float[Array, "*shape"],
    other_std: Float[Array, "*shape"],
    delta: Float[Array, "*shape"],
    weight: Float[Array, ""],
) -> Float[Array, "*shape"]:
    """Change of the standard deviation of a set of samples by another set.

    Args:
        std: standard deviation of the one.
        other_std: standard deviation of the other.
        delta: difference of their means.
        weight: share of the other in all samples; 1 where the first set is empty.
    """
    size = jnp.max(jnp.abs(jnp.stack([std, other_std, delta])), axis=0)
    safe = jnp.where(size > 0.0, size, 1.0)
    old, other, d = std / safe, other_std / safe, delta / safe
    change = weight * ((other - old) * (other + old) + (1.0 - weight) * d**2)
    # The difference of the squares, by the sum of the standard deviations.
    total = old + jnp.sqrt(jnp.maximum(old**2 + change, 0.0))
    return size * change / jnp.where(total > 0.0, total, 1.0)


def standardize(stats: FeatureStats, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Standardized values (x − mean) / std.

    A feature that has always been the same is zero, whatever its value; so is every
    feature before the first sample.
    """
    known = stats.std > 0.0
    deviation = (x - stats.mean) - stats.mean_low
    return jnp.where(known, deviation / jnp.where(known, stats.std, 1.0), 0.0)


FEATURE_CLIP = 10.0
"""Standard deviations to which normalized features are clipped."""


def normalize_features(
    stats: FeatureStats, x: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Standardized features, clipped to ± 10."""
    return jnp.clip(standardize(stats, x), -FEATURE_CLIP, FEATURE_CLIP)


class ValueStats(NamedTuple):
    """Moving averages of a critic's targets, and of their squares, from zero on."""

    mean: Float[Array, ""]
    mean_square: Float[Array, ""]
    debiasing: Float[Array, ""]
    """Sum of the weights of all batches in the averages, 1 in the long run."""


MIN_VALUE_VARIANCE = 1e-2
"""Smallest variance that normalizes values."""


def init_value_stats() -> ValueStats:
    """Statistics of no targets: they normalize as mean 0 and variance 0.01 do."""
    zero = jnp.full((), 0.0, float)
    return ValueStats(zero, jnp.copy(zero), jnp.copy(zero))


def update_value_stats(
    stats: ValueStats,
    targets: Float[Array, "*batch"],
    mask: Bool[Array, "..."],
    *,
    decay: Float[Array, ""] | float,
) -> ValueStats:
    """Statistics after a batch of targets.

        m ← β m + (1 − β) mean of the batch

    Args:
        stats: statistics before.
        targets: the critic's targets, in units of the rewards.
        mask: targets to include; broadcasts over the batch axes.
        decay: β in [0, 1), close to 1.

    Source: Yu et al. (2022), in the form of their released code; van Hasselt et al.,
        "Learning values across many orders of magnitude", NeurIPS 2016 (PopArt).
    """
    valid = jnp.broadcast_to(mask, targets.shape)
    weight = valid / jnp.maximum(jnp.sum(valid), 1)
    batch = (
        jnp.sum(jnp.where(valid, weight * targets, 0.0)),
        jnp.sum(jnp.where(valid, weight * targets**2, 0.0)),
        jnp.ones_like(stats.debiasing),
    )
    moved = [decay * m + (1.0 - decay) * x for m, x in zip(stats, batch, strict=True)]
    return ValueStats(*moved)


def value_mean_and_std(
    stats: ValueStats,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean and standard deviation of the targets so far, without bias."""
    weight = jnp.maximum(stats.debiasing, 1e-5)
    mean = stats.mean / weight
    variance = stats.mean_square / weight - mean**2
    return mean, jnp.sqrt(jnp.maximum(variance, MIN_VALUE_VARIANCE))


def normalize_values(
    stats: ValueStats, targets: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Targets in the units of a critic whose values are normalized."""
    mean, std = value_mean_and_std(stats)
    return (targets - mean) / std


def denormalize_values(
    stats: ValueStats, values: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Values of such a critic in units of the rewards."""
    mean, std = value_mean_and_std(stats)
    return values * std + mean


def pearson_correlation(
    x: Float[Array, "*batch"], y: Float[Array, "*batch"], mask: Bool[Array, "..."]
) -> Float[Array, ""]:
    """Pearson correlation of x and y; 0 where one of them is constant.

    Args:
        x: samples.
        y: samples.
        mask: samples to include; broadcasts over the batch axes.
    """
    valid = jnp.broadcast_to(mask, x.shape).astype(x.dtype)
    weight = valid / jnp.maximum(jnp.sum(valid), 1.0)
    dx, dy = (v - jnp.sum(weight * v) for v in (x, y))
    covariance = jnp.sum(weight * dx * dy)
    scale = jnp.sqrt(jnp.sum(weight * dx**2) * jnp.sum(weight * dy**2))
    return jnp.where(scale > 0.0, covariance / jnp.where(scale > 0.0, scale, 1), 0.0)
