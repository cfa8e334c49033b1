"""How training proceeds: rates, batches, and its end, against plain Python."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syntony.errors import InvalidInputError
from syntony.optim import SGD, Adam
from syntony.systems.link.schedule import EarlyStoppingState, TrainingSchedule

BAD = {
    "horizon": 0,
    "receiver_steps": -1,
    "transmitter_steps": -1,
    "warm_up": -1,
    "batch": 1,
    "growth": 0,
    "learning_rate": 0.0,
    "final_learning_rate": -1e-3,
    "max_norm": 0.0,
    "patience": -1,
    "window": 0,
    "progress": 1.0,
}


@pytest.mark.parametrize("name", BAD)
def test_bad_constants_are_refused_in_one_line(name):
    schedule = dataclasses.replace(TrainingSchedule(), **{name: BAD[name]})
    with pytest.raises(
        InvalidInputError, match=f"^{name} is .*; expected .*$"
    ) as caught:
        schedule.check()
    assert "\n" not in str(caught.value)


def test_nothing_is_wrong_with_the_defaults():
    TrainingSchedule().check()


def test_rates_fall_as_a_cosine():
    schedule = TrainingSchedule(
        decay_iterations=90, learning_rate=1.0, final_learning_rate=0.2
    )

    def rate(i):
        return float(schedule.optimizer_at(jnp.int32(i)).learning_rate)

    assert rate(0) == pytest.approx(1.0)
    assert rate(45) == pytest.approx(0.6)
    # cos 60° = ½: a third of the way through, three quarters are left.
    assert rate(30) == pytest.approx(0.2 + 0.8 * 0.75)
    assert rate(90) == rate(1000) == pytest.approx(0.2)


def test_a_side_may_learn_faster_than_the_other():
    schedule = TrainingSchedule(
        decay_iterations=90, learning_rate=1.0, final_learning_rate=0.2
    )
    for i in (0, 45, 90):
        slow, fast = (
            schedule.optimizer_at(jnp.int32(i)),
            schedule.optimizer_at(jnp.int32(i), 8.0),
        )
        assert float(fast.learning_rate) == pytest.approx(8 * float(slow.learning_rate))


def test_optimisers_by_name():
    start = jnp.int32(0)
    assert isinstance(TrainingSchedule().optimizer_at(start), Adam)
    assert isinstance(TrainingSchedule(optimizer="sgd").optimizer_at(start), SGD)


def test_batches_grow_geometrically():
    schedule = TrainingSchedule(decay_iterations=100, final_batch_multiplier=16)
    got = [
        int(schedule.batch_multiplier_at(jnp.int32(i)))
        for i in (0, 25, 50, 75, 100, 500)
    ]
    assert got == [1, 2, 4, 8, 16, 16]


def stalled(losses, *, window, progress):
    """How many windows in a row brought no progress, after each loss."""
    best, stalls, found = np.inf, 0, []
    for i in range(1, len(losses) + 1):
        if i % window == 0:
            mean = np.mean(losses[i - window : i])
            stalls = 0 if mean < (1 - progress) * best else stalls + 1
            best = mean if stalls == 0 else best
        found.append(stalls)
    return found


OBSERVE = jax.jit(EarlyStoppingState.update)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5]))
def test_stall_counts_windows_without_progress(seed, window):
    rng = np.random.default_rng(seed)
    losses = 0.97 ** np.arange(30) * rng.uniform(0.5, 1.5, size=30)
    schedule, stall, got = (
        TrainingSchedule(early_stopping_window=window, min_relative_improvement=0.1),
        EarlyStoppingState.init(),
        [],
    )
    for loss in losses:
        stall = OBSERVE(stall, schedule, jnp.float32(loss))
        got.append(int(stall.windows_without_improvement))
    assert got == stalled(losses, window=window, progress=0.1)


def test_patience_runs_out_only_where_there_is_one():
    stall = EarlyStoppingState.init()._replace(windows_without_improvement=jnp.int32(3))
    assert bool(stall.should_stop(TrainingSchedule(patience=3)))
    assert not bool(stall.should_stop(TrainingSchedule(patience=4)))
    assert not bool(stall.should_stop(TrainingSchedule(patience=0)))
