"""Compiled programs of a run: initialization, a chunk of training, an evaluation."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.stages import Lowered
from jaxtyping import Array, Bool, Int, Key, PyTree

from syntony.equations.running_stats import two_sum
from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.systems.system import EvalSamples, HasBlackBox, Metrics, StateT, System
from syntony.training.devices import (
    DeviceSharding,
    compiler_options,
    fast_compile_options,
)


class TrainState(NamedTuple):
    """Training state of one seed: what a chunk updates and a checkpoint stores."""

    state: PyTree
    """State of the system."""
    metric_sums: Metrics
    """Sums of the training metrics over the updates since the last evaluation."""
    metric_sums_low: Metrics
    """What rounding has taken from the sums."""
    num_updates: Int[Array, ""]
    """Updates since the last evaluation."""


Carry = tuple[TrainState, Metrics, Int[Array, ""]]
"""Training state, metrics of the last update, and updates in the chunk so far."""
Totals = tuple[Metrics, Metrics, Int[Array, ""], Int[Array, ""]]
"""Sums of the metrics, what rounding has taken from them, updates since the last
evaluation, and updates in the chunk."""
IntScalar = Int[Array, ""] | np.int32
"""A bound of a chunk; within a compiled program, an array."""


class ChunkStatus(NamedTuple):
    """Summary of a chunk; small, because the host reads it."""

    step: Int[Array, ""]
    num_updates: Int[Array, ""]
    """Updates in this chunk."""
    last_metrics: Metrics
    """Metrics of the last update."""
    is_finite: Bool[Array, ""]
    """Whether `last_metrics` and all parameters are finite."""
    is_done: Bool[Array, ""]
    """Whether the system has ended its training early."""


class BlackBoxError(Exception):
    """A black box (external environment or channel) failed during a chunk."""

    def __init__(
        self, train_state: "TrainState", error: InvalidInputError | EnvironmentStepError
    ):
        super().__init__(str(error))
        self.error = error
        self.train_state = train_state
        """Training state after the last update before the failure."""


class CompiledPrograms(NamedTuple):
    """The compiled programs of a run, for one device."""

    init: Callable[..., TrainState]
    train_chunk: Callable[..., tuple[TrainState, ChunkStatus]]
    """Compiled, it overwrites the state that it is given."""
    evaluate: Callable[..., EvalSamples]


def init_train_state(system: System, key: Key[Array, ""]) -> TrainState:
    """Training state of a seed before its first update."""
    state = system.init(key)
    jittable = system.as_jittable() if isinstance(system, HasBlackBox) else system
    _, metrics = jax.eval_shape(jittable.step, state)
    sums = {name: jnp.zeros((), jnp.float32) for name in metrics}
    low = jax.tree.map(jnp.copy, sums)
    return TrainState(state, sums, low, jnp.zeros((), jnp.int32))


jitted_init = jax.jit(init_train_state)
"""One jitted function for all uses: JAX keeps its trace, and `init` is traced once."""


def reset_metric_sums(train_state: TrainState) -> TrainState:
    """Sets the metric sums and the number of updates to zero."""
    return TrainState(train_state.state, *jax.tree.map(jnp.zeros_like, train_state[1:]))


def train_chunk(
    system: System,
    train_state: TrainState,
    until_step: Int[Array, ""],
    max_updates: Int[Array, ""],
) -> tuple[TrainState, ChunkStatus]:
    """Updates a system until a step or a number of updates is reached.

    Ends earlier if the system is done, or if a metric is not finite. Both bounds are
    arguments of the program: chunks of all lengths are one program, so that the
    division of a run into chunks cannot change its numbers.

    Args:
        until_step: the step at which the chunk ends.
        max_updates: most updates in the chunk.
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
    """Does the same as `train_chunk` in a Python loop, for systems with a black box.

    Raises:
        BlackBoxError: the black box failed.
    """
    carry = _init_carry(train_state)
    while _should_continue(system, carry, until_step, max_updates):
        try:
            carry = _update(system, carry)
        except (InvalidInputError, EnvironmentStepError) as error:
            raise BlackBoxError(carry[0], error) from error
    return carry[0], _chunk_status(system, *carry)


