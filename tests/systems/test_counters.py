"""Counters of every system at the ends of their ranges: no step backwards, no NaN."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_teams import SYSTEMS, state_of

from syntony.channels.registry import channel
from syntony.systems.air.config import TransmissionConfig
from syntony.systems.air.over_the_air import OverTheAir
from syntony.systems.link.link import Link
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.tasks.registry import task
from syntony.training.run_config import MAX_STEPS, MAX_UPDATE_STEPS

COUNTS = (2**24, 2**30, MAX_STEPS, 2**31 - 10_000)
"""Where 32-bit floats and integers lose steps; the last is beyond `--steps`."""
FEW = ("maa2c", "link")
"""Systems that `make test` tries."""
NAMES = [
    pytest.param(name, marks=() if name in FEW else pytest.mark.slow)
    for name in (*SYSTEMS, "link", "air")
]
POSITIONS = ("insert_pos", "window_iterations", "windows_without_improvement")
"""Integers that start again within the training."""


def make_system(name: str) -> tuple[Any, Any]:
    """A system and a state of it."""
    if name in SYSTEMS:
        return SYSTEMS[name], state_of(name)
    if name == "link":
        system: Any = Link(messages=4, uses=1).resolve_steps(100)
    else:
        system = OverTheAir(
            task=task("probe-cue?cues=3"),
            channel=channel("awgn?snr_db=10"),
            transmission=TransmissionConfig(
                schedule_steps=100,
                link_batch_size=4,
                link_transmitter_steps=1,
                link_hidden=8,
                link_receiver_hidden=8,
            ),
            actor_critic=ActorCriticConfig(num_envs=4, hidden=8),
            beliefs=BeliefConfig(
                latent_dim=4,
                buffer_size=16,
                belief_update_interval=4,
                belief_minibatches=2,
                belief_minibatch_size=4,
            ),
        )
    return system, jax.jit(system.init)(jax.random.key(1))


def is_counter(path: str, leaf: Any) -> bool:
    """Whether a leaf counts: steps, updates, visits of states, samples."""
    if any(name in path for name in POSITIONS):
        return False
    is_step = leaf.shape == () and leaf.dtype == jnp.int32
    return is_step or path.endswith((".counts", ".num_samples"))


def counters(state: Any) -> dict[str, np.ndarray]:
    """Values of all counters in a state, by their paths."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    named = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
    return {
        path: np.asarray(leaf, np.float64)
        for path, leaf in named.items()
        if is_counter(path, leaf)
    }


def moved_to(state: Any, names: set[str], count: int) -> Any:
    """State in which these counters are so much larger."""

    def move(path: Any, leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.clone(leaf)
        is_moved = jax.tree_util.keystr(path) in names
        return leaf + jnp.asarray(count, leaf.dtype) if is_moved else leaf

    return jax.tree_util.tree_map_with_path(move, state)


def moves(state: Any) -> Iterator[tuple[set[str], int]]:
    """Yields each counter alone, and all, with each count."""
    every = {*counters(state)}
    for count in COUNTS:
        for names in ({x} for x in sorted(every)):
            yield names, count
        yield every, count


@pytest.mark.parametrize("name", NAMES)
def test_counters_go_on(name: str):
    """Counters at 2^24, 2^30 and near 2^31 count the same steps as small ones."""
    system, state = make_system(name)
    step = jax.jit(system.step)
    after, _ = step(moved_to(state, set(), 0))
    small = int(system.num_steps(after)) - int(system.num_steps(state))
    for names, count in moves(state):
        large = moved_to(state, names, count)
        before, first = counters(large), int(system.num_steps(large))
        after, metrics = step(large)
        taken = int(system.num_steps(after)) - first
        assert 0 < taken == small < MAX_UPDATE_STEPS, (names, count)
        # A counter that is full stays; that of batches is full before, and the weight
        # of samples is bounded, so that statistics never freeze.
        bounded = ("batches", ".num_samples")
        back = [
            path
            for path, x in counters(after).items()
            if np.any(x < before[path]) and not path.endswith(bounded)
        ]
        assert not back, (names, count)
        assert all(np.isfinite(x).all() for x in map(np.asarray, metrics.values()))
        for leaf in jax.tree.leaves((system.params(after), counters(after))):
            assert np.isfinite(leaf).all(), (names, count)
