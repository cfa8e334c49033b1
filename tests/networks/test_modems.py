"""Transmitter and receivers against NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
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
    equalizing = EqualizingReceiver(
        4, 256, 256, estimator_dim=20, key=jax.random.key(1)
    )
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


def test_equalizing_receiver_divides_by_its_estimate(key):
    receiver, y = (
        EqualizingReceiver(3, 7, 5, estimator_dim=4, key=key),
        random_normal(6, 3, 2),
    )
    features = np.tanh(dense(receiver.estimator_hidden, y.reshape(6, -1)))
    gain = pairs_to_complex(dense(receiver.estimator_out, features))
    equalized = complex_to_pairs(pairs_to_complex(y) / gain[:, None])
    want = numpy_receiver(receiver.receiver, equalized)
    np.testing.assert_allclose(receiver(jnp.array(y)), want, rtol=2e-3, atol=1e-4)


def test_a_perfect_channel_estimate_removes_the_fading(key):
    """If ĥ = h, the logits do not depend on h."""
    receiver = EqualizingReceiver(3, 7, 5, estimator_dim=4, key=key)
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
    receiver = EqualizingReceiver(3, 7, 5, estimator_dim=4, key=key)
    y = jnp.array(random_normal(64, 3, 2))
    grads = jax.jit(jax.grad(lambda r: jnp.mean(r(y) ** 2)))(receiver)
    for leaf in jax.tree.leaves(grads):
        assert np.all(np.isfinite(leaf))
        assert np.any(leaf != 0.0)
    transmitter = Transmitter(5, 7, 3, key=jax.random.key(1))
    grads = jax.jit(jax.grad(lambda t: jnp.mean(t() ** 3)))(transmitter)
    assert all(np.any(leaf != 0.0) for leaf in jax.tree.leaves(grads))
