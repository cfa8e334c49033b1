"""Categorical and Gaussian distributions; log-probabilities are in nats."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

MASKED_LOGIT = -1e10
"""Logit of a masked action: its probability underflows to zero."""


def masked_logits(
    logits: Float[Array, "*batch A"], action_mask: Bool[Array, "*batch A"]
) -> Float[Array, "*batch A"]:
    """Logits with those of unavailable actions set to `MASKED_LOGIT`."""
    return jnp.where(action_mask, logits, MASKED_LOGIT)


def categorical_sample(
    noise: Float[Array, "*batch A"], logits: Float[Array, "*batch A"]
) -> Int[Array, "*batch"]:
    """Sample argmax(logits + g) of softmax(logits), for g ~ Gumbel(0, 1).

    Without noise (g = 0) it is the most likely action.

    Args:
        noise: g.
        logits: unnormalized log-probabilities.
    """
    return jnp.argmax(logits + noise, axis=-1)


def categorical_log_prob(
    logits: Float[Array, "*batch A"], action: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Log-probability ln softmax(logits)[action]."""
    return take_along_action(jax.nn.log_softmax(logits), action)


def take_along_action(
    values: Float[Array, "*batch A"], action: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Entry of the action along the last axis: ln π(a) or Q(a)."""
    # A one-hot product: the gradient of an index is a scatter, slow on a CPU.
    one_hot = jax.nn.one_hot(action, values.shape[-1], dtype=values.dtype)
    return jnp.sum(values * one_hot, axis=-1)


def categorical_entropy(logits: Float[Array, "*batch A"]) -> Float[Array, "*batch"]:
    """Entropy H = −Σ p ln p of softmax(logits), in nats."""
    log_p = jax.nn.log_softmax(logits)
    return -jnp.sum(jnp.exp(log_p) * log_p, axis=-1)


def gaussian_sample(
    noise: Float[Array, "*batch Z"],
    mean: Float[Array, "*batch Z"],
    log_var: Float[Array, "*batch Z"],
) -> Float[Array, "*batch Z"]:
    """Reparameterized sample z = μ + σ ε for ε ~ N(0, I)."""
    return mean + jnp.exp(0.5 * log_var) * noise
