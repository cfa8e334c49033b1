"""Monte Carlo simulation of block error rates (BLER) over SNR.

At each SNR, blocks are simulated until a target number of block errors or a maximum
number of blocks is reached. All detectors of a codebook decide the same received
blocks.

Blocks are counted in their order, up to the one at which the first detector errs once
more than the target. With the target K, a point has K errors in n − 1 blocks, n the
block of error K + 1. K / (n − 1) is unbiased; K / n, or the rate of whole batches, is
too high by about 1 / K. So is the rate of the other detectors over the same blocks:
given n, K of these are a random sample of the blocks that the first detector decides
wrongly, the others of those that it decides rightly. Where the maximum number of blocks
ends a point, all blocks are counted, and the rate is unbiased as well.

Source: Haldane, "On a method of estimating frequencies", Biometrika 33 (1945); with the
    maximum, Girshick, Mosteller and Savage, Ann. Math. Statist. 17 (1946).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.channels.channel import (
    AnyChannel,
    ChannelState,
    init_channel,
    transmit,
)
from syntony.channels.ml import ml_metric
from syntony.equations.statistics import wilson_interval
from syntony.jax_settings import make_thread_pool
from syntony.systems.link.gradient_estimators import sample_messages
from syntony.systems.system import StateT, TransmitsMessages
from syntony.training.devices import compiler_options, process_cpu_count
from syntony.training.metrics_log import MetricsRow

BATCH_SIZE = 4096
"""Blocks simulated at a time: their metrics still fit in a CPU's cache."""
TARGET_BLOCK_ERRORS, MAX_BLOCKS = 1000, 2_000_000
"""Block errors at which a point ends (a 95 % interval of ±6 %), and its most blocks."""

Detector = Callable[
    [Float[Array, "B D 2"], Float[Array, "M C 2"], AnyChannel], Float[Array, "B M"]
]
"""Metric of all messages, from the received blocks, the codebook and the channel."""


class ErrorCounts(NamedTuple):
    """Error counts of D detectors at one point."""

    blocks: int
    """Number of simulated blocks."""
    block_errors: Int[np.ndarray, " D"]
    """Block errors of each detector."""
    bit_errors: Int[np.ndarray, " D"]
    """Bit errors of each detector."""


class SimulatedBatch(NamedTuple):
    """A batch of blocks in the order in which they were sent."""

    channel_state: ChannelState
    """State of the channel after the batch."""
    message: Int[Array, " B"]
    """Messages, as the numbers of their bit labels."""
    decisions: Int[Array, "D B"]
    """Decisions of each of D detectors, likewise."""


SimulateFn = Callable[[Key[Array, ""], AnyChannel, ChannelState], SimulatedBatch]
"""Simulates a batch over a channel, from the state that the batch before left."""


def ml_detector(channel: AnyChannel) -> Detector | None:
    """Maximum-likelihood detector of a channel; None where it is not known."""
    metric = ml_metric(channel)
    if metric is None:
        return None
    return lambda y, codebook, channel: metric(channel, y, codebook)


def simulate_batch(
    codebook: Float[Array, "M C 2"],
    detectors: Sequence[Detector],
    key: Key[Array, ""],
    channel: AnyChannel,
    channel_state: ChannelState,
    label_numbers: Int[np.ndarray, " M"] | None = None,
) -> SimulatedBatch:
    """Transmits a batch of random messages, and decides it with all detectors.

    Args:
        codebook: M codewords of C symbols.
        detectors: D detectors.
        key: consumed.
        channel: channel between the codebook and the detectors.
        channel_state: what earlier blocks left in a channel with memory, else ().
        label_numbers: bit label of each message, as a number; None: its index.
    """
    message_key, channel_key = jax.random.split(key)
    message = sample_messages(message_key, BATCH_SIZE, len(codebook))
    sent = codebook[message]
    channel_state, y = transmit(channel, channel_key, channel_state, sent)
    metrics = [detect(y, codebook, channel) for detect in detectors]
    decisions = jnp.stack([jnp.argmax(metric, axis=-1) for metric in metrics])
    if label_numbers is not None:
        labels = jnp.asarray(label_numbers, message.dtype)
        message, decisions = labels[message], labels[decisions]
    return SimulatedBatch(channel_state, message, decisions)


def receiver_detector(link: TransmitsMessages[StateT], state: StateT) -> Detector:
    """Learned receiver of a link."""

    def learned_receiver(y: Array, codebook: Array, channel: AnyChannel) -> Array:
        del codebook, channel  # The receiver was trained for both.
        return link.message_logits(state, y)

    return learned_receiver


def link_detectors(link: TransmitsMessages[StateT], state: StateT) -> list[Detector]:
    """Learned receiver of a link, and the ML detector where it is known."""
    learned_receiver, ml = receiver_detector(link, state), ml_detector(link.channel)
    return [learned_receiver, ml] if ml else [learned_receiver]


