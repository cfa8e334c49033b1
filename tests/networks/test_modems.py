"""Transmitter and receivers against NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from syntony.equations.signal import complex_to_pairs, pairs_to_complex
from syntony.networks.modems import (
    EqualizingReceiver,
    GaussianReceiver,
    Receiver,
    Transmitter,
)


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def dense(layer, x):
    return x @ np.asarray(layer.weight) + np.asarray(layer.bias)


def numpy_receiver(receiver, y):
    first, last = receiver.mlp.layers
    return dense(last, np.maximum(dense(first, y.reshape(len(y), -1)), 0.0))


def random_normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def num_parameters(model):
    return sum(leaf.size for leaf in jax.tree.leaves(model))


def test_sizes_are_those_of_the_paper(key):
    transmitter = Transmitter(256, 256, 4, key=key)
    assert num_parameters(transmitter) == 256 * 256 + 256 + 256 * 8 + 8
    receiver = Receiver(4, 256, 256, key=jax.random.key(1))
    assert num_parameters(receiver) == 8 * 256 + 256 + 256 * 256 + 256
    equalizing = equalizing_receiver(4, 256, 256, 20, key=jax.random.key(1))
    assert (
        num_parameters(equalizing) - num_parameters(receiver)
        == 8 * 20 + 20 + 20 * 2 + 2
    )


def test_transmitter_maps_one_hot_messages(key):
    transmitter = Transmitter(5, 7, 3, key=key)
    got = transmitter()
    assert got.shape == (5, 3, 2)
    hidden = elu(dense(transmitter.embed, np.eye(5)))
    want = dense(transmitter.out, hidden).reshape(5, 3, 2)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_receiver_against_numpy(key):
    receiver, y = Receiver(3, 7, 5, key=key), random_normal(6, 3, 2)
    got = receiver(jnp.array(y))
    np.testing.assert_allclose(got, numpy_receiver(receiver, y), rtol=1e-5, atol=1e-6)


def test_gaussian_receiver_is_bayes_rule(key):
    """p(m | y) of equally likely CN(c_m, v I), by SciPy's densities."""
    centroids, y, variance = random_normal(5, 3, 2), random_normal(6, 3, 2, seed=1), 0.1
    receiver = eqx.tree_at(
        lambda r: (r.centroids, r.log_var),
        GaussianReceiver(3, 5, key=key),
        (jnp.array(centroids), jnp.log(variance)),
    )
    parts = scipy.stats.norm.logpdf(y[:, None], centroids, np.sqrt(variance / 2))
    want = scipy.special.log_softmax(parts.sum(axis=(2, 3)), axis=1)
    got = jax.nn.log_softmax(receiver(jnp.array(y)))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("per_use", [False, True])
@pytest.mark.parametrize("scale_invariant", [False, True])
def test_equalizing_receiver_divides_by_its_estimate(key, per_use, scale_invariant):
    receiver = EqualizingReceiver(
        3,
        7,
        5,
        estimator_dim=4,
        per_use=per_use,
        scale_invariant=scale_invariant,
        key=key,
    )
    y, scale = random_normal(6, 3, 2), 1.0
    got = receiver(jnp.array(y))
    if scale_invariant:
        level = np.sqrt((y**2).sum(-1).mean(-1))
        y, scale = y / level[:, None, None], level**2 / (level**2 + 0.1**2)
    features = np.tanh(dense(receiver.estimator_hidden, y.reshape(6, -1)))
    estimates = dense(receiver.estimator_out, features).reshape(6, -1, 2)
    assert estimates.shape[1] == (3 if per_use else 1)
    equalized = complex_to_pairs(pairs_to_complex(y) / pairs_to_complex(estimates))
    want = numpy_receiver(receiver.receiver, equalized) * np.reshape(scale, (-1, 1))
    np.testing.assert_allclose(got, want, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("gain", [1e-30, 1e-3, 1e4, 1e30])
def test_decisions_of_the_equalizing_receiver_do_not_depend_on_the_gain(key, gain):
    receiver = EqualizingReceiver(
        3, 7, 5, estimator_dim=4, per_use=False, scale_invariant=True, key=key
    )
    y = random_normal(200, 3, 2).astype(np.float32)
    want = np.argmax(receiver(jnp.array(y)), axis=-1)
    scaled = receiver(jnp.array(np.float32(gain) * y))
    assert np.isfinite(scaled).all()
    if gain >= 1e-3:
        np.testing.assert_array_equal(np.argmax(scaled, axis=-1), want)


def equalizing_receiver(uses, hidden, messages, estimator_dim, *, key):
    """The paper's: one estimate per block."""
    return EqualizingReceiver(
        uses,
        hidden,
        messages,
        estimator_dim=estimator_dim,
        per_use=False,
        scale_invariant=False,
        key=key,
    )


def test_a_perfect_channel_estimate_removes_the_fading(key):
    """If ĥ = h, the logits do not depend on h."""
    receiver = equalizing_receiver(3, 7, 5, 4, key=key)
    x, gains = (
        pairs_to_complex(random_normal(1, 3, 2)),
        pairs_to_complex(random_normal(6, 1, 2, seed=1)),
    )

    def with_estimate(h):
        """The receiver with an estimator of constant output h."""
        zeros = jnp.zeros_like(receiver.estimator_out.weight)
        pair = jnp.array(complex_to_pairs(h).reshape(2))
        return eqx.tree_at(
            lambda r: (r.estimator_out.weight, r.estimator_out.bias),
            receiver,
            (zeros, pair),
        )

    want = receiver.receiver(jnp.array(complex_to_pairs(x)))[0]
    for h in gains:
        got = with_estimate(h[None])(jnp.array(complex_to_pairs(h * x)))[0]
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


def test_gradients_of_all_weights_are_finite_and_not_zero(key):
    receiver = equalizing_receiver(3, 7, 5, 4, key=key)
    y = jnp.array(random_normal(64, 3, 2))
    grads = jax.jit(jax.grad(lambda r: jnp.mean(r(y) ** 2)))(receiver)
    for leaf in jax.tree.leaves(grads):
        assert np.all(np.isfinite(leaf))
        assert np.any(leaf != 0.0)
    transmitter = Transmitter(5, 7, 3, key=jax.random.key(1))
    grads = jax.jit(jax.grad(lambda t: jnp.mean(t() ** 3)))(transmitter)
    assert all(np.any(leaf != 0.0) for leaf in jax.tree.leaves(grads))
