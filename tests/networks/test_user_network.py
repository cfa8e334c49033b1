"""Networks of a user's own, against the modules that their functions return."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import your_own_networks

from syntony.errors import InvalidInputError
from syntony.networks.actors import (
    ACTORS,
    Actor,
    UserActor,
    initial_actor_hidden,
    make_actor,
)
from syntony.networks.agents import agent_ids
from syntony.networks.modems import UserReceiver, UserTransmitter
from syntony.networks.user_network import (
    NetworkSpec,
    check_network,
    make_user_network,
)

LSTM = NetworkSpec("python:your_own_networks:lstm", 6, 5, 8)


def spec(function: str) -> NetworkSpec:
    return NetworkSpec(f"python:user_networks:{function}", 4, 3, 8)


def test_a_batch_against_single_vectors(key):
    sizes = NetworkSpec("python:your_own_networks:deep", 4, 3, 8)
    network = make_user_network("actor", sizes, jax.random.key(1))
    module = your_own_networks.deep(4, 3, hidden=8, key=jax.random.key(1))
    x = jax.random.normal(key, (2, 5, 4))
    out, hidden = network(x)
    assert hidden == ()
    np.testing.assert_allclose(out, jax.vmap(jax.vmap(module))(x), rtol=1e-6)


def test_leaves_are_arrays_and_structures_of_two_calls_are_equal():
    one, other = (
        make_user_network("actor", spec("with_lambda"), jax.random.key(seed))
        for seed in range(2)
    )
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(one))
    assert jax.tree.structure(one) == jax.tree.structure(other)
    abstract = jax.eval_shape(
        lambda key: make_user_network("actor", spec("with_lambda"), key),
        jax.random.key(0),
    )
    assert jax.tree.structure(abstract) == jax.tree.structure(one)


def test_a_recurrent_actor_unrolls_as_it_steps(key):
    actor = make_actor(LSTM, jax.random.key(1))
    assert isinstance(actor, UserActor)
    features, ids = jax.random.normal(key, (4, 3, 2, 4)), agent_ids(2)
    unrolled = actor.unroll(features, ids)
    h = initial_actor_hidden(LSTM, (3, 2))
    assert [leaf.shape for leaf in jax.tree.leaves(h)] == [(3, 2, 8)] * 2
    module = your_own_networks.lstm(6, 5, hidden=8, key=jax.random.key(1))
    own = module.initial_hidden()
    for t in range(4):
        out, h = actor(features[t], ids, h)
        np.testing.assert_allclose(unrolled[t], out, rtol=1e-5, atol=1e-6)
        x = jnp.concatenate([features[t, 1, 1], jnp.array([0.0, 1.0])])
        single, own = module(x, own)
        np.testing.assert_allclose(out[1, 1], single, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [*ACTORS, "python:your_own_networks:deep"])
def test_every_actor_unrolls_as_it_steps(name: str, key):
    sizes = NetworkSpec(name, 6, 5, 8, 2)
    actor = make_actor(sizes, jax.random.key(1))
    assert isinstance(actor, Actor)
    features, ids = jax.random.normal(key, (4, 3, 2, 4)), agent_ids(2)
    unrolled, h = actor.unroll(features, ids), initial_actor_hidden(sizes, (3, 2))
    for t in range(4):
        out, h = actor(features[t], ids, h)
        np.testing.assert_allclose(unrolled[t], out, rtol=1e-4, atol=1e-5)


def test_transmitter_and_receiver_of_a_user(key):
    sizes = NetworkSpec("python:your_own_networks:deep", 4, 6, 8)
    network = make_user_network("transmitter", sizes, key)
    codewords = UserTransmitter(network, 4)()
    assert codewords.shape == (4, 3, 2)
    np.testing.assert_allclose(
        codewords[2].ravel(), network(jnp.eye(4)[2])[0], rtol=1e-5
    )
    sizes = NetworkSpec("python:your_own_networks:deep", 6, 4, 8)
    receiver = UserReceiver(make_user_network("receiver", sizes, jax.random.key(1)))
    np.testing.assert_allclose(
        receiver(codewords)[1], receiver.network(codewords[1].ravel())[0], rtol=1e-5
    )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("too_wide", r"returned float32\[4\] for a vector of 4; expected float32\[3\]"),
        ("no_module", "returned function; expected an equinox.Module"),
        ("other_input", "raised TypeError: .*; expected a function of in_size"),
        ("few_arguments", "raised TypeError: .*unexpected keyword.*expected a func"),
        ("whole_numbers", "has an array of int32 that is no weight"),
        ("growing", r"hidden state from float32\[2\] to float32\[4\]"),
        ("grow", "unknown function of user_networks 'grow'; did you mean 'growing'"),
    ],
)
def test_a_network_that_does_not_fit_is_told(function: str, message: str):
    with pytest.raises(InvalidInputError, match=message) as error:
        check_network("actor", spec(function), ACTORS, recurrent=True)
    assert "\n" not in str(error.value)


def test_unknown_names_are_told():
    with pytest.raises(InvalidInputError, match="unknown actor 'gruu'; did you mean"):
        check_network("actor", NetworkSpec("gruu", 4, 3, 8), ACTORS)
    with pytest.raises(
        InvalidInputError,
        match="valid: gru, layernorm_gru, layernorm_tanh_gru, mlp, python:MODULE:FUNC",
    ):
        check_network("actor", NetworkSpec("attention!", 4, 3, 8), ACTORS)