def simulate_bler(
    simulate_fn: SimulateFn,
    channels: Sequence[AnyChannel],
    key: Key[Array, ""],
    *,
    channel_state: ChannelState | None = None,
    target_block_errors: int = TARGET_BLOCK_ERRORS,
    max_blocks: int = MAX_BLOCKS,
) -> list[ErrorCounts]:
    """Simulates error counts over each channel.

    Args:
        simulate_fn: simulates one batch.
        channels: one per point, of one type; points run in parallel threads.
        key: consumed.
        channel_state: state of a channel with memory at the start of each point; None:
            a new one.
        target_block_errors: block errors of the first detector that are counted, at
            most.
        max_blocks: blocks at which a point ends in any case, rounded up to whole
            batches.

    Returns:
        Error counts for each channel.
    """
    simulate_point = partial(_simulate_point, simulate_fn)
    stop = jnp.int32(target_block_errors), jnp.int32(-(-max_blocks // BATCH_SIZE))
    points = [
        _Point(jax.random.fold_in(key, i), channel, _start(channel_state, channel, key))
        for i, channel in enumerate(channels)
    ]
    if any(channel.is_black_box for channel in channels):
        return [_to_error_counts(simulate_point(point, *stop)) for point in points]
    program = jax.jit(simulate_point).lower(points[0], *stop)
    compiled = program.compile(compiler_options())
    with make_thread_pool(process_cpu_count()) as pool:
        jobs = [pool.submit(compiled, point, *stop) for point in points]
        return [_to_error_counts(jax.device_get(job.result())) for job in jobs]


class _Point(NamedTuple):
    """Channel at one point, with its state and a key."""

    key: Key[Array, ""]
    channel: AnyChannel
    channel_state: ChannelState


class _Counts(NamedTuple):
    """Counts of D detectors at one point, so far."""

    channel_state: ChannelState
    batches: Int[Array, ""]
    last_blocks: Int[Array, ""]
    """Blocks of the last batch that are counted: fewer than all end the point."""
    block_errors: Int[Array, " D"]
    bit_errors: Int[Array, " D"]


def _start(
    state: ChannelState | None, channel: AnyChannel, key: Key[Array, ""]
) -> ChannelState:
    return init_channel(channel, key) if state is None else state


def _simulate_point(
    simulate_fn: SimulateFn,
    point: _Point,
    target_block_errors: Int[Array, ""],
    max_batches: Int[Array, ""],
) -> _Counts:
    def is_unfinished(counts: _Counts) -> Bool[Array, ""]:
        return (counts.last_blocks == BATCH_SIZE) & (counts.batches < max_batches)

    def simulate_next_batch(counts: _Counts) -> _Counts:
        key = jax.random.fold_in(point.key, counts.batches)
        batch = simulate_fn(key, point.channel, counts.channel_state)
        return _count_errors(counts, batch, target_block_errors)

    zero = jnp.int32(0)
    start = _Counts(point.channel_state, zero, jnp.int32(BATCH_SIZE), zero, zero)
    if not point.channel.is_black_box:
        batch = jax.eval_shape(simulate_fn, *point)
        zeros = jnp.zeros(len(batch.decisions), jnp.int32)
        start = start._replace(block_errors=zeros, bit_errors=zeros)
        return jax.lax.while_loop(is_unfinished, simulate_next_batch, start)
    # A black box runs on the host; its shapes are known only after a call.
    counts = simulate_next_batch(start)
    while is_unfinished(counts):
        counts = simulate_next_batch(counts)
    return counts


def _count_errors(
    counts: _Counts, batch: SimulatedBatch, target_block_errors: Int[Array, ""]
) -> _Counts:
    """Counts with those of a batch, before the first detector exceeds the target."""
    wrong_bits = jax.lax.population_count(batch.decisions ^ batch.message)
    wrong = (wrong_bits > 0).astype(jnp.int32)
    so_far = jnp.ravel(counts.block_errors)[0] + jnp.cumsum(wrong[0], dtype=jnp.int32)
    counted = (so_far <= target_block_errors).astype(jnp.int32)
    return _Counts(
        batch.channel_state,
        counts.batches + 1,
        jnp.sum(counted, dtype=jnp.int32),
        counts.block_errors + wrong @ counted,
        counts.bit_errors + wrong_bits @ counted,
    )


def _to_error_counts(counts: _Counts) -> ErrorCounts:
    earlier_batches = int(np.asarray(counts.batches)) - 1
    return ErrorCounts(
        earlier_batches * BATCH_SIZE + int(np.asarray(counts.last_blocks)),
        np.asarray(counts.block_errors),
        np.asarray(counts.bit_errors),
    )


def error_rates(
    counts: ErrorCounts, detector: int, num_bits: int | None, prefix: str = ""
) -> MetricsRow:
    """Row of one detector: error rates with Wilson's interval, and counts.

    Args:
        counts: counts of all detectors at a point.
        detector: index of the detector.
        num_bits: bits of a message; None: without a bit error rate.
        prefix: put before each name but that of the number of blocks.
    """
    errors, blocks = int(counts.block_errors[detector]), counts.blocks
    low, high = wilson_interval(errors, blocks)
    row = {f"{prefix}errors": errors, "blocks": blocks}
    row |= {f"{prefix}bler": errors / blocks, f"{prefix}bler_low": low}
    row[f"{prefix}bler_high"] = high
    if num_bits is not None:
        bit_errors = int(counts.bit_errors[detector])
        row[f"{prefix}ber"] = bit_errors / (blocks * num_bits)
    return row
