"""Counters of every system at the ends of their ranges: no step backwards, no NaN."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_teams import SYSTEMS, state_of

from syntony.systems.link.link import Link
from syntony.training.run_config import MAX_STEPS, MAX_UPDATE_STEPS

COUNTS = (2**24, 2**30, MAX_STEPS, 2**31 - 10_000)
"""Where 32-bit floats and integers lose steps; the last is beyond `--steps`."""
FEW = ("maa2c", "link")
"""Systems that `make test` tries."""
NAMES = [
    pytest.param(name, marks=() if name in FEW else pytest.mark.slow)
    for name in (*SYSTEMS, "link")
]


def is_counter(leaf: Any) -> bool:
    return leaf.shape == () and leaf.dtype == jnp.int32


def counters(state: Any) -> dict[str, int]:
    """Values of all counters in a state, by their paths."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {
        jax.tree_util.keystr(path): int(leaf)
        for path, leaf in leaves
        if is_counter(leaf)
    }


def moved_to(state: Any, count: int) -> Any:
    """State in which each counter is so much larger, and each number of samples."""

    def move(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.clone(leaf)
        return leaf + count if is_counter(leaf) else leaf

    moved = jax.tree.map(move, state)
    for name in ("insert_pos", "window_iterations", "windows_without_improvement"):
        # Positions, which start again within the training.
        moved = jax.tree_util.tree_map_with_path(
            lambda path, new, old, name=name: (
                old if name in jax.tree_util.keystr(path) else new
            ),
            moved,
            state,
        )
    return moved


@pytest.mark.parametrize("name", NAMES)
def test_counters_go_on(name: str):
    """Counters at 2^24, 2^30 and near 2^31 count the same steps as small ones."""
    system: Any = Link(messages=4, uses=1) if name == "link" else SYSTEMS[name]
    if name == "link":
        system = system.resolve_steps(100)
        state = jax.jit(system.init)(jax.random.key(1))
    else:
        state = state_of(name)
    step = jax.jit(system.step)
    after, _ = step(moved_to(state, 0))
    small = int(system.num_steps(after)) - int(system.num_steps(state))
    for count in COUNTS:
        large = moved_to(state, count)
        after, metrics = step(large)
        moves = {key: counters(after)[key] - x for key, x in counters(large).items()}
        taken = int(system.num_steps(after)) - int(system.num_steps(large))
        assert 0 < taken == small < MAX_UPDATE_STEPS
        # A counter that is full stays; that of batches is full before.
        back = [key for key, x in moves.items() if x < 0 and "batches" not in key]
        assert not back, count
        assert all(np.isfinite(float(x)) for x in metrics.values())
        for leaf in jax.tree.leaves(system.params(after)):
            assert np.isfinite(leaf).all()
