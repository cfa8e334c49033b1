"""How much a transmitter's gradient says: whether what different batches say agrees."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

NUM_BATCHES = 16
"""Batches that are compared, each with each other: 1 % of what 500 iterations take."""


def gradient_cosine_similarity(
    link: Any, state: Any, key: Key[Array, ""], num_batches: int = NUM_BATCHES
) -> Float[Array, " draws"]:
    """Returns the mean cosine of each batch's gradient with those of the others.

        E cos(g, g') ≈ s / (1 + s), s = ‖E g‖² / E‖g − E g‖²

    So it says how strong the signal is against the noise, whatever is the signal.

    Args:
        link: whose gradients in the codebook they are.
        state: as it is; nothing is learned.
        draws: batches, at least two.
    """
    codebook = link.codebook(state.transmitter)
    # Losses that are late are of a batch that all draws would share.
    fresh = state._replace(
        pending_feedback=jax.tree.map(lambda x: x[:0], state.pending_feedback)
    )

    def direction(key: Key[Array, ""]) -> Float[Array, " D"]:
        gradient = link.estimate_gradient(fresh, codebook, key)[2].reshape(-1)
        length = jnp.linalg.norm(gradient)
        # Losses that are all alike give no gradient, and that has no direction.
        return gradient / jnp.where(length > 0.0, length, 1.0)

    every = jax.lax.map(direction, jax.random.split(key, num_batches))
    others = jnp.sum(every, axis=0) - every
    return jnp.sum(every * others, axis=-1) / (num_batches - 1)
