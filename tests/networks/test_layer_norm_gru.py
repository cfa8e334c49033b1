"""The network with layer norm: against NumPy, initial weights, hidden states."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.networks.actors import initial_actor_hidden, make_actor
from syntony.networks.agents import make_critic
from syntony.networks.layer_norm_gru import LAYER_NORM_GRUS
from syntony.networks.layers import LayerNorm
from syntony.networks.user_network import NetworkSpec


def test_layer_norm_by_hand():
    x = np.array([[1.0, 2.0, 6.0], [5.0, 5.0, 5.0]], np.float32)
    got = LayerNorm(3)(jnp.asarray(x))
    std = np.sqrt(x[0].var() + 1e-5)
    np.testing.assert_allclose(got[0], (x[0] - 3.0) / std, rtol=1e-5)
    np.testing.assert_array_equal(got[1], 0.0)


@pytest.mark.parametrize("name", LAYER_NORM_GRUS)
def test_weights_are_orthogonal_and_features_have_no_unit(name, key):
    spec = NetworkSpec(name, 5, 4, 8, id_size=2)
    actor: Any = make_actor(spec, key)
    weight = np.asarray(actor.layers[0].weight)
    gain = 5 / 3 if name == "layernorm_tanh_gru" else 2**0.5
    np.testing.assert_allclose(weight @ weight.T, gain**2 * np.eye(5), atol=1e-5)
    recurrent = np.asarray(actor.gru.linear_hh.weight)
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(8), atol=1e-5)
    out = np.asarray(actor.out.weight)
    np.testing.assert_allclose(out.T @ out, 1e-4 * np.eye(4), atol=1e-7)
    assert not np.any(actor.gru.linear_ih.bias)
    features, ids = jnp.array([[1.0, -2.0, 4.0]] * 2), jnp.eye(2)
    h = initial_actor_hidden(spec, (2,))
    plain, _ = actor(features, ids, h)
    scaled, _ = actor(1e3 * features + 7.0, ids, h)
    np.testing.assert_allclose(plain, scaled, rtol=1e-3, atol=1e-6)
    assert not np.allclose(plain[0], plain[1])


def test_steps_equal_the_unrolled_critic(key):
    """From the start of an episode, and from a hidden state in the middle."""
    critic: Any = make_critic(NetworkSpec("layernorm_gru", 6, 1, 8, id_size=2), key)
    state = jax.random.normal(jax.random.fold_in(key, 1), (5, 3, 1, 4))
    values = critic.unroll(state, jnp.eye(2))
    assert values.shape == (5, 3, 2)
    h = critic.initial_hidden((3, 2))
    for t in range(5):
        if t == 3:
            rest = critic.unroll(state[3:], jnp.eye(2), h)
            np.testing.assert_allclose(rest, values[3:], rtol=1e-4, atol=1e-6)
        value, h = critic.step(state[t], jnp.eye(2), h)
        np.testing.assert_allclose(value, values[t], rtol=1e-4, atol=1e-6)
