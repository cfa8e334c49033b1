"""Policy-gradient losses, baselines and gradient estimates for black boxes.

Environments and channels are not differentiated: policies and transmitters learn from
a scalar per sample, the team's reward or the receiver's loss.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key


def score_surrogate(
    log_prob: Float[Array, "*batch"], payoff: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Score-function loss −R ln π(a), with mean gradient −∇ E[R].

        ∇ E[R] = E[R ∇ ln π(a)]

    Args:
        log_prob: ln π(a) of the sampled action, a function of the policy's parameters.
        payoff: R, to be maximized; no gradient passes.

    Source: Williams (1992). The payoff is the advantage in SMPE² (eq. 8), and minus the
        receiver's loss in Aoudia & Hoydis (2018).
    """
    return -jax.lax.stop_gradient(payoff) * log_prob


def actor_loss(
    log_prob: Float[Array, "*batch"],
    advantage: Float[Array, "*batch"],
    entropy: Float[Array, "*batch"],
    *,
    entropy_coef: Float[Array, ""] | float,
) -> Float[Array, "*batch"]:
    """Actor loss L_actor = −β_H H(π) − ln π(a | h, z) A, with no gradient through A.

    Args:
        log_prob: ln π(a) of the action that was taken.
        advantage: A = G − V(s), in units of the (normalized) reward.
        entropy: H(π), in nats.
        entropy_coef: β_H ≥ 0, in reward units per nat.

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
    """PPO's actor loss −min(ρ A, clip(ρ, 1 − ε, 1 + ε) A) − β_H H, with ρ = π / π_old.

    Where π = π_old its gradient is that of `actor_loss`.

    Args:
        log_prob: ln π(a) of the action that was taken.
        old_log_prob: ln π_old(a), under the policy that took it; no gradient passes.
        advantage: A; no gradient passes.
        entropy: H(π), in nats.
        clip_eps: ε > 0, the maximum of |ρ − 1| that is rewarded.
        entropy_coef: β_H ≥ 0, in reward units per nat.

    Source: Schulman et al., "Proximal Policy Optimization Algorithms" (2017), eq. 7.
    """
    advantage = jax.lax.stop_gradient(advantage)
    ratio = jnp.exp(log_prob - jax.lax.stop_gradient(old_log_prob))
    clipped = jnp.clip(ratio, 1.0 - clip_eps, 1.0 + clip_eps)
    surrogate = -jnp.minimum(ratio * advantage, clipped * advantage)
    return surrogate - entropy_coef * entropy


def mean_baseline(
    payoff: Float[Array, " B"], received_mask: Bool[Array, " B"]
) -> Float[Array, ""]:
    """Mean of the received payoffs, the baseline b of R − b.

    A baseline that is independent of the samples leaves the mean gradient unchanged;
    the mean of the batch contains each sample, which scales the gradient by 1 − 1 / B.

    Args:
        payoff: R of each sample.
        received_mask: samples whose payoff was received.
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
    """Leave-one-out baseline: mean payoff of the other samples of the same context.

    b_i = Σ_{j ≠ i, c_j = c_i} R_j / (n_i − 1), and the batch's mean where n_i = 1.
    It is independent of sample i: the mean gradient is unchanged, and the variance that
    comes from differences between contexts is removed.

    Args:
        payoff: R of each sample.
        received_mask: samples whose payoff was received.
        context: context of each sample, e.g. its message, 0 to `num_contexts` − 1.
        num_contexts: number of contexts.
        antithetic: whether sample i + B/2 is the antithetic pair of sample i. The pair
            depends on sample i, and is left out too.

    Source: Kool et al., "Buy 4 REINFORCE samples, get a baseline for free!" (2019).
    """

    def sum_over_others(x: Float[Array, " B"]) -> Float[Array, " B"]:
        own = x + jnp.roll(x, len(x) // 2) if antithetic else x
        return jax.ops.segment_sum(x, context, num_contexts)[context] - own

    total = sum_over_others(jnp.where(received_mask, payoff, 0.0))
    count = sum_over_others(jnp.where(received_mask, 1.0, 0.0))
    fallback = mean_baseline(payoff, received_mask)
    return jnp.where(count > 0, total / jnp.maximum(count, 1.0), fallback)


def clip_at_quantile(
    loss: Float[Array, " B"],
    received_mask: Bool[Array, " B"],
    quantile: Float[Array, ""] | float,
) -> Float[Array, " B"]:
    """Losses clipped from above at a quantile of those received.

    Clipping limits the influence of outliers.

    Args:
        loss: loss of each sample.
        received_mask: samples whose loss was received.
        quantile: in (0, 1]; 1 clips nothing.
    """
    # Losses not received are sorted to the end, beyond all ranks below.
    ordered = jnp.sort(jnp.where(received_mask, loss, jnp.max(loss)))
    rank = quantile * jnp.maximum(jnp.sum(received_mask) - 1, 0)
    low, high = jnp.floor(rank).astype(int), jnp.ceil(rank).astype(int)
    limit = ordered[low] + (rank - low) * (ordered[high] - ordered[low])
    return jnp.minimum(loss, limit)


def antithetic_pairs(noise: Float[Array, "B *rest"]) -> Float[Array, "2*B *rest"]:
    """Antithetic samples w and −w of every w: terms even in w cancel exactly."""
    return jnp.concatenate([noise, -noise])


def random_orthogonal_matrices(
    key: Key[Array, ""], num_matrices: int, dimensions: int
) -> Float[Array, "F D D"]:
    """Random orthogonal matrices, uniform over the orthogonal group.

    The rows q of each satisfy Σ (g · q) q = g, so that the linear part of a gradient
    estimate over a whole matrix has no variance.

    Args:
        key: consumed.
        num_matrices: F.
        dimensions: D.

    Source: Stewart, "The efficient generation of random orthogonal matrices" (1980).
    """
    shape = num_matrices, dimensions, dimensions
    rows, triangle = jnp.linalg.qr(jax.random.normal(key, shape))
    # LAPACK fixes the signs of the factors; these make the distribution uniform.
    return rows * jnp.sign(jnp.linalg.diagonal(triangle))[:, None, :]


def spsa_gradient_estimate(
    loss_plus: Float[Array, ""],
    loss_minus: Float[Array, ""],
    direction: Float[Array, "*shape"],
    step: Float[Array, ""] | float,
) -> Float[Array, "*shape"]:
    """SPSA gradient estimate (L(v + c Δ) − L(v − c Δ)) / (2 c) · Δ⁻¹.

    Args:
        loss_plus: L(v + c Δ).
        loss_minus: L(v − c Δ).
        direction: Δ, entries −1 or 1 with equal probability.
        step: c > 0, in units of v.

    Source: Spall (1992); Raj & Kalyani, "Backpropagating through the air" (2018).
    """
    return (loss_plus - loss_minus) / (2.0 * step) / direction
