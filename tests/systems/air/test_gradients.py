"""Gradients of symbols from fed-back numbers, beside backpropagation."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.channels.awgn import AWGN
from syntony.channels.feedback import Feedback
from syntony.systems.air.gradients import (
    SymbolGradient,
    backprop_gradient,
    perturb_symbols,
    receive_feedback,
    spsa_gradient,
    symbol_policy_gradient,
)
from syntony.systems.link.gradient_estimators import PerturbationConfig

SAMPLES, AGENTS, USES = 3, 2, 2
X = jax.random.normal(jax.random.key(0), (SAMPLES, AGENTS, USES, 2))
TARGET = jax.random.normal(jax.random.key(1), X.shape)
CHANNEL = AWGN(snr_db=10.0)
ALL = jnp.ones((SAMPLES, AGENTS), bool)
PERFECT = Feedback()
CONFIG = PerturbationConfig(perturbation_variance=0.01)


def losses(key: jax.Array, sent: jax.Array, index: jax.Array) -> jax.Array:
    """‖y − t‖⁴ of each sender's block at its receiver."""
    y = CHANNEL(key, sent.reshape(-1, USES, 2)).reshape(sent.shape)
    return jnp.sum((y - TARGET[index]) ** 2, axis=(-2, -1)) ** 2


def policy(key: jax.Array, pairs: int, feedback: Feedback = PERFECT) -> SymbolGradient:
    keys = jax.random.split(key)
    perturbed, sent = perturb_symbols(CONFIG, X, keys[0], pairs=pairs)
    loss = losses(perturbed.channel_key, sent, perturbed.message)
    noise = perturbed.noise.reshape(sent.shape)
    batch = receive_feedback(
        feedback, keys[1], perturbed.message, noise, loss, ALL[perturbed.message]
    )
    return symbol_policy_gradient(CONFIG, batch, X)


def spsa(key: jax.Array, repeats: int) -> SymbolGradient:
    def one(key: jax.Array) -> SymbolGradient:
        return spsa_gradient(CONFIG, losses, PERFECT, X, ALL, key)

    many = jax.jit(jax.vmap(one))(jax.random.split(key, repeats))
    return jax.tree.map(lambda x: jnp.mean(x, axis=0), many)


@functools.cache
def reference() -> SymbolGradient:
    def one(key: jax.Array) -> SymbolGradient:
        return backprop_gradient(losses, X, ALL, key)

    many = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(3), 4000))
    return jax.tree.map(lambda x: jnp.mean(x, axis=0), many)


def cosine(a: jax.Array, b: jax.Array) -> float:
    return float(jnp.vdot(a, b) / jnp.linalg.norm(a) / jnp.linalg.norm(b))


@pytest.mark.parametrize("estimate", [policy, spsa])
def test_estimates_converge_to_the_gradient_through_the_channel(
    estimate: Callable[[jax.Array, int], SymbolGradient],
):
    exact = reference()
    few, many = (estimate(jax.random.key(5), n) for n in (20, 5_000))
    assert cosine(few.grad, exact.grad) < cosine(many.grad, exact.grad)
    assert cosine(many.grad, exact.grad) > 0.98
    np.testing.assert_allclose(many.loss, exact.loss, rtol=0.1)


def test_an_erased_loss_teaches_nothing():
    erased = policy(jax.random.key(5), 10, Feedback(erasure_prob=1.0))
    assert not np.asarray(erased.grad).any()


def test_a_noisy_and_quantized_feedback_link_keeps_the_direction():
    link = Feedback(noise_std=0.5, bits=6)
    estimate = policy(jax.random.key(5), 5_000, link)
    assert cosine(estimate.grad, reference().grad) > 0.9


def test_senders_that_have_finished_are_left_out():
    counts = ALL.at[1, 0].set(False)
    estimate = backprop_gradient(losses, X, counts, jax.random.key(0))
    assert not np.asarray(estimate.grad[1, 0]).any()
    assert np.asarray(estimate.grad[1, 1]).any()
    estimate = spsa_gradient(CONFIG, losses, PERFECT, X, counts, jax.random.key(0))
    assert not np.asarray(estimate.grad[1, 0]).any()
