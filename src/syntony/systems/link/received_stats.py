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
MAX_AMPLITUDE = 30.0
"""Amplitude at which the real parts of normalized symbols are clipped."""


class ReceivedStats(NamedTuple):
    """Running statistics of received blocks of D symbols."""

    mean: Float[Array, "D 2"]
    """Mean of each symbol of a block."""
    log_level: Float[Array, ""]
    """ln r; r is the root mean square of the symbols, less their means."""
    batches: Int[Array, ""]
    """Batches so far, at most `MAX_BATCHES`."""

    @classmethod
    def init(cls, uses: int) -> "ReceivedStats":
        """Statistics of no batches, for received blocks of D = `uses` symbols."""
        return cls(jnp.zeros((uses, 2)), jnp.zeros(()), jnp.zeros((), jnp.int32))


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
    return ReceivedStats(
        stats.mean + jnp.where(is_outlier, 0.0, rate) * (mean - stats.mean),
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
    """Received blocks (y − μ) / r, clipped at `MAX_AMPLITUDE`; y if stats are None."""
    if stats is None:
        return y
    unit = (y - stats.mean) * jnp.exp(-stats.log_level)
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
