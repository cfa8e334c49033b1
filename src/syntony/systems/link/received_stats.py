"""Normalization of received blocks by running statistics.

A receiver learns the same for every gain and offset of the channel: it sees symbols
without their mean, and with energy 1 per use. The statistics are part of the state.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from syntony.equations.signal import normalize_blocks

MIN_RATE = 0.01
"""Weight of the newest batch in the statistics, at least: they follow a channel that
changes."""
MAX_BATCHES = 2**20
"""Number of batches from which they are not counted any more: their weight is least."""
MAX_LEVEL_CHANGE = 6.9
"""Change of ln r, a factor of 1,000, above which a batch does not move the mean."""
MIN_MEAN_DEVIATIONS = 5.0
"""Standard errors of a mean below which it counts as zero."""
MAX_AMPLITUDE = 30.0
"""Amplitude at which the real parts of normalized symbols are clipped."""


class ReceivedStats(NamedTuple):
    """Running statistics of received blocks of D symbols."""

    mean: Float[Array, "D 2"]
    """Mean of each symbol of a block."""
    mean_error: Float[Array, ""]
    """Variance of the mean of a symbol, a complex number, in units of r²."""
    log_level: Float[Array, ""]
    """ln r; r is the root mean square of the symbols, less their means."""
    batches: Int[Array, ""]
    """Batches so far, at most `MAX_BATCHES`."""

    @classmethod
    def init(cls, uses: int) -> "ReceivedStats":
        """Statistics of no batches, for received blocks of D = `uses` symbols."""
        zero = jnp.zeros(())
        return cls(jnp.zeros((uses, 2)), zero, jnp.copy(zero), jnp.zeros((), jnp.int32))

    @property
    def significant_mean(self) -> Float[Array, "D 2"]:
        """μ · max(0, 1 − k² v / |μ|²), the means less what may be chance.

        v is the variance of a mean by chance, and k `MIN_MEAN_DEVIATIONS`. Under fading
        symbols have no mean: a block in a deep fade, which is smaller than an error of
        the mean, stays as it is.
        """
        # In units of r, whose square may not be a float32.
        power = jnp.sum((self.mean * jnp.exp(-self.log_level)) ** 2, axis=-1)
        threshold = MIN_MEAN_DEVIATIONS**2 * self.mean_error
        significance = 1.0 - threshold / jnp.maximum(power, 1e-30)
        return self.mean * jnp.maximum(significance, 0.0)[:, None]


@jax.jit
def update_received_stats(
    stats: ReceivedStats, y: Float[Array, "B D 2"]
) -> ReceivedStats:
    """Statistics after one more batch.

        μ ← μ + ρ (μ_batch − μ),   ln r ← ln r + ρ (ln r_batch − ln r)

    with ρ = 1 / t for the t-th batch, at least `MIN_RATE`. The level is a geometric
    mean: a batch of any power, a fault of a radio, moves it by little. A batch without
    power does not count.
    """
    mean = jnp.mean(y, axis=0)
    # All symbols as one block.
    _, (level,) = normalize_blocks((y - mean).reshape(1, -1, 2))
    has_power = level > 0.0
    log_level = jnp.log(jnp.where(has_power, level, 1.0))
    first = stats.batches == 0
    rate = jnp.maximum(1.0 / (stats.batches + 1.0), MIN_RATE)
    change = log_level - stats.log_level
    is_outlier = ~first & (jnp.abs(change) > MAX_LEVEL_CHANGE)
    mean_rate = jnp.where(is_outlier, 0.0, rate)
    return ReceivedStats(
        stats.mean + mean_rate * (mean - stats.mean),
        (1.0 - mean_rate) ** 2 * stats.mean_error + mean_rate**2 / len(y),
        stats.log_level + jnp.where(has_power, rate, 0.0) * change,
        jnp.minimum(stats.batches + 1, MAX_BATCHES),
    )


def restart_stats(stats: ReceivedStats | None) -> ReceivedStats | None:
    """Statistics that the next batch replaces."""
    if stats is None:
        return None
    return stats._replace(batches=jnp.zeros_like(stats.batches))


@jax.jit
def normalize_received(
    stats: ReceivedStats | None, y: Float[Array, "B D 2"]
) -> Float[Array, "B D 2"]:
    """Received blocks (y − μ) / r, clipped at `MAX_AMPLITUDE`; y if stats are None.

    μ are the significant means.
    """
    if stats is None:
        return y
    unit = (y - stats.significant_mean) * jnp.exp(-stats.log_level)
    return jnp.clip(unit, -MAX_AMPLITUDE, MAX_AMPLITUDE)


def with_neighbors(y: Float[Array, "B D 2"], count: int) -> Float[Array, "B W 2"]:
    """Each block between its `count` predecessors and successors, W = (2 count + 1) D.

    Blocks before the first one and after the last one are zeros.
    """
    if count == 0:
        return y
    edge = jnp.zeros_like(y, shape=(count, *y.shape[1:]))
    padded = jnp.concatenate([edge, y, edge])
    windows = [padded[i : i + len(y)] for i in range(2 * count + 1)]
    return jnp.concatenate(windows, axis=1)
