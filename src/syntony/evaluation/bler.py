"""Monte Carlo simulation of block error rates (BLER) over SNR.

At each SNR, blocks are simulated until a target number of block errors or a maximum
number of blocks is reached. All detectors of a codebook decide the same received
blocks.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key
from numpy.typing import ArrayLike

from syntony.channels.channel import AnyChannel, Channel
from syntony.channels.ml import ml_metric
from syntony.jax_settings import enter_standard_jax_settings
from syntony.systems.link.gradient_estimators import sample_messages
from syntony.systems.system import StateT, TransmitsMessages
from syntony.training.devices import compiler_options, process_cpu_count

BATCH_SIZE = 4096
"""Blocks simulated at a time: their metrics still fit in a CPU's cache."""
TARGET_BLOCK_ERRORS, MAX_BLOCKS = 1000, 2_000_000
"""Block errors at which a point ends (a 95 % interval of ±6 %), and its most blocks."""

Detector = Callable[
    [Float[Array, "B C 2"], Float[Array, "M C 2"], Channel], Float[Array, "B M"]
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


SimulateFn = Callable[
    [Key[Array, ""], Channel], tuple[Int[Array, " B"], Int[Array, "D B"]]
]
"""Simulates a batch; returns its messages, and the decisions of each detector."""


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
    channel: Channel,
) -> tuple[Int[Array, " B"], Int[Array, "D B"]]:
    """Transmits a batch of random messages; returns them and all decisions.

    Args:
        codebook: M codewords of C symbols.
        detectors: D detectors.
        key: consumed.
        channel: channel between the codebook and the detectors.
    """
    message_key, channel_key = jax.random.split(key)
    message = sample_messages(message_key, BATCH_SIZE, len(codebook))
    y = channel(channel_key, codebook[message])
    metrics = [detect(y, codebook, channel) for detect in detectors]
    return message, jnp.stack([jnp.argmax(metric, axis=-1) for metric in metrics])


def receiver_detector(link: TransmitsMessages[StateT], state: StateT) -> Detector:
    """Learned receiver of a link."""

    def learned_receiver(y: Array, codebook: Array, channel: Channel) -> Array:
        del codebook, channel  # The receiver was trained for both.
        return link.message_logits(state, y)

    return learned_receiver


def link_detectors(link: TransmitsMessages[StateT], state: StateT) -> list[Detector]:
    """Learned receiver of a link, and the ML detector where it is known."""
    learned_receiver, ml = receiver_detector(link, state), ml_detector(link.channel)
    return [learned_receiver, ml] if ml else [learned_receiver]


def simulate_bler(
    simulate_fn: SimulateFn,
    channels: Sequence[Channel],
    key: Key[Array, ""],
    *,
    target_block_errors: int = TARGET_BLOCK_ERRORS,
    max_blocks: int = MAX_BLOCKS,
) -> list[ErrorCounts]:
    """Simulates error counts over each channel.

    Args:
        simulate_fn: simulates one batch.
        channels: one per point, of one type; points run in parallel threads.
        key: consumed.
        target_block_errors: block errors of the first detector at which a point ends.
        max_blocks: blocks at which it ends in any case, rounded up to whole batches.

    Returns:
        Error counts for each channel.
    """
    simulate_point = partial(_simulate_point, simulate_fn)
    stop = jnp.int32(target_block_errors), jnp.int32(-(-max_blocks // BATCH_SIZE))
    keys = [jax.random.fold_in(key, i) for i in range(len(channels))]
    points = list(zip(keys, channels, strict=True))
    if any(channel.is_black_box for channel in channels):
        return [_to_error_counts(*simulate_point(*point, *stop)) for point in points]
    program = jax.jit(simulate_point).lower(key, channels[0], *stop)
    compiled = program.compile(compiler_options())
    with ThreadPoolExecutor(
        process_cpu_count(), initializer=enter_standard_jax_settings
    ) as pool:
        jobs = [pool.submit(compiled, *point, *stop) for point in points]
        return [_to_error_counts(*jax.device_get(job.result())) for job in jobs]


SimulationState = tuple[Int[Array, ""], Int[Array, " D"], Int[Array, " D"]]
"""Number of batches, block errors and bit errors."""


def _simulate_point(
    simulate_fn: SimulateFn,
    key: Key[Array, ""],
    channel: Channel,
    target_block_errors: Int[Array, ""],
    max_batches: Int[Array, ""],
) -> SimulationState:
    def needs_more_errors(counts: SimulationState) -> Bool[Array, ""]:
        return (counts[1][0] < target_block_errors) & (counts[0] < max_batches)

    def simulate_next_batch(counts: SimulationState) -> SimulationState:
        batches, block_errors, bit_errors = counts
        message, decisions = simulate_fn(jax.random.fold_in(key, batches), channel)
        wrong_bits = jax.lax.population_count(decisions ^ message)
        wrong_blocks = jnp.sum(wrong_bits > 0, axis=-1, dtype=jnp.int32)
        return (
            batches + 1,
            block_errors + wrong_blocks,
            bit_errors + jnp.sum(wrong_bits, axis=-1),
        )

    zero = jnp.int32(0)
    if not channel.is_black_box:
        num_detectors = jax.eval_shape(simulate_fn, key, channel)[1].shape[0]
        zeros = jnp.zeros(num_detectors, jnp.int32)
        return jax.lax.while_loop(
            needs_more_errors, simulate_next_batch, (zero, zeros, zeros)
        )
    # A black box runs on the host; its shapes are known only after a call.
    counts = simulate_next_batch((zero, zero, zero))
    while needs_more_errors(counts):
        counts = simulate_next_batch(counts)
    return counts


def _to_error_counts(
    batches: ArrayLike, block_errors: ArrayLike, bit_errors: ArrayLike
) -> ErrorCounts:
    return ErrorCounts(
        int(np.asarray(batches)) * BATCH_SIZE,
        np.asarray(block_errors),
        np.asarray(bit_errors),
    )
