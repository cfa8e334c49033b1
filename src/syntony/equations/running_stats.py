"""Running mean and variance, and normalization by them."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

STD_EPSILON = 1e-8
"""Term added to standard deviations, against division by zero."""


class RunningMeanStd(NamedTuple):
    """Mean and variance of each feature over all samples so far."""

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

    total = running_stats.num_samples + n
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
