"""Gradients of the symbols from numbers that the receivers feed back.

They are the link's estimators, with observations in place of messages: S observations
of all agents are sent under fresh perturbations, the teammates feed back a loss of each
block, and the gradient is one in the symbols x = f_T(o).
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.channels.feedback import Feedback
from syntony.equations.score import spsa_gradient_estimate
from syntony.systems.link.gradient_estimators import (
    PerturbationConfig,
    PerturbedBatch,
    PerturbedCodewords,
    perturbed_codewords,
    policy_gradient,
)

SenderLossFn = Callable[
    [Key[Array, ""], Float[Array, "B N C 2"], Int[Array, " B"]], Float[Array, "B N"]
]
"""Sent symbols and the indices of their observations to a loss of each sender, the sum
of what its receivers feed back."""


class SymbolGradient(NamedTuple):
    """Mean fed-back loss, and the gradient in the symbols."""

    loss: Float[Array, ""]
    grad: Float[Array, "S N C 2"]


@partial(jax.jit, static_argnames="pairs")
def perturb_symbols(
    config: PerturbationConfig,
    x: Float[Array, "S N C 2"],
    key: Key[Array, ""],
    *,
    pairs: int,
) -> tuple[PerturbedCodewords, Float[Array, "B N C 2"]]:
    """Perturbed symbols of all agents, each observation in `pairs` antithetic pairs.

    The symbols of all agents in a step are one codeword for the link's perturbations.

    Args:
        config: variance and kind of the perturbations.
        x: symbols of S observations.
        key: consumed.
        pairs: antithetic pairs of each observation; B = 2 pairs S.
    """
    samples, num_agents, uses, _ = x.shape
    assert config.perturbation_variance is not None
    perturbed = perturbed_codewords(
        config,
        x.reshape(samples, num_agents * uses, 2),
        jnp.asarray(config.perturbation_variance),
        key,
        batch_size=2 * pairs * samples,
    )
    return perturbed, perturbed.sent.reshape(-1, num_agents, uses, 2)


@jax.jit
def receive_feedback(
    feedback: Feedback,
    key: Key[Array, ""],
    index: Int[Array, " B"],
    noise: Float[Array, "B N C 2"],
    loss: Float[Array, "B N"],
    counts: Bool[Array, "B N"],
) -> PerturbedBatch:
    """Perturbed blocks of each sender and their losses, over its own feedback link.

    Args:
        feedback: the feedback link.
        key: consumed.
        index: observation of each block.
        noise: perturbations.
        loss: of each block, as the receivers feed it back.
        counts: blocks whose losses count: those of agents that are alive.

    Returns:
        The batch of each sender, [N, ...] each leaf.
    """
    num_agents = loss.shape[1]
    keys = jax.random.split(key, num_agents)
    received, arrived = jax.vmap(feedback)(keys, loss.T)
    return PerturbedBatch(
        message=jnp.broadcast_to(index, (num_agents, len(index))),
        noise=jnp.moveaxis(noise, 1, 0),
        loss=received,
        received_mask=arrived & counts.T,
    )


@jax.jit
def symbol_policy_gradient(
    config: PerturbationConfig, batch: PerturbedBatch, x: Float[Array, "S N C 2"]
) -> SymbolGradient:
    """The link's policy gradient of each sender, in the symbols x.

    Args:
        config: variance, baseline, clipping.
        batch: perturbed blocks and their losses, [N, ...] each leaf.
        x: symbols of the observations that were sent.
    """
    variance = jnp.asarray(config.perturbation_variance)

    def gradient(
        batch: PerturbedBatch, x: Float[Array, "S C 2"]
    ) -> Float[Array, "S C 2"]:
        return policy_gradient(config, batch, x, variance)

    grad = jax.vmap(gradient, (0, 1), 1)(batch, x)
    count = jnp.maximum(jnp.sum(batch.received_mask), 1)
    loss = jnp.sum(jnp.where(batch.received_mask, batch.loss, 0.0)) / count
    return SymbolGradient(loss, grad)


def backprop_gradient(
    loss_fn: SenderLossFn,
    x: Float[Array, "S N C 2"],
    counts: Bool[Array, "S N"],
    key: Key[Array, ""],
) -> SymbolGradient:
    """Gradient of the mean loss through channel and receivers: the reference.

    No feedback link is needed.
    """
    index = jnp.arange(len(x))

    def mean_loss(x: Float[Array, "S N C 2"]) -> Float[Array, ""]:
        loss = jnp.where(counts, loss_fn(key, x, index), 0.0)
        return jnp.sum(loss) / jnp.maximum(jnp.sum(counts), 1)

    return SymbolGradient(*jax.value_and_grad(mean_loss)(x))


def spsa_gradient(
    config: PerturbationConfig,
    loss_fn: SenderLossFn,
    feedback: Feedback,
    x: Float[Array, "S N C 2"],
    counts: Bool[Array, "S N"],
    key: Key[Array, ""],
) -> SymbolGradient:
    """Two-sided differences of the losses of each block, x + c Δ and x − c Δ.

    Args:
        config: size c of the perturbation.
        loss_fn: losses of sent symbols.
        feedback: the feedback link.
        x: symbols of S observations.
        counts: blocks whose losses count.
        key: consumed.
    """
    keys = jax.random.split(key, 5)
    direction = jax.random.rademacher(keys[0], x.shape, x.dtype)
    index, size = jnp.arange(len(x)), config.spsa_perturbation_size

    def losses(sign: float, keys: Key[Array, " 2"]) -> PerturbedBatch:
        moved = x + sign * size * direction
        loss = loss_fn(keys[0], moved, index)
        return receive_feedback(feedback, keys[1], index, x, loss, counts)

    plus, minus = losses(1.0, keys[1:3]), losses(-1.0, keys[3:5])
    arrived = (plus.received_mask & minus.received_mask).T
    estimate = jax.vmap(
        jax.vmap(spsa_gradient_estimate, (0, 0, 0, None)), (0, 0, 0, None)
    )
    grad = estimate(plus.loss.T, minus.loss.T, direction, size)
    count = jnp.maximum(jnp.sum(arrived), 1)
    mean = jnp.sum(jnp.where(arrived, (plus.loss + minus.loss).T / 2.0, 0.0)) / count
    return SymbolGradient(mean, jnp.where(arrived[..., None, None], grad, 0.0) / count)
