"""Numbers that the receivers feed back about what they received.

belief   the error ‖w̃ ⊙ o_j − w ⊙ ô_j‖² of the receiver's belief about the sender j
action   −ρ A, how much better the receiver's action would have become:
ρ = π(a | o, y') / π_old(a | o, y), with its action a and advantage A
return   −A of the whole team, of the symbols that were sent in the episodes
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from syntony.equations import distributions
from syntony.networks.agents import apply_per_agent, other_agents_obs
from syntony.pytrees import PyTree
from syntony.systems.air.transmission import teammate_indices
from syntony.systems.marl.smpe_beliefs import (
    BeliefConfig,
    BeliefState,
    encode,
    filter_weights,
    normalize_obs,
)

MAX_RATIO = 4.0
"""Probability ratio ρ at which the action signal is clipped."""


class TakenActions(NamedTuple):
    """Actions that were taken when S observations were made, and their advantages."""

    action_mask: Bool[Array, "S N A"]
    action: Int[Array, "S N"]
    log_prob: Float[Array, "S N"]
    """ln π_old(a | o, y)."""
    advantage: Float[Array, "S N"]
    hidden: PyTree[Array]
    """Hidden state of the actors before the step, [S, N, ...] each leaf."""


class Samples(NamedTuple):
    """S observations of all agents that are sent once more."""

    obs: Float[Array, "S N O"]
    alive: Bool[Array, "S N"]
    taken: TakenActions | None = None
    """For the action signal."""


def belief_errors(
    config: BeliefConfig,
    state: BeliefState,
    obs: Float[Array, "B N O"],
    received: Float[Array, "B N R"] | None,
) -> Float[Array, "B N N1"]:
    """Filtered error of each belief about each teammate (eq. 3, block by block).

    Args:
        config: constants of the beliefs.
        state: encoders, decoders and filters.
        obs: observations o.
        received: y, what was received.
    """
    num_agents, obs_dim = obs.shape[-2:]
    own = normalize_obs(config, state.shared_stats, obs)
    others = other_agents_obs(normalize_obs(config, state.per_agent_stats, obs))
    mean, _ = encode(config, state, obs, received)
    prediction = apply_per_agent(state.decoder, mean)
    target = filter_weights(config, state.target_filter, own) * others
    error = (target - filter_weights(config, state.filter, own) * prediction) ** 2
    blocks = error.reshape(*obs.shape[:-2], num_agents, num_agents - 1, obs_dim)
    return jnp.sum(blocks, axis=-1)


def action_losses(
    logits: Float[Array, "B N A"], taken: TakenActions
) -> Float[Array, "B N"]:
    """−ρ A of each receiver, from its logits given what it has received now."""
    logits = distributions.masked_logits(logits, taken.action_mask)
    log_prob = distributions.categorical_log_prob(logits, taken.action)
    ratio = jnp.minimum(jnp.exp(log_prob - taken.log_prob), MAX_RATIO)
    return -ratio * taken.advantage


def sum_over_receivers(
    loss: Float[Array, "B N N1"] | Float[Array, "B N"],
    alive: Bool[Array, "B N"],
    links: Bool[np.ndarray, "N N"],
) -> Float[Array, "B N"]:
    """Sum of what the receivers of each sender feed back.

    Args:
        loss: of each receiver about each teammate, or the same about all.
        alive: receivers that have not finished.
        links: whether agent i (row) receives agent j (column).
    """
    num_agents = len(links)
    if loss.ndim == 2:
        loss = jnp.broadcast_to(loss[..., None], (*loss.shape, num_agents - 1))
    indices = teammate_indices(num_agents)
    is_sender = np.eye(num_agents)[indices]
    linked = np.take_along_axis(links, indices, axis=1)
    loss = jnp.where(alive[..., None] & linked, loss, 0.0)
    return jnp.einsum("bik,ikj->bj", loss, is_sender)
