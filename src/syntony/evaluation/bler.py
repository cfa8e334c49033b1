"""Error rates over SNR: of a learned link, of the best decoder for its code, of others.

Every point counts blocks until enough of them are wrong, or a cap is reached, and says
how many that were. All that is compared at a point is compared over the same channel.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.channels.awgn import AWGN
from syntony.channels.channel import Channel
from syntony.channels.rayleigh import Rayleigh
from syntony.equations import detection
from syntony.systems.link.gradient_estimators import sample_messages
from syntony.systems.link.link import Link, LinkState
from syntony.training.devices import compiler_options, process_cpu_count

BATCH_SIZE = 4096
"""Blocks that are sent at a time: their scores still fit in a cache."""
TARGET_BLOCK_ERRORS, MAX_BLOCKS = 1000, 2_000_000
"""Block errors that make a point sure enough (6 %), and blocks to stop at anyway."""

Detector = Callable[
    [Float[Array, "B C 2"], Float[Array, "M C 2"], Any], Float[Array, "B M"]
]
"""What scores all messages, given what was heard, the codebook, and the SNR."""


class ErrorCounts(NamedTuple):
    """What was counted at one point."""

    blocks: int
    block_errors: Int[np.ndarray, " D"]
    """Wrong blocks of each decision that was compared."""
    bit_errors: Int[np.ndarray, " D"]
    """Wrong bits of each."""


SimulateFn = Callable[
    [Key[Array, ""], Channel], tuple[Int[Array, " B"], Int[Array, "D B"]]
]
"""Sends a batch; returns its messages, and what each detector took them for."""


def ml_detector(channel: Channel) -> Detector | None:
    """Returns the decoder that no other beats over this channel, where one is known."""
    if isinstance(channel, AWGN):
        return lambda y, codebook, _: detection.coherent_ml_metric(y, codebook)
    if isinstance(channel, Rayleigh):
        return detection.noncoherent_ml_metric
    return None


def simulate_batch(
    codebook: Float[Array, "M C 2"],
    detectors: Sequence[Detector],
    key: Key[Array, ""],
    channel: Channel,
) -> tuple[Int[Array, " B"], Int[Array, "D B"]]:
    """Sends a batch of a code; returns its messages, and what each detector says."""
    message_key, channel_key = jax.random.split(key)
    message = sample_messages(message_key, BATCH_SIZE, len(codebook))
    y = channel(channel_key, codebook[message])
    scores = [detect(y, codebook, channel.snr_db) for detect in detectors]
    return message, jnp.stack([jnp.argmax(score, axis=-1) for score in scores])


def link_detectors(link: Link, state: LinkState) -> list[Detector]:
    """Returns a link's own receiver, and the best decoder where one is known."""

    def own(y: Array, codebook: Array, snr_db: Any) -> Array:
        del codebook, snr_db  # It has learned what it has to know of them.
        return state.receiver(y)

    best = ml_detector(link.channel)
    return [own, best] if best else [own]


def simulate_bler(
    simulate_fn: SimulateFn,
    channels: Sequence[Channel],
    key: Key[Array, ""],
    *,
    target_block_errors: int = TARGET_BLOCK_ERRORS,
    max_blocks: int = MAX_BLOCKS,
) -> list[ErrorCounts]:
    """Returns one tally for each channel, until the first decision errs often enough.

    Args:
        wanted: wrong blocks of the first decision at which counting stops.
        cap: blocks at which it stops anyway, rounded up to whole batches.
    """
    count = partial(_simulate_point, simulate_fn)
    bounds = jnp.int32(target_block_errors), jnp.int32(-(-max_blocks // BATCH_SIZE))
    each = [jax.random.fold_in(key, i) for i in range(len(channels))]
    if any(channel.is_black_box for channel in channels):
        pairs = zip(each, channels, strict=True)
        return [_to_error_counts(*count(*pair, *bounds)) for pair in pairs]
    program = jax.jit(count).lower(key, channels[0], *bounds)
    compiled = program.compile(compiler_options())
    with ThreadPoolExecutor(process_cpu_count()) as pool:
        jobs = [
            pool.submit(compiled, key, channel, *bounds)
            for key, channel in zip(each, channels, strict=True)
        ]
        return [_to_error_counts(*jax.device_get(job.result())) for job in jobs]


SimulationState = tuple[Int[Array, ""], Int[Array, " D"], Int[Array, " D"]]
"""Batches, wrong blocks, wrong bits."""


def _simulate_point(
    simulate_fn: SimulateFn,
    key: Key[Array, ""],
    channel: Channel,
    target_block_errors: Int[Array, ""],
    max_batches: Int[Array, ""],
) -> SimulationState:
    def unsure(counts: SimulationState) -> Bool[Array, ""]:
        return (counts[1][0] < target_block_errors) & (counts[0] < max_batches)

    def more(counts: SimulationState) -> SimulationState:
        batches, errors, bits = counts
        message, decided = simulate_fn(jax.random.fold_in(key, batches), channel)
        differ = jax.lax.population_count(decided ^ message)
        wrong = jnp.sum(differ > 0, axis=-1, dtype=jnp.int32)
        return batches + 1, errors + wrong, bits + jnp.sum(differ, axis=-1)

    start = jnp.int32(0)
    if not channel.is_black_box:
        detectors = jax.eval_shape(simulate_fn, key, channel)[1].shape[0]
        nothing = jnp.zeros(detectors, jnp.int32)
        return jax.lax.while_loop(unsure, more, (start, nothing, nothing))
    # A black box is crossed on the host, where shapes show when it is called.
    counts = more((start, start, start))
    while unsure(counts):
        counts = more(counts)
    return counts


def _to_error_counts(batches: Any, block_errors: Any, bit_errors: Any) -> ErrorCounts:
    return ErrorCounts(
        int(batches) * BATCH_SIZE, np.asarray(block_errors), np.asarray(bit_errors)
    )
