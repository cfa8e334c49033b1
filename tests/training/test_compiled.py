"""Compiled programs: shapes without computation, and one trace of `init`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Key
from toy_system import Toy, ToyState

from syntony.training.compiled import (
    TrainState,
    _add_metrics,
    abstract_train_state,
    compile_programs,
)
from syntony.training.devices import worker_devices
from syntony.training.seed_scheduler import mean_train_metrics


def test_init_is_traced_once(monkeypatch: pytest.MonkeyPatch):
    original, calls = Toy.init, []

    def counting_init(self: Toy, key: Key[Array, ""]) -> ToyState:
        calls.append(key)
        return original(self, key)

    monkeypatch.setattr(Toy, "init", counting_init)
    # No other test has this size: JAX keeps traces over tests.
    system = Toy(size=17)
    abstract_train_state(system)
    compile_programs(system, 5, worker_devices(1)[0])
    abstract_train_state(system)
    assert len(calls) == 1


def test_the_abstract_state_has_the_shapes_of_the_computed_one():
    system, device = Toy(size=4), worker_devices(1)[0]
    programs = compile_programs(system, 5, device)
    key = jax.device_put(jax.random.key(0), device)
    computed = programs.init(system, key)
    expected = abstract_train_state(system)
    assert jax.tree.structure(computed) == jax.tree.structure(expected)
    for array, abstract in zip(
        *map(jax.tree.leaves, (computed, expected)), strict=True
    ):
        assert (array.shape, array.dtype) == (abstract.shape, abstract.dtype)
    assert np.isfinite(computed.state.x).all()


def test_means_of_2_to_25_updates_are_right():
    """A sum of 32-bit numbers alone stays at 2^24 times the metric."""
    metrics = {"train/loss": jnp.float32(0.3)}

    @jax.jit
    def add(count: int) -> Any:
        zeros = {"train/loss": jnp.zeros(())}
        start = (zeros, zeros, jnp.int32(0), jnp.int32(0))
        return jax.lax.fori_loop(
            0, count, lambda _, totals: _add_metrics(totals, metrics)[0], start
        )

    sums, low, updates, _ = add(2**25)
    state = TrainState(None, sums, low, updates)
    mean = mean_train_metrics(state)["train/loss"]
    assert mean == pytest.approx(float(metrics["train/loss"]), rel=1e-7)
