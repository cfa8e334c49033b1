"""Running mean and variance of a stream, and standardising by them."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

EPSILON = 1e-8


class Moments(NamedTuple):
    """Mean and variance, feature by feature, of all that was seen so far."""

    mean: Float[Array, "*shape"]
    var: Float[Array, "*shape"]
    weight: Float[Array, ""]
    """How many rows that is."""


def initial_moments(shape: tuple[int, ...]) -> Moments:
    """Returns moments of nothing yet: what passes through them stays as it is."""
    return Moments(jnp.zeros(shape), jnp.ones(shape), jnp.asarray(1e-4))


def update_moments(
    moments: Moments, x: Float[Array, "..."], mask: Bool[Array, "..."]
) -> Moments:
    """Returns the moments of the stream continued by the rows of `x`.

    Args:
        x: the moments' shape behind any number of batch axes.
        mask: over the batch axes; rows that are masked out change nothing.

    Source: Chan, Golub & LeVeque (1979), with the biased variance of a batch.
    """
    rows = x.reshape(-1, *moments.mean.shape)
    lived = mask.reshape(-1).astype(x.dtype)
    n = jnp.sum(lived)
    share = lived / jnp.maximum(n, 1.0)
    mean = jnp.tensordot(share, rows, 1)
    var = jnp.tensordot(share, (rows - mean) ** 2, 1)

    total = moments.weight + n
    delta = mean - moments.mean
    squares = moments.var * moments.weight + var * n
    squares = squares + delta**2 * (moments.weight * n / total)
    return Moments(moments.mean + delta * (n / total), squares / total, total)


def standardise(moments: Moments, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns (x − mean) / (std + 10⁻⁸)."""
    return (x - moments.mean) / (jnp.sqrt(moments.var) + EPSILON)


def correlation(
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
