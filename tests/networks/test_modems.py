"""Transmitter and receivers against NumPy."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from syntony.equations.signal import complex_to_pairs, pairs_to_complex
from syntony.networks.modems import (
    EqualizingReceiver,
    GaussianReceiver,
    MixtureReceiver,
    QuadraticReceiver,
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


@pytest.mark.parametrize("scale_invariant", [False, True])
def test_equalizing_receiver_divides_by_its_estimate(key, scale_invariant):
    receiver = EqualizingReceiver(
        3,
        7,
        5,
        estimator_dim=4,
        scale_invariant=scale_invariant,
        key=key,
    )
    y, scale = random_normal(6, 3, 2), 1.0
    got = receiver(jnp.array(y))
    if scale_invariant:
        level = np.sqrt((y**2).sum(-1).mean(-1))
        y, scale = y / level[:, None, None], level**2 / (level**2 + 0.1**2)
    features = np.tanh(dense(receiver.estimator_hidden, y.reshape(6, -1)))
    gain = pairs_to_complex(dense(receiver.estimator_out, features))
    equalized = complex_to_pairs(pairs_to_complex(y) / gain[:, None])
    want = numpy_receiver(receiver.receiver, equalized) * np.reshape(scale, (-1, 1))
    np.testing.assert_allclose(got, want, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("gain", [1e-30, 1e-3, 1e4, 1e30])
def test_decisions_of_the_equalizing_receiver_do_not_depend_on_the_gain(key, gain):
    receiver = EqualizingReceiver(
        3, 7, 5, estimator_dim=4, scale_invariant=True, key=key
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


def test_mixture_receiver_against_scipy(key):
    """Σ_d ln Σ_k π_k CN(y_d; c_md, v_k), by SciPy's densities of the real parts."""
    centroids, y = random_normal(5, 3, 2), random_normal(6, 3, 2, seed=1)
    variance, share = np.array([0.1, 4.0]), np.array([0.7, 0.3])
    receiver = eqx.tree_at(
        lambda r: (r.centroids, r.log_var, r.component_logits),
        MixtureReceiver(3, 5, key=key),
        (jnp.array(centroids), jnp.log(variance), jnp.log(5.0 * share)),
    )
    std = np.sqrt(variance / 2)
    parts = scipy.stats.norm.pdf(y[:, None, ..., None], centroids[..., None], std).prod(
        axis=3
    )
    want = np.log((parts * share).sum(-1)).sum(-1)
    np.testing.assert_allclose(receiver(jnp.array(y)), want, rtol=1e-3, atol=1e-3)


def test_quadratic_receiver_is_optimal_for_fading_blocks_of_equal_energy(key):
    """Weights from the covariances h hᴴ + N_0 I give SciPy's posterior."""
    tap = pairs_to_complex(random_normal(5, 3, 2))
    tap *= 1.7 / np.linalg.norm(tap, axis=1, keepdims=True)
    y, noise_power = pairs_to_complex(random_normal(6, 3, 2, seed=1)), 0.5
    real_y = np.concatenate([np.real(y), np.imag(y)], -1)
    want = np.zeros((6, 5))
    for m in range(5):
        cov: Any = np.outer(tap[m], tap[m].conj()) + noise_power * np.eye(3)
        real_cov = np.block(
            [[np.real(cov), -np.imag(cov)], [np.imag(cov), np.real(cov)]]
        )
        want[:, m] = scipy.stats.multivariate_normal.logpdf(real_y, cov=real_cov / 2)
    forms = tap / np.sqrt(noise_power * (noise_power + 1.7**2))
    receiver = QuadraticReceiver(3, 5, 1, key=key)
    receiver = eqx.tree_at(
        lambda r: (r.forms, r.linear),
        receiver,
        (
            jnp.array(complex_to_pairs(forms[:, None])),
            jax.tree.map(jnp.zeros_like, receiver.linear),
        ),
    )
    got = receiver(jnp.array(complex_to_pairs(y), jnp.float32))
    np.testing.assert_allclose(
        jax.nn.log_softmax(got),
        scipy.special.log_softmax(want, axis=1),
        rtol=1e-3,
        atol=1e-3,
    )


def test_quadratic_receiver_agrees_with_numpy(key):
    receiver = QuadraticReceiver(3, 5, 2, key=key)
    y = random_normal(64, 3, 2)
    match = np.einsum("mkd,bd->bmk", pairs_to_complex(receiver.forms).conj(),
                      pairs_to_complex(y))  # fmt: skip
    level = np.sqrt(np.sum(y**2, axis=(1, 2)) / 3)[:, None]
    linear = y.reshape(64, -1) @ np.asarray(receiver.linear.weight)
    want = np.sum(np.abs(match) ** 2, axis=-1) + level * linear
    want += level**2 * np.asarray(receiver.linear.bias)
    np.testing.assert_allclose(receiver(jnp.array(y)), want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("gain", [1e-20, 1e-15, 1e-3, 1e3])
def test_decisions_of_the_quadratic_receiver_do_not_depend_on_the_gain(key, gain):
    receiver = QuadraticReceiver(3, 5, 2, key=key)
    y = jnp.array(random_normal(500, 3, 2))
    decisions = jnp.argmax(receiver(y), axis=1)
    assert len(np.unique(decisions)) > 1
    np.testing.assert_array_equal(
        jnp.argmax(receiver(jnp.float32(gain) * y), axis=1), decisions
    )


@pytest.mark.parametrize(("messages", "hidden"), [(5, 7), (16, 256), (256, 256)])
def test_a_transmitter_starts_from_a_given_codebook(key, messages, hidden):
    """It has the codewords, and weights of which a small step is a small step."""
    codewords = random_normal(messages, 3, 2)
    embed_key, noise_key = jax.random.split(jax.random.key(1))
    transmitter = Transmitter(messages, hidden, 3, key=key).with_codewords(
        jnp.array(codewords), embed_key
    )
    np.testing.assert_allclose(transmitter(), codewords, rtol=1e-3, atol=1e-3)
    leaves, treedef = jax.tree.flatten(transmitter)
    signs = jax.random.split(noise_key, len(leaves))
    moved = [
        leaf + 5e-4 * jax.random.rademacher(key, leaf.shape, float)
        for leaf, key in zip(leaves, signs, strict=True)
    ]
    change = jax.tree.unflatten(treedef, moved)() - codewords
    assert np.sqrt(np.mean(np.square(change))) < 0.05


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
