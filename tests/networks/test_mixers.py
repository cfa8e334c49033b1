"""Mixers: their values against NumPy, and monotonicity."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from syntony.networks.mixers import QMIXMixer, VDNMixer

AGENTS, STATE = 3, 5


def make_qmix_mixer(seed: int = 0) -> QMIXMixer:
    return QMIXMixer(AGENTS, STATE, 8, 16, key=jax.random.key(seed))


def test_vdn_mixer_is_the_sum_for_any_state():
    values = jnp.array([[1.0, -2.0, 4.0], [0.5, 0.0, 0.25]])
    for state in (jnp.zeros((2, STATE)), jnp.full((2, STATE), 9.0)):
        np.testing.assert_allclose(VDNMixer()(values, state), [3.0, 0.75])


@given(st.integers(0, 2**31 - 1), st.floats(0.1, 30.0))
@settings(max_examples=40)
def test_qmix_mixer_is_monotonic(seed, scale):
    """dQ_tot / dQ_i ≥ 0 for random weights, values and states."""
    derivatives = mixer_derivatives(seed, scale)
    assert jnp.all(derivatives >= 0.0)
    # A mixer that ignores its values would be monotonic as well.
    assert jnp.any(derivatives > 1e-3)


@jax.jit
def mixer_derivatives(seed, scale):
    """Derivatives dQ_tot / dQ of a random mixer at random values and states."""
    keys = jax.random.split(jax.random.key(seed), 3)
    mixer = QMIXMixer(AGENTS, STATE, 8, 16, key=keys[0])
    values = scale * jax.random.normal(keys[1], (64, AGENTS))
    state = scale * jax.random.normal(keys[2], (64, STATE))
    return jax.grad(lambda values: jnp.sum(mixer(values, state)))(values)


def test_qmix_mixer_against_numpy():
    mixer = make_qmix_mixer()
    values = jax.random.normal(jax.random.key(1), (4, AGENTS))
    state = jax.random.normal(jax.random.key(2), (4, STATE))
    total = mixer(values, state)

    def linear(layer, x):
        return x @ np.asarray(layer.weight) + np.asarray(layer.bias)

    def two_layers(mlp, x):
        return linear(mlp.layers[1], np.maximum(linear(mlp.layers[0], x), 0.0))

    for q, s, got in zip(*map(np.asarray, (values, state, total)), strict=True):
        first = np.abs(two_layers(mixer.hyper_w1, s)).reshape(AGENTS, 8)
        hidden = q @ first + linear(mixer.hyper_b1, s)
        hidden = np.where(hidden > 0, hidden, np.exp(hidden) - 1)
        want = (
            hidden @ np.abs(two_layers(mixer.hyper_w2, s))
            + two_layers(mixer.hyper_v, s)[0]
        )
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_qmix_mixer_has_the_sizes_of_the_paper():
    """Two-layer hypernetworks except for the first bias; V has the mixer's width."""
    shapes = [leaf.shape for leaf in jax.tree.leaves(make_qmix_mixer())]
    weights = [shape for shape in shapes if len(shape) == 2]
    assert weights == [(5, 16), (16, 24), (5, 8), (5, 16), (16, 8), (5, 8), (8, 1)]
