"""Running mean and variance of a stream, and standardising by them."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

EPSILON = 1e-8


class Moments(NamedTuple):
    """Mean and variance, feature by feature, of all that was seen so far."""

    mean: Float[Array, "*shape"]
    var: Float[Array, "*shape"]
    count: Float[Array, ""]


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
    weight = mask.reshape(-1).astype(x.dtype)
    n = jnp.maximum(jnp.sum(weight), 1.0)
    mean = jnp.tensordot(weight, rows, 1) / n
    var = jnp.tensordot(weight, (rows - mean) ** 2, 1) / n

    n = jnp.sum(weight)
    total = moments.count + n
    delta = mean - moments.mean
    squares = moments.var * moments.count + var * n
    squares = squares + delta**2 * (moments.count * n / total)
    return Moments(moments.mean + delta * (n / total), squares / total, total)


def standardise(moments: Moments, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns (x − mean) / (std + 10⁻⁸)."""
    return (x - moments.mean) / (jnp.sqrt(moments.var) + EPSILON)
