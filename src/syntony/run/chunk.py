"""The compiled part of a run: one seed learns for a while, then is measured."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.stages import Lowered
from jaxtyping import Array, Bool, Int, Key, PyTree

from syntony.errors import BadInput, HostFault
from syntony.run.devices import Place, compiler_options, hasty_compiler_options
from syntony.systems.system import Metrics, Samples, System


class Progress(NamedTuple):
    """How far one seed has come: all that a chunk changes and a checkpoint keeps."""

    state: Any
    sums: Metrics
    """What each update since the last evaluation reported, added up."""
    updates: Int[Array, ""]
    """How many updates that is."""


Carry = tuple[Progress, Metrics, Int[Array, ""]]
"""A seed, what its last update reported, and how many updates the chunk had so far."""
Bound = Int[Array, ""] | np.int32
"""Where a chunk ends: within a compiled one, an array."""


class Chunk(NamedTuple):
    """What a chunk says of itself; small, for the host to read."""

    step: Int[Array, ""]
    updates: Int[Array, ""]
    latest: Metrics
    """What the last update reported."""
    finite: Bool[Array, ""]
    """Whether that, and every weight, is a finite number."""
    done: Bool[Array, ""]
    """Whether the system has nothing more to learn."""


class BlackBoxError(Exception):
    """A black box failed in the middle of a chunk."""

    def __init__(self, progress: "Progress", failure: BadInput | HostFault):
        super().__init__(str(failure))
        self.failure = failure
        self.progress = progress
        """How far the seed had come by then; nothing of it is lost."""


class Programs(NamedTuple):
    """The compiled programs of a run, at one place."""

    begin: Callable[..., Progress]
    advance: Callable[..., tuple[Progress, Chunk]]
    evaluate: Callable[..., Samples]


def begin(system: System, key: Key[Array, ""]) -> Progress:
    """Returns a seed that has learned nothing yet."""
    state = system.init(key)
    _, metrics = jax.eval_shape(system.stand_in().step, state)
    sums = {name: jnp.zeros((), jnp.float32) for name in metrics}
    return Progress(state, sums, jnp.zeros((), jnp.int32))


def begin_across(system: System, key: Key[Array, ""]) -> Progress:
    """Returns what `begin` does, of such types as the first update will leave.

    JAX calls a type weak that came of a Python number. Left so, all that is compiled
    for the second update would be compiled once more.
    """

    def strong(x: Array) -> Array:
        return jax.lax.convert_element_type(x, x.dtype) if x.weak_type else x

    return jax.tree.map(strong, begin(system, key))


def unmeasured(progress: Progress) -> Progress:
    """Returns the same state, with sums that start from nothing."""
    return Progress(progress.state, *jax.tree.map(jnp.zeros_like, progress[1:]))


def advance(
    system: System, progress: Progress, until: Int[Array, ""], most: Int[Array, ""]
) -> tuple[Progress, Chunk]:
    """Learns up to the step `until`, for `most` updates, until done or diverged.

    Both bounds are data: chunks of all lengths are one program, so that where a run
    is cut in chunks cannot change its numbers.
    """

    def unfinished(carry: Carry) -> Bool[Array, ""]:
        return _unfinished(system, carry, until, most)

    def update(carry: Carry) -> Carry:
        return _update(system, carry)

    end = jax.lax.while_loop(unfinished, update, _start(progress))
    return end[0], _report(system, *end)


def advance_across(
    system: System, progress: Progress, until: Bound, most: Bound
) -> tuple[Progress, Chunk]:
    """Does what `advance` does, where a black box has to be crossed: on the host.

    Raises:
        BlackBoxError: the black box failed.
    """
    carry = _start(progress)
    while _unfinished(system, carry, until, most):
        try:
            carry = _update(system, carry)
        except (BadInput, HostFault) as failure:
            raise BlackBoxError(carry[0], failure) from failure
    return carry[0], _report(system, *carry)


def _start(progress: Progress) -> Carry:
    # Zeros where the first update has not reported yet.
    unheard = jax.tree.map(jnp.zeros_like, progress.sums)
    return progress, unheard, jnp.zeros((), jnp.int32)


def _unfinished(
    system: System, carry: Carry, until: Bound, most: Bound
) -> Bool[Array, ""]:
    progress, latest, updates = carry
    short = (system.progress(progress.state) < until) & ~system.done(progress.state)
    return short & (updates < most) & _finite(latest)


def _update(system: System, carry: Carry) -> Carry:
    progress, _, updates = carry
    state, metrics = system.step(progress.state)
    latest = {name: m.astype(jnp.float32) for name, m in metrics.items()}
    sums = jax.tree.map(jnp.add, progress.sums, latest)
    return Progress(state, sums, progress.updates + 1), latest, updates + 1


def _report(
    system: System, progress: Progress, latest: Metrics, updates: Int[Array, ""]
) -> Chunk:
    state = progress.state
    finite = _finite(latest) & _finite(system.weights(state))
    return Chunk(system.progress(state), updates, latest, finite, system.done(state))


def measure(
    system: System, state: Any, key: Key[Array, ""], *, episodes: int
) -> Samples:
    """Lets the policy live through some episodes, and learns nothing from them."""
    return system.evaluate(state, key, episodes)


def compile_programs(system: System, episodes: int, place: Place) -> Programs:
    """Compiles what a seed runs, for one place; all of it, but across a black box.

    Args:
        episodes: of each evaluation.
    """
    if system.stand_in() is not system:
        measured = partial(measure, episodes=episodes)
        return Programs(jax.jit(begin_across), advance_across, measured)

    def there(tree: PyTree) -> PyTree:
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree
        )

    key = there(jax.eval_shape(jax.random.key, 0))
    progress = there(blank(system))
    count = there(jax.ShapeDtypeStruct((), jnp.int32))
    lowered = (
        jax.jit(begin).lower(system, key),
        jax.jit(advance).lower(system, progress, count, count),
        jax.jit(partial(measure, episodes=episodes)).lower(system, progress.state, key),
    )
    options = hasty_compiler_options(), compiler_options(), compiler_options()
    # One after the other: side by side they take twice the memory.
    return Programs(*map(Lowered.compile, lowered, options))


def blank(system: System) -> Progress:
    """Returns the shapes of a seed's progress, without computing it."""
    return jax.eval_shape(lambda: begin(system, jax.random.key(0)))


def _finite(tree: PyTree) -> Bool[Array, ""]:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(leaves)) if leaves else jnp.array(True)
