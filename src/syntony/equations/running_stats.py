"""Running mean and variance of a stream, and standardising by them."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

STD_EPSILON = 1e-8


class RunningMeanStd(NamedTuple):
    """Mean and variance, feature by feature, of all that was seen so far."""

    mean: Float[Array, "*shape"]
    var: Float[Array, "*shape"]
    num_samples: Float[Array, ""]
    """How many rows that is."""


def init_running_mean_std(shape: tuple[int, ...]) -> RunningMeanStd:
    """Returns moments of nothing yet: what passes through them stays as it is."""
    return RunningMeanStd(jnp.zeros(shape), jnp.ones(shape), jnp.asarray(1e-4))


def update_running_mean_std(
    running_stats: RunningMeanStd, x: Float[Array, "..."], mask: Bool[Array, "..."]
) -> RunningMeanStd:
    """Returns the moments of the stream continued by the rows of `x`.

    Args:
        x: the moments' shape behind any number of batch axes.
        mask: over the batch axes; rows that are masked out change nothing.

    Source: Chan, Golub & LeVeque (1979), with the biased variance of a batch.
    """
    rows = x.reshape(-1, *running_stats.mean.shape)
    lived = mask.reshape(-1).astype(x.dtype)
    n = jnp.sum(lived)
    share = lived / jnp.maximum(n, 1.0)
    mean = jnp.tensordot(share, rows, 1)
    var = jnp.tensordot(share, (rows - mean) ** 2, 1)

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
    """Returns (x − mean) / (std + 10⁻⁸)."""
    return (x - running_stats.mean) / (jnp.sqrt(running_stats.var) + STD_EPSILON)


def pearson_correlation(
    x: Float[Array, "*batch"], y: Float[Array, "*batch"], mask: Bool[Array, "..."]
) -> Float[Array, ""]:
    """Returns Pearson's r of x and y over what is masked in; 0 where one is constant.

    Args:
        mask: broadcasts over the batch axes.
    """
    lived = jnp.broadcast_to(mask, x.shape).astype(x.dtype)
    share = lived / jnp.maximum(jnp.sum(lived), 1.0)
    dx, dy = (v - jnp.sum(share * v) for v in (x, y))
    covariance = jnp.sum(share * dx * dy)
    spread = jnp.sqrt(jnp.sum(share * dx**2) * jnp.sum(share * dy**2))
    return jnp.where(spread > 0.0, covariance / jnp.where(spread > 0.0, spread, 1), 0.0)
