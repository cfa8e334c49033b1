"""Layers against PyTorch's equations in NumPy; gradients against autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.networks.layers import GRU, MLP, Linear


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def numpy_gru(gru, x, h):
    """Equations of torch.nn.GRUCell's documentation."""
    size = h.shape[-1]
    gate = [slice(k * size, (k + 1) * size) for k in range(3)]
    w, b = np.asarray(gru.linear_ih.weight), np.asarray(gru.linear_ih.bias)
    v, c = np.asarray(gru.linear_hh.weight), np.asarray(gru.linear_hh.bias)
    r, u = (
        sigmoid(x @ w[:, g] + b[g] + h @ v[:, g] + c[g]) for g in (gate[0], gate[1])
    )
    g = gate[2]
    n = np.tanh(x @ w[:, g] + b[g] + r * (h @ v[:, g] + c[g]))
    return (1 - u) * n + u * h


@pytest.fixture
def gru():
    return GRU(3, 5, key=jax.random.key(1))


def test_gru_step_and_unroll_against_numpy(gru, key):
    x = jax.random.normal(key, (7, 2, 3))
    h = np.zeros((2, 5), np.float32)
    unrolled = gru.unroll(x, jnp.asarray(h))
    for t in range(7):
        np.testing.assert_allclose(
            gru(x[t], jnp.asarray(h)), numpy_gru(gru, x[t], h), rtol=1e-5, atol=1e-6
        )
        h = numpy_gru(gru, np.asarray(x[t]), h)
        np.testing.assert_allclose(unrolled[t], h, rtol=1e-4, atol=1e-6)


def test_custom_gradient_against_autodiff(gru, key):
    x_key, h_key, target_key = jax.random.split(key, 3)
    x = jax.random.normal(x_key, (7, 2, 3))
    h = jax.random.normal(h_key, (2, 5))
    target = jax.random.normal(target_key, (7, 2, 5))

    def custom(gru, x, h):
        return jnp.sum((gru.unroll(x, h) - target) ** 2)

    def automatic(gru, x, h):
        hs = [h := gru(x_t, h) for x_t in x]
        return jnp.sum((jnp.stack(hs) - target) ** 2)

    got = jax.grad(custom, argnums=(0, 1, 2))(gru, x, h)
    want = jax.grad(automatic, argnums=(0, 1, 2))(gru, x, h)
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-5)


def test_initial_weights_have_pytorchs_range(key):
    linear_key, gru_key = jax.random.split(key)
    linear = Linear(100, 50, key=linear_key)
    for p in jax.tree.leaves(linear):
        assert np.abs(p).max() <= 0.1
    assert np.asarray(linear.weight).std() == pytest.approx(0.1 / 3**0.5, rel=0.05)
    gru = GRU(4, 64, key=gru_key)
    for p in jax.tree.leaves(gru):
        assert 0.9 / 8 < np.abs(p).max() <= 1 / 8


def test_mlp_against_numpy(key):
    mlp = MLP(3, 4, 2, key=key)
    x = np.array([1.0, -2.0, 0.5], np.float32)
    hidden = np.maximum(x @ mlp.layers[0].weight + mlp.layers[0].bias, 0)
    want = hidden @ mlp.layers[1].weight + mlp.layers[1].bias
    np.testing.assert_allclose(mlp(jnp.asarray(x)), want, rtol=1e-5)


def test_parts_are_mapped_as_their_concatenation(key):
    state, ids = jax.random.normal(key, (7, 1, 5)), np.eye(3, dtype=np.float32)
    whole = [np.concatenate([s, i]) for s in np.asarray(state[:, 0]) for i in ids]
    mlp = MLP(5 + 3, 6, 2, key=jax.random.key(1))
    got = mlp(state, jnp.asarray(ids))
    want = mlp(jnp.asarray(whole)).reshape(7, 3, 2)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)

    def loss(mlp, *parts):
        return jnp.sum(mlp(*parts) ** 2)

    grad_of_parts, grad_of_whole = (
        jax.grad(loss)(mlp, *parts)
        for parts in ((state, jnp.asarray(ids)), (jnp.asarray(whole),))
    )
    for a, b in zip(
        jax.tree.leaves(grad_of_parts), jax.tree.leaves(grad_of_whole), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_parts_of_wrong_total_size():
    layer = Linear(5, 2, key=jax.random.key(0))
    for sizes in ((4,), (3, 1), (3, 3)):
        with pytest.raises((TypeError, ValueError)):
            layer(*(jnp.ones(size) for size in sizes))
