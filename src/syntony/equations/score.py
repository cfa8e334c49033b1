"""Policy gradients through what cannot be differentiated.

Every system of this package learns from a number that comes back from a black box:
a team's reward, a receiver's loss. None needs to know how the box made it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def score_surrogate(
    log_prob: Float[Array, "*batch"], payoff: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Returns −R ln π(a), whose mean gradient is minus that of the expected payoff.

        ∇ E[R] = E[R ∇ ln π(a)]

    Args:
        log_prob: ln π(a) of what was done, a function of the policy's parameters.
        payoff: R, what came back, the larger the better; no gradient passes.

    Source: Williams (1992). SMPE² takes the advantage for payoff (eq. 8), Aoudia &
        Hoydis (2018) minus the receiver's loss.
    """
    return -jax.lax.stop_gradient(payoff) * log_prob


def actor_loss(
    log_prob: Float[Array, "*batch"],
    advantage: Float[Array, "*batch"],
    entropy: Float[Array, "*batch"],
    *,
    entropy_coef: Float[Array, ""] | float,
) -> Float[Array, "*batch"]:
    """Returns L_actor = −β_H H(π) − ln π(a | h, z) A, with no gradient through A.

    Args:
        log_prob: ln π(a) of the action that was taken.
        advantage: A = G − V(s), in units of the (standardised) reward.
        entropy: H(π), in nats.
        entropy_coef: β_H ≥ 0, reward units a nat.

    Source: SMPE² eq. 8.
    """
    return score_surrogate(log_prob, advantage) - entropy_coef * entropy


def clipped_actor_loss(
    log_prob: Float[Array, "*batch"],
    old_log_prob: Float[Array, "*batch"],
    advantage: Float[Array, "*batch"],
    entropy: Float[Array, "*batch"],
    *,
    clip: Float[Array, ""] | float,
    entropy_coef: Float[Array, ""] | float,
) -> Float[Array, "*batch"]:
    """Returns −min(ρ A, clip(ρ, 1 − ε, 1 + ε) A) − β_H H, with ρ = π / π_old.

    Where π = π_old its gradient is that of `actor_loss`.

    Args:
        log_prob: ln π(a) of the action that was taken.
        old_log_prob: ln π_old(a), when it was taken; no gradient passes.
        advantage: A, no gradient passes.
        entropy: H(π), in nats.
        clip: ε > 0, how far ρ may lead away from 1.
        entropy_coef: β_H ≥ 0, reward units a nat.

    Source: Schulman et al., "Proximal Policy Optimization Algorithms" (2017), eq. 7.
    """
    advantage = jax.lax.stop_gradient(advantage)
    ratio = jnp.exp(log_prob - jax.lax.stop_gradient(old_log_prob))
    near = jnp.clip(ratio, 1.0 - clip, 1.0 + clip)
    surrogate = -jnp.minimum(ratio * advantage, near * advantage)
    return surrogate - entropy_coef * entropy
