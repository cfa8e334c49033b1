"""The compiled part of a run: one seed learns for a while, then is measured."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.stages import Lowered
from jaxtyping import Array, Bool, Int, Key, PyTree

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.systems.system import EvalSamples, Metrics, System
from syntony.training.devices import (
    DeviceSharding,
    compiler_options,
    fast_compile_options,
)


class TrainState(NamedTuple):
    """How far one seed has come: all that a chunk changes and a checkpoint keeps."""

    state: Any
    metric_sums: Metrics
    """What each update since the last evaluation reported, added up."""
    num_updates: Int[Array, ""]
    """How many updates that is."""


Carry = tuple[TrainState, Metrics, Int[Array, ""]]
"""A seed, what its last update reported, and how many updates the chunk had so far."""
IntScalar = Int[Array, ""] | np.int32
"""Where a chunk ends: within a compiled one, an array."""


class ChunkStatus(NamedTuple):
    """What a chunk says of itself; small, for the host to read."""

    step: Int[Array, ""]
    num_updates: Int[Array, ""]
    last_metrics: Metrics
    """What the last update reported."""
    is_finite: Bool[Array, ""]
    """Whether that, and every weight, is a finite number."""
    is_done: Bool[Array, ""]
    """Whether the system has nothing more to learn."""


class BlackBoxError(Exception):
    """A black box failed in the middle of a chunk."""

    def __init__(
        self, train_state: "TrainState", error: InvalidInputError | EnvironmentStepError
    ):
        super().__init__(str(error))
        self.error = error
        self.train_state = train_state
        """How far the seed had come by then; nothing of it is lost."""


class CompiledPrograms(NamedTuple):
    """The compiled programs of a run, at one place."""

    init: Callable[..., TrainState]
    train_chunk: Callable[..., tuple[TrainState, ChunkStatus]]
    evaluate: Callable[..., EvalSamples]


def init_train_state(system: System, key: Key[Array, ""]) -> TrainState:
    """Returns a seed that has learned nothing yet."""
    state = system.init(key)
    _, metrics = jax.eval_shape(system.as_jittable().step, state)
    sums = {name: jnp.zeros((), jnp.float32) for name in metrics}
    return TrainState(state, sums, jnp.zeros((), jnp.int32))


def init_strongly_typed(system: System, key: Key[Array, ""]) -> TrainState:
    """Returns what `begin` does, of such types as the first update will leave.

    JAX calls a type weak that came of a Python number. Left so, all that is compiled
    for the second update would be compiled once more.
    """

    def strong(x: Array) -> Array:
        return jax.lax.convert_element_type(x, x.dtype) if x.weak_type else x

    return jax.tree.map(strong, init_train_state(system, key))


def reset_metric_sums(train_state: TrainState) -> TrainState:
    """Returns the same state, with sums that start from nothing."""
    return TrainState(train_state.state, *jax.tree.map(jnp.zeros_like, train_state[1:]))


def train_chunk(
    system: System,
    train_state: TrainState,
    until_step: Int[Array, ""],
    max_updates: Int[Array, ""],
) -> tuple[TrainState, ChunkStatus]:
    """Learns up to the step `until`, for `most` updates, until done or diverged.

    Both bounds are data: chunks of all lengths are one program, so that where a run
    is cut in chunks cannot change its numbers.
    """

    def unfinished(carry: Carry) -> Bool[Array, ""]:
        return _should_continue(system, carry, until_step, max_updates)

    def update(carry: Carry) -> Carry:
        return _update(system, carry)

    end = jax.lax.while_loop(unfinished, update, _init_carry(train_state))
    return end[0], _chunk_status(system, *end)


def train_chunk_on_host(
    system: System,
    train_state: TrainState,
    until_step: IntScalar,
    max_updates: IntScalar,
) -> tuple[TrainState, ChunkStatus]:
    """Does what `advance` does, where a black box has to be crossed: on the host.

    Raises:
        BlackBoxError: the black box failed.
    """
    carry = _init_carry(train_state)
    while _should_continue(system, carry, until_step, max_updates):
        try:
            carry = _update(system, carry)
        except (InvalidInputError, EnvironmentStepError) as failure:
            raise BlackBoxError(carry[0], failure) from failure
    return carry[0], _chunk_status(system, *carry)


def _init_carry(train_state: TrainState) -> Carry:
    # Zeros where the first update has not reported yet.
    unheard = jax.tree.map(jnp.zeros_like, train_state.metric_sums)
    return train_state, unheard, jnp.zeros((), jnp.int32)


def _should_continue(
    system: System, carry: Carry, until_step: IntScalar, max_updates: IntScalar
) -> Bool[Array, ""]:
    progress, latest, updates = carry
    short = (system.num_steps(progress.state) < until_step) & ~system.is_done(
        progress.state
    )
    return short & (updates < max_updates) & _all_finite(latest)


def _update(system: System, carry: Carry) -> Carry:
    progress, _, updates = carry
    state, metrics = system.step(progress.state)
    latest = {name: m.astype(jnp.float32) for name, m in metrics.items()}
    sums = jax.tree.map(jnp.add, progress.metric_sums, latest)
    return TrainState(state, sums, progress.num_updates + 1), latest, updates + 1


def _chunk_status(
    system: System,
    train_state: TrainState,
    last_metrics: Metrics,
    num_updates: Int[Array, ""],
) -> ChunkStatus:
    state = train_state.state
    finite = _all_finite(last_metrics) & _all_finite(system.params(state))
    return ChunkStatus(
        system.num_steps(state),
        num_updates,
        last_metrics,
        finite,
        system.is_done(state),
    )


def evaluate_state(
    system: System, state: Any, key: Key[Array, ""], *, episodes: int
) -> EvalSamples:
    """Lets the policy live through some episodes, and learns nothing from them."""
    return system.evaluate(state, key, episodes)


def compile_programs(
    system: System, eval_episodes: int, device: DeviceSharding
) -> CompiledPrograms:
    """Compiles what a seed runs, for one place; all of it, but across a black box.

    Args:
        episodes: of each evaluation.
    """
    if system.as_jittable() is not system:
        measured = partial(evaluate_state, episodes=eval_episodes)
        return CompiledPrograms(
            jax.jit(init_strongly_typed), train_chunk_on_host, measured
        )

    def there(tree: PyTree) -> PyTree:
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), tree
        )

    key = there(jax.eval_shape(jax.random.key, 0))
    progress = there(abstract_train_state(system))
    count = there(jax.ShapeDtypeStruct((), jnp.int32))
    lowered = (
        jax.jit(init_train_state).lower(system, key),
        jax.jit(train_chunk).lower(system, progress, count, count),
        jax.jit(partial(evaluate_state, episodes=eval_episodes)).lower(
            system, progress.state, key
        ),
    )
    options = fast_compile_options(), compiler_options(), compiler_options()
    # One after the other: side by side they take twice the memory.
    return CompiledPrograms(*map(Lowered.compile, lowered, options))


def abstract_train_state(system: System) -> TrainState:
    """Returns the shapes of a seed's progress, without computing it."""
    return jax.eval_shape(lambda: init_train_state(system, jax.random.key(0)))


def _all_finite(tree: PyTree) -> Bool[Array, ""]:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(leaves)) if leaves else jnp.array(True)
