"""Error counts over channels: the stopping rule, detectors, channels with memory."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, Int, Key

from syntony.channels.awgn import AWGN
from syntony.channels.channel import AnyChannel, ChannelState
from syntony.evaluation import bler
from syntony.evaluation.bler import BATCH_SIZE, SimulatedBatch

POINTS, TARGET = 2_000, 10
RATES = 2e-3, 8e-3
"""Error rates of two detectors: the second errs where the first does, and elsewhere."""


def with_known_rates(
    key: Key[Array, ""], channel: AnyChannel, channel_state: ChannelState
) -> SimulatedBatch:
    """A batch whose detectors err at known rates."""
    del channel
    wrong = jax.random.uniform(key, (BATCH_SIZE,)) < jnp.array(RATES)[:, None]
    message = jnp.zeros(BATCH_SIZE, jnp.int32)
    return SimulatedBatch(channel_state, message, wrong.astype(jnp.int32))


def mean_and_error(samples: Float[np.ndarray, "points ..."]) -> tuple:
    return samples.mean(axis=0), samples.std(axis=0) / np.sqrt(len(samples))


def test_estimates_of_few_errors_are_unbiased():
    channels = [AWGN()] * POINTS
    points = bler.simulate_bler(
        with_known_rates, channels, jax.random.key(0), target_block_errors=TARGET
    )
    assert all(point.block_errors[0] == TARGET for point in points)
    mean, error = mean_and_error(
        np.array([point.block_errors / point.blocks for point in points])
    )
    np.testing.assert_array_less(np.abs(mean - RATES), 2 * error)
    # The distribution of K / (n − 1), n of the negative binomial, in NumPy.
    blocks = np.random.default_rng(0).negative_binomial(TARGET + 1, RATES[0], POINTS)
    expected, expected_error = mean_and_error(TARGET / (blocks + TARGET))
    assert abs(expected - RATES[0]) < 2 * expected_error
    assert error[0] == pytest.approx(expected_error, rel=0.2)


def test_whole_batches_until_the_target_would_be_biased():
    """The rule that the one above replaced, in NumPy: the test could detect it."""
    rng = np.random.default_rng(0)
    errors, batches = np.zeros(POINTS), np.zeros(POINTS)
    while (unfinished := errors < TARGET).any():
        added = rng.binomial(BATCH_SIZE, RATES[0], POINTS)
        errors, batches = errors + added * unfinished, batches + unfinished
    mean, error = mean_and_error(errors / (batches * BATCH_SIZE))
    assert mean > RATES[0] + 5 * error


def test_counts_end_before_the_first_error_beyond_the_target():
    """Against a loop over the same blocks."""
    key, target = jax.random.key(5), 25
    (counts,) = bler.simulate_bler(
        with_known_rates, [AWGN()], key, target_block_errors=target
    )
    keys = [jax.random.fold_in(jax.random.fold_in(key, 0), i) for i in range(20)]
    batches = [with_known_rates(key, AWGN(), ()).decisions for key in keys]
    wrong = np.concatenate(batches, axis=1)
    end = np.flatnonzero(wrong[0])[target]
    assert counts.blocks == end > BATCH_SIZE
    np.testing.assert_array_equal(counts.block_errors, wrong[:, :end].sum(axis=1))
    np.testing.assert_array_equal(counts.bit_errors, counts.block_errors)


def test_all_blocks_count_at_the_maximum():
    (counts,) = bler.simulate_bler(
        with_known_rates, [AWGN()], jax.random.key(0), max_blocks=BATCH_SIZE + 1
    )
    assert counts.blocks == 2 * BATCH_SIZE
    assert counts.block_errors[1] > counts.block_errors[0] > 0


@jax.tree_util.register_static
@dataclass(frozen=True)
class Late:
    """Channel with memory: each block is received in place of the next one."""

    is_black_box: bool
    snr_db: float | None = None
    differentiable: bool = True
    has_unknown_gain: bool = False
    id: str = "late"

    def check(self) -> None: ...

    def with_snr(self, snr_db: Float[Array, ""] | float) -> "Late":
        del snr_db
        return self

    def init(self, key: Key[Array, ""]) -> ChannelState:
        del key
        return jnp.ones((1, 1, 2))

    def __call__(
        self, key: Key[Array, ""], state: ChannelState, x: Array
    ) -> tuple[ChannelState, Array]:
        del key
        return x[-1:], jnp.concatenate([jnp.asarray(state), x[:-1]])


def nearest(y: Array, codebook: Array, channel: AnyChannel) -> Array:
    del channel
    return -jnp.sum((y[:, None] - codebook) ** 2, axis=(2, 3))


@pytest.mark.parametrize("is_black_box", [False, True])
def test_a_channel_keeps_its_state_over_batches(is_black_box: bool):
    """Late decisions are the messages that were sent one block before, always."""
    codebook = jnp.array([[[1.0, 0.0]], [[-1.0, 0.0]], [[0.0, 1.0]], [[0.0, -1.0]]])
    batches: list[Int[np.ndarray, "2 B"]] = []

    def simulate(
        key: Key[Array, ""], channel: AnyChannel, state: ChannelState
    ) -> SimulatedBatch:
        simulate_batch = partial(bler.simulate_batch, codebook, [nearest])
        batch = simulate_batch(key, channel, state)
        both = jnp.stack([batch.message, batch.decisions[0]])
        jax.debug.callback(batches.append, both, ordered=True)
        return batch

    start = jnp.array([[[0.0, -1.0]]])
    bler.simulate_bler(
        simulate,
        [Late(is_black_box)],
        jax.random.key(1),
        channel_state=start,
        max_blocks=3 * BATCH_SIZE,
        target_block_errors=10**6,
    )
    jax.effects_barrier()
    message, decisions = np.concatenate(batches, axis=1)
    assert len(message) == 3 * BATCH_SIZE
    np.testing.assert_array_equal(decisions, np.concatenate([[3], message[:-1]]))
