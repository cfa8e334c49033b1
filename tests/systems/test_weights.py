"""Weights of every system: taken alone, and with everything else new."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, PyTree

import syntony
from syntony.systems.registry import SYSTEMS
from syntony.systems.system import StartsFromWeights
from syntony.training.checkpoint import named_arrays

TASK = syntony.task("Foraging-1s-5x5-2p-1f-coop?time_limit=3")
ACTORS = {"actor_critic": syntony.ActorCriticConfig(hidden=4)}
SMPE = ACTORS | {"beliefs": syntony.BeliefConfig(buffer_size=2)}
Q_LEARNING = {"q_learning": syntony.QLearningConfig(hidden=4, buffer_size=32)}
SMALL: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("maa2c", "mappo", "ia2c", "ippo"), ACTORS),
    **dict.fromkeys(("smpe", "smpe_official"), SMPE),
    **dict.fromkeys(("qmix", "vdn"), Q_LEARNING),
}
NEW = (
    *("opt_state", "key", "env_steps", "iterations", "num_updates", "epsilon", "loss"),
    *("replay_buffer", "pending_feedback", "early_stopping", "counts", "projection"),
    *("schedule_steps", "losses", "received_stats/batches", "explores", "snr_offset"),
)
"""Parts of the names of leaves that are new in every run."""


def make_system(name: str) -> Any:
    if name == "link":
        return syntony.Link(messages=4, uses=1, hidden=4)
    return SYSTEMS[name](task=TASK, **SMALL.get(name, {}))


def filled_state(system: Any, value: int) -> PyTree[Array]:
    """State of a system whose numbers are all the same."""

    def fill(leaf: jax.ShapeDtypeStruct) -> Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.key(value)
        return jnp.full(leaf.shape, value, leaf.dtype)

    shapes = jax.eval_shape(system.init, jax.random.key(0))
    return jax.tree.map(fill, shapes)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_state_with_weights_is_new_in_everything_else(name: str):
    system = make_system(name)
    assert isinstance(system, StartsFromWeights)
    # Small numbers, which a bool and a float16 hold too.
    new, other = filled_state(system, 0), filled_state(system, 1)
    started = system.with_weights(new, system.weights(other))
    assert jax.tree.structure(started) == jax.tree.structure(new)
    ours, theirs = named_arrays(system.weights(started)), system.weights(other)
    for leaf, expected in named_arrays(theirs).items():
        np.testing.assert_array_equal(ours[leaf], expected)
    # Every other leaf is that of the new state, and known to be no weight.
    before, after = named_arrays(new), named_arrays(started)
    is_new = {leaf for leaf in after if any(word in leaf for word in NEW)}
    for leaf in after.keys() - is_new:
        assert np.all(after[leaf] == 1), leaf
    for leaf in is_new:
        np.testing.assert_array_equal(after[leaf], before[leaf], err_msg=leaf)


def test_parts_of_systems_that_share_networks_have_the_same_names():
    parts = {name: make_system(name).weights for name in SYSTEMS}
    named = {
        name: {*weights(filled_state(make_system(name), 0))}
        for name, weights in parts.items()
    }
    assert named["mappo"] == named["maa2c"] == named["ia2c"] == named["ippo"]
    assert named["qmix"] == named["vdn"] >= {"agents", "mixer"}
    assert named["link"] == {"transmitter", "receiver", "received_stats"}
    assert {"actor", "critic", "filtered_critic", "beliefs"} < named["smpe"]