def _init_carry(train_state: TrainState) -> Carry:
    no_metrics = jax.tree.map(jnp.zeros_like, train_state.metric_sums)
    return train_state, no_metrics, jnp.zeros((), jnp.int32)


def _should_continue(
    system: System, carry: Carry, until_step: IntScalar, max_updates: IntScalar
) -> Bool[Array, ""]:
    train_state, last_metrics, num_updates = carry
    state = train_state.state
    unfinished = (system.num_steps(state) < until_step) & ~system.is_done(state)
    return unfinished & (num_updates < max_updates) & all_finite(last_metrics)


def _update(system: System, carry: Carry) -> Carry:
    train_state, _, num_updates = carry
    state, metrics = system.step(train_state.state)
    totals = *train_state[1:], num_updates
    (sums, low, total_updates, num_updates), metrics = _add_metrics(totals, metrics)
    return TrainState(state, sums, low, total_updates), metrics, num_updates


# Compiled, as a black box is trained in a loop of the host.
@jax.jit
def _add_metrics(totals: Totals, metrics: Metrics) -> tuple[Totals, Metrics]:
    """Sums with the metrics of one more update, both counts of updates, and these."""
    sums, low, total_updates, num_updates = totals
    metrics = {name: value.astype(jnp.float32) for name, value in metrics.items()}
    pairs = {n: two_sum(sums[n], low[n] + value) for n, value in metrics.items()}
    sums, low = ({n: pair[i] for n, pair in pairs.items()} for i in (0, 1))
    return (sums, low, total_updates + 1, num_updates + 1), metrics


def _chunk_status(
    system: System,
    train_state: TrainState,
    last_metrics: Metrics,
    num_updates: Int[Array, ""],
) -> ChunkStatus:
    state = train_state.state
    is_finite = all_finite(last_metrics) & all_finite(system.params(state))
    return ChunkStatus(
        system.num_steps(state),
        num_updates,
        last_metrics,
        is_finite,
        system.is_done(state),
    )


def evaluate_state(
    system: System[StateT], state: StateT, key: Key[Array, ""], *, episodes: int
) -> EvalSamples:
    """Samples of each evaluation metric, one per episode."""
    return system.evaluate(state, key, episodes)


def compile_programs(
    system: System, eval_episodes: int, device: DeviceSharding
) -> CompiledPrograms:
    """Compiles the programs of a run for one device.

    With a black box only the initialization is compiled; the rest runs on the host.

    Args:
        eval_episodes: episodes per evaluation.
    """
    evaluate = partial(evaluate_state, episodes=eval_episodes)
    if not system.jittable:
        return CompiledPrograms(jitted_init, train_chunk_on_host, evaluate)

    def on_device(tree: PyTree) -> PyTree:
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), tree
        )

    key = on_device(_abstract_key())
    train_state = on_device(abstract_train_state(system))
    count = on_device(jax.ShapeDtypeStruct((), jnp.int32))
    lowered = (
        jitted_init.lower(system, key),
        # The state is overwritten: see `Backup` in `seed_scheduler`.
        jax.jit(train_chunk, donate_argnums=1).lower(system, train_state, count, count),
        jax.jit(evaluate).lower(system, train_state.state, key),
    )
    options = fast_compile_options(), compiler_options(), compiler_options()
    # In sequence: in parallel they need twice the memory.
    return CompiledPrograms(*map(Lowered.compile, lowered, options))


def abstract_train_state(system: System) -> TrainState:
    """Shapes and types of a seed's training state, without computing it."""
    if system.jittable:
        return jitted_init.eval_shape(system, _abstract_key())
    return jax.eval_shape(lambda: init_train_state(system, jax.random.key(0)))


def _abstract_key() -> jax.ShapeDtypeStruct:
    return jax.eval_shape(jax.random.key, 0)


@jax.jit
def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether all numbers in a pytree are finite; true if it has no leaves."""
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(leaves)) if leaves else jnp.array(True)
