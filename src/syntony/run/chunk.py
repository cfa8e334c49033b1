"""The compiled part of a run: one seed learns for a while, then is measured."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.stages import Lowered
from jaxtyping import Array, Bool, Int, Key, PyTree

from syntony.run.devices import Place, compiler_options, hasty_compiler_options
from syntony.systems.system import Metrics, Samples, System


class Progress(NamedTuple):
    """How far one seed has come: all that a chunk changes and a checkpoint keeps."""

    state: Any
    sums: Metrics
    """What each update since the last evaluation reported, added up."""
    updates: Int[Array, ""]
    """How many updates that is."""


class Chunk(NamedTuple):
    """What a chunk says of itself; small, for the host to read."""

    step: Int[Array, ""]
    updates: Int[Array, ""]
    latest: Metrics
    """What the last update reported."""
    finite: Bool[Array, ""]
    """Whether that, and every weight, is a finite number."""


class Programs(NamedTuple):
    """The compiled programs of a run, at one place."""

    begin: Callable[..., Progress]
    advance: Callable[..., tuple[Progress, Chunk]]
    evaluate: Callable[..., Samples]


def begin(system: System, key: Key[Array, ""]) -> Progress:
    """Returns a seed that has learned nothing yet."""
    state = system.init(key)
    _, metrics = jax.eval_shape(system.step, state)
    sums = {name: jnp.zeros((), jnp.float32) for name in metrics}
    return Progress(state, sums, jnp.zeros((), jnp.int32))


def unmeasured(progress: Progress) -> Progress:
    """Returns the same state, with sums that start from nothing."""
    return Progress(progress.state, *jax.tree.map(jnp.zeros_like, progress[1:]))


def advance(
    system: System, progress: Progress, until: Int[Array, ""], most: Int[Array, ""]
) -> tuple[Progress, Chunk]:
    """Learns up to the step `until`, or for `most` updates, or until a loss diverges.

    Both bounds are data: chunks of all lengths are one program, so that where a run
    is cut in chunks cannot change its numbers.
    """
    # Zeros where the first update has not reported yet.
    unheard = jax.tree.map(jnp.zeros_like, progress.sums)

    def unfinished(carry: tuple[Progress, Metrics, Int[Array, ""]]) -> Bool[Array, ""]:
        progress, latest, updates = carry
        short = system.progress(progress.state) < until
        return short & (updates < most) & _finite(latest)

    def update(carry: tuple[Progress, Metrics, Int[Array, ""]]):
        progress, _, updates = carry
        state, metrics = system.step(progress.state)
        latest = {name: m.astype(jnp.float32) for name, m in metrics.items()}
        sums = jax.tree.map(jnp.add, progress.sums, latest)
        return Progress(state, sums, progress.updates + 1), latest, updates + 1

    start = (progress, unheard, jnp.zeros((), jnp.int32))
    progress, latest, updates = jax.lax.while_loop(unfinished, update, start)
    finite = _finite(latest) & _finite(system.weights(progress.state))
    step = system.progress(progress.state)
    return progress, Chunk(step, updates, latest, finite)


def measure(
    system: System, state: Any, key: Key[Array, ""], *, episodes: int
) -> Samples:
    """Lets the policy live through some episodes, and learns nothing from them."""
    return system.evaluate(state, key, episodes)


def compile_programs(system: System, episodes: int, place: Place) -> Programs:
    """Compiles what a seed runs, for one place.

    Args:
        episodes: of each evaluation.
    """

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
    with ThreadPoolExecutor(len(lowered)) as pool:
        return Programs(*pool.map(Lowered.compile, lowered, options))


def blank(system: System) -> Progress:
    """Returns the shapes of a seed's progress, without computing it."""
    return jax.eval_shape(lambda: begin(system, jax.random.key(0)))


def _finite(tree: PyTree) -> Bool[Array, ""]:
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(leaves)) if leaves else jnp.array(True)
