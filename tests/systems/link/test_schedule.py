"""Learning rates, batches and early stopping, against plain Python."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syntony.errors import InvalidInputError
from syntony.systems.link.schedule import EarlyStoppingState, TrainingSchedule

BAD = {
    "decay_iterations": 0,
    "receiver_steps": -1,
    "transmitter_steps": -1,
    "receiver_warmup_iterations": -1,
    "batch_size": 1,
    "final_batch_multiplier": 0,
    "learning_rate": 0.0,
    "final_learning_rate": -1e-3,
    "receiver_lr_multiplier": 0.0,
    "max_grad_norm": 0.0,
    "patience": -1,
    "early_stopping_window": 0,
    "min_relative_improvement": 1.0,
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_constants_are_rejected_in_one_line(name):
    schedule = dataclasses.replace(TrainingSchedule(), **{name: BAD[name]})
    with pytest.raises(
        InvalidInputError, match=f"^{name} is .*; expected .*$"
    ) as error:
        schedule.check()
    assert "\n" not in str(error.value)


def test_unknown_optimizers_are_rejected():
    with pytest.raises(InvalidInputError, match=r"^unknown optimizer 'adan'; did you"):
        TrainingSchedule(optimizer="adan").check()


def test_defaults_are_valid():
    TrainingSchedule().check()


def test_learning_rate_has_cosine_decay():
    schedule = TrainingSchedule(
        decay_iterations=90, learning_rate=1.0, final_learning_rate=0.2
    )

    def rate(i):
        return float(schedule.learning_rate_at(jnp.int32(i)))

    assert rate(0) == pytest.approx(1.0)
    assert rate(45) == pytest.approx(0.6)
    # cos 60° = ½: a third of the way through, three quarters are left.
    assert rate(30) == pytest.approx(0.2 + 0.8 * 0.75)
    assert rate(90) == rate(1000) == pytest.approx(0.2)


def test_multiplier_scales_the_learning_rate():
    schedule = TrainingSchedule(
        decay_iterations=90, learning_rate=1.0, final_learning_rate=0.2
    )
    for i in (0, 45, 90):
        slow, fast = (
            schedule.learning_rate_at(jnp.int32(i)),
            schedule.learning_rate_at(jnp.int32(i), 8.0),
        )
        assert float(fast) == pytest.approx(8 * float(slow))


@pytest.mark.parametrize(("name", "rule"), [("adam", optax.adam), ("sgd", optax.sgd)])
def test_optimizer_has_its_rule_rate_and_norm(name, rule):
    schedule = TrainingSchedule(
        optimizer=name, decay_iterations=90, learning_rate=1.0, max_grad_norm=0.3
    )
    iterations, params, grads = jnp.int32(30), jnp.zeros(3), jnp.arange(3.0)
    optimizer = schedule.optimizer_at(iterations, 2.0)
    got: Any
    got, _ = optimizer.update(grads, optimizer.init(params), params)
    reference = rule(2.0 * float(schedule.learning_rate_at(iterations)))
    clipped = grads * 0.3 / jnp.linalg.norm(grads)
    want: Any
    want, _ = reference.update(clipped, reference.init(params), params)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_batches_grow_geometrically():
    schedule = TrainingSchedule(decay_iterations=100, final_batch_multiplier=16)
    got = [
        int(schedule.batch_multiplier_at(jnp.int32(i)))
        for i in (0, 25, 50, 75, 100, 500)
    ]
    assert got == [1, 2, 4, 8, 16, 16]


def windows_without_improvement(losses, *, window, min_improvement):
    """Consecutive windows without improvement, after each loss."""
    best, windows, result = np.inf, 0, []
    for i in range(1, len(losses) + 1):
        if i % window == 0:
            mean = np.mean(losses[i - window : i])
            windows = 0 if mean < (1 - min_improvement) * best else windows + 1
            best = mean if windows == 0 else best
        result.append(windows)
    return result


UPDATE = jax.jit(EarlyStoppingState.update)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5]))
def test_early_stopping_counts_windows_without_improvement(seed, window):
    rng = np.random.default_rng(seed)
    losses = 0.97 ** np.arange(30) * rng.uniform(0.5, 1.5, size=30)
    schedule = TrainingSchedule(
        early_stopping_window=window, min_relative_improvement=0.1
    )
    state, got = EarlyStoppingState.init(), []
    for loss in losses:
        state = UPDATE(state, schedule, jnp.float32(loss))
        got.append(int(state.windows_without_improvement))
    want = windows_without_improvement(losses, window=window, min_improvement=0.1)
    assert got == want


def test_patience_of_zero_never_stops():
    state = EarlyStoppingState.init()._replace(windows_without_improvement=jnp.int32(3))
    assert bool(state.should_stop(TrainingSchedule(patience=3)))
    assert not bool(state.should_stop(TrainingSchedule(patience=4)))
    assert not bool(state.should_stop(TrainingSchedule(patience=0)))
