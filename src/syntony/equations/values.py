"""What an action is worth: Q-learning's targets, and how it explores."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from syntony.equations.distributions import masked_logits, take_along_action

GREEDY_LOGIT_SCALE = 1e4
"""Logits this far apart leave nothing to chance: Gumbel noise spans about 30."""
EXPLORE_LOGIT_SCALE = 1e-6
"""Logits this close together are, but for ties, all the same to chance."""


def double_q_value(
    q_values: Float[Array, "*batch A"],
    target_q_values: Float[Array, "*batch A"],
    action_mask: Bool[Array, "*batch A"],
) -> Float[Array, "*batch"]:
    """Returns Q'(argmax_a Q(a)): the fast values choose, the slow ones judge.

    What errs upwards in one of the two is rarely also the best of the other.

    Args:
        values: Q of the state that followed.
        slow_values: Q' of the same, from the slow copy.
        available: actions that may be chosen there.

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
    """Returns y = r + γ Q'(s'), or r where the episode ended by itself.

    Args:
        reward: r, the team's.
        next_value: Q' of the state that followed, before any reset. After a time-out
            it counts: more could have been earned.
        terminated: whether the episode ended by itself at this step.
        gamma: discount of a step, in [0, 1].

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
    """Returns ε = start + (end − start) min(1, steps / anneal).

    It is the chance of a random action, from start to end in so many steps.
    """
    return start + (end - start) * jnp.minimum(1.0, steps / anneal_steps)


def epsilon_greedy_logits(
    q_values: Float[Array, "*batch A"], explore: Bool[Array, "*batch"]
) -> Float[Array, "*batch A"]:
    """Returns logits to draw from: the best action, or any where `explore` is true.

    With `explore` true with probability ε, what is drawn is ε-greedy among whatever
    actions remain after masking; one softmax of the mixture would not be, for the best
    of those that remain is not known before. Without noise, as a greedy team draws, it
    is the best action in both cases.

    Only the order of the values counts: equal ones are drawn alike.
    """
    below = q_values[..., None, :] < q_values[..., :, None]
    rank = jnp.sum(below, axis=-1, dtype=q_values.dtype)
    return rank * jnp.where(explore[..., None], EXPLORE_LOGIT_SCALE, GREEDY_LOGIT_SCALE)
