"""Policy gradients through what cannot be differentiated.

Every system of this package learns from a number that comes back from a black box:
a team's reward, a receiver's loss. None needs to know how the box made it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key


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
    clip_eps: Float[Array, ""] | float,
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
    near = jnp.clip(ratio, 1.0 - clip_eps, 1.0 + clip_eps)
    surrogate = -jnp.minimum(ratio * advantage, near * advantage)
    return surrogate - entropy_coef * entropy


def mean_baseline(
    payoff: Float[Array, " B"], received_mask: Bool[Array, " B"]
) -> Float[Array, ""]:
    """Returns the mean of the payoffs that arrived: R − b has the same mean gradient.

    Exactly so for a b that knows nothing of the draws; a batch's own mean contains
    each draw once, which shrinks the gradient by 1 / B.
    """
    total = jnp.sum(jnp.where(received_mask, payoff, 0.0))
    return total / jnp.maximum(jnp.sum(received_mask), 1)


def leave_one_out_baseline(
    payoff: Float[Array, " B"],
    received_mask: Bool[Array, " B"],
    context: Int[Array, " B"],
    *,
    num_contexts: int,
    antithetic: bool = False,
) -> Float[Array, " B"]:
    """Returns for each draw the mean payoff of the others in the same context.

    b_i = Σ_{j ≠ i, c_j = c_i} R_j / (n_i − 1), and the batch's mean where n_i = 1.
    It does not know draw i: the gradient keeps its mean, and loses the part of its
    noise that comes from some contexts being harder than others.

    Args:
        context: what was known before the draw, 0 to `contexts` − 1: a message.
        mirrored: the second half are the first half's antithetic draws. A draw's
            mirror knows it as well, and is left out too.

    Source: Kool et al., "Buy 4 REINFORCE samples, get a baseline for free!" (2019).
    """

    def of_others(x: Float[Array, " B"]) -> Float[Array, " B"]:
        own = x + jnp.roll(x, len(x) // 2) if antithetic else x
        return jax.ops.segment_sum(x, context, num_contexts)[context] - own

    total = of_others(jnp.where(received_mask, payoff, 0.0))
    others = of_others(jnp.where(received_mask, 1.0, 0.0))
    alone = mean_baseline(payoff, received_mask)
    return jnp.where(others > 0, total / jnp.maximum(others, 1.0), alone)


def clip_at_quantile(
    loss: Float[Array, " B"],
    received_mask: Bool[Array, " B"],
    quantile: Float[Array, ""] | float,
) -> Float[Array, " B"]:
    """Returns losses cut off at a quantile of those that arrived.

    Few draws no longer outshout all the others.

    Args:
        quantile: in (0, 1]; at 1 nothing is cut off.
    """
    # What did not arrive stands at the end, where no rank leads.
    ordered = jnp.sort(jnp.where(received_mask, loss, jnp.max(loss)))
    rank = quantile * jnp.maximum(jnp.sum(received_mask) - 1, 0)
    low, high = jnp.floor(rank).astype(int), jnp.ceil(rank).astype(int)
    most = ordered[low] + (rank - low) * (ordered[high] - ordered[low])
    return jnp.minimum(loss, most)


def antithetic_pairs(noise: Float[Array, "B *rest"]) -> Float[Array, "B2 *rest"]:
    """Returns w and −w for every draw w: what is even in w cancels exactly."""
    return jnp.concatenate([noise, -noise])


def random_orthogonal_matrices(
    key: Key[Array, ""], num_matrices: int, dimensions: int
) -> Float[Array, "F D D"]:
    """Returns random rotations: rows of length 1 at right angles, each way as likely.

    For rows q of a frame Σ (g · q) q = g: nothing linear is left to chance.

    Source: Stewart, "The efficient generation of random orthogonal matrices" (1980).
    """
    shape = num_matrices, dimensions, dimensions
    rows, triangle = jnp.linalg.qr(jax.random.normal(key, shape))
    # The factors' signs are LAPACK's; with these they are chance's.
    return rows * jnp.sign(jnp.diagonal(triangle, axis1=1, axis2=2))[:, None, :]


def spsa_gradient_estimate(
    loss_plus: Float[Array, ""],
    loss_minus: Float[Array, ""],
    direction: Float[Array, "*shape"],
    step: Float[Array, ""] | float,
) -> Float[Array, "*shape"]:
    """Returns (L(v + c Δ) − L(v − c Δ)) / (2 c) · Δ⁻¹, from two numbers alone.

    Args:
        direction: Δ, entries −1 or 1 with equal probability.
        step: c > 0, in units of v.

    Source: Spall (1992); Raj & Kalyani, "Backpropagating through the air" (2018).
    """
    return (loss_plus - loss_minus) / (2.0 * step) / direction
