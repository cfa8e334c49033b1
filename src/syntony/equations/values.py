"""Q-learning: targets and epsilon-greedy exploration."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from syntony.equations.distributions import masked_logits, take_along_action

GREEDY_LOGIT_SCALE = 1e4
"""Difference of logits at which sampling is greedy: Gumbel noise spans about 30."""
EXPLORE_LOGIT_SCALE = 1e-6
"""Difference of logits at which sampling is uniform, except for ties of the noise."""


def double_q_value(
    q_values: Float[Array, "*batch A"],
    target_q_values: Float[Array, "*batch A"],
    action_mask: Bool[Array, "*batch A"],
) -> Float[Array, "*batch"]:
    """Double-Q value Q'(argmax_a Q(a)) of the next state.

    Selecting and evaluating the action by two networks reduces overestimation.

    Args:
        q_values: Q of the next state.
        target_q_values: Q' of the next state, by the target network.
        action_mask: available actions there.

    Source: van Hasselt, Guez & Silver, "Deep Reinforcement Learning with Double
        Q-learning", AAAI 2016, eq. 4.
    """
    best = jnp.argmax(masked_logits(q_values, action_mask), axis=-1)
    return take_along_action(target_q_values, best)


def td_target(
    reward: Float[Array, "*batch"],
    next_value: Float[Array, "*batch"],
    terminated: Bool[Array, "*batch"],
    *,
    gamma: Float[Array, ""] | float,
) -> Float[Array, "*batch"]:
    """One-step target y = r + γ Q'(s'), or r where the episode terminated.

    Args:
        reward: r, of the team.
        next_value: Q' of the next state, before any reset; also used after truncation.
        terminated: whether the episode terminated at this step.
        gamma: discount factor per step, in [0, 1].

    Source: Mnih et al., "Human-level control through deep reinforcement learning",
        Nature 2015.
    """
    return reward + gamma * jnp.where(terminated, 0.0, next_value)


def linear_epsilon(
    steps: Int[Array, ""],
    *,
    start: Float[Array, ""] | float,
    end: Float[Array, ""] | float,
    anneal_steps: int,
) -> Float[Array, ""]:
    """Exploration probability ε = start + (end − start) min(1, steps / anneal_steps).

    Args:
        steps: environment steps so far.
        start: ε at step 0.
        end: ε from step `anneal_steps` on.
        anneal_steps: environment steps of the linear decrease.
    """
    return start + (end - start) * jnp.minimum(1.0, steps / anneal_steps)


def epsilon_greedy_logits(
    q_values: Float[Array, "*batch A"], explore: Bool[Array, "*batch"]
) -> Float[Array, "*batch A"]:
    """Logits of a greedy policy, or of a uniform one where `explore` is true.

    With `explore` true with probability ε, samples are ε-greedy among the actions that
    remain after masking, whichever those are. Without noise (greedy evaluation) the
    best action is taken in both cases.

    Only the order of the values matters; actions of equal value are equally likely.
    """
    is_smaller = q_values[..., None, :] < q_values[..., :, None]
    rank = jnp.sum(is_smaller, axis=-1, dtype=q_values.dtype)
    return rank * jnp.where(explore[..., None], EXPLORE_LOGIT_SCALE, GREEDY_LOGIT_SCALE)
