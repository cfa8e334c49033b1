"""What an agent believes of its teammates: SMPE² equations 2-5 and 7.

Throughout, `others` is o_-i, all other agents' observations in agent-index order,
normalised; `w` is w_i ∈ (0, 1), agent i's filter of them, one weight a feature.

Source: Kontogiannis et al., "Enhancing Cooperative Multi-Agent Reinforcement Learning
    with State Modelling and Adversarial Exploration", ICML 2025, arXiv 2505.05262.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def reconstruction_loss(
    w_target: Float[Array, "*batch F"],
    others: Float[Array, "*batch F"],
    w: Float[Array, "*batch F"],
    prediction: Float[Array, "*batch F"],
) -> Float[Array, "*batch"]:
    """Returns how far the belief is from what the teammates see, where it matters.

        L_rec = ‖w̃ ⊙ o_-i − w ⊙ ô_-i‖²

    Args:
        w_target: w̃, weights of the slow target filter; no gradient passes.
        others: o_-i, what the teammates see.
        w: weights of the filter that learns.
        prediction: ô_-i = p_φ(z), decoded from a *sampled* z: it is the sampling
            noise that shrinks the weights of what cannot be predicted.

    Source: eq. 3.
    """
    error = jax.lax.stop_gradient(w_target) * others - w * prediction
    return jnp.sum(error**2, axis=-1)


def norm_loss(w: Float[Array, "*batch F"]) -> Float[Array, "*batch"]:
    """Returns L_norm = −‖w‖², which keeps w = w̃ = 0 from being a solution.

    Source: eq. 4.
    """
    return -jnp.sum(w**2, axis=-1)


def kl_loss(
    mean: Float[Array, "*batch Z"], log_var: Float[Array, "*batch Z"]
) -> Float[Array, "*batch"]:
    """Returns the divergence of q_ω(z | o_i) from the standard normal, in nats.

        L_KL = KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ (μ² + σ² − ln σ² − 1)

    Source: eq. 5.
    """
    return 0.5 * jnp.sum(mean**2 + jnp.exp(log_var) - log_var - 1.0, axis=-1)


def elbo(
    log_likelihood: Float[Array, "*batch"], kl: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Returns the evidence lower bound E_z[ln p_φ(w ⊙ o_-i | z)] − KL, in nats.

    Source: eq. 2. Its first term is −L_rec for a Gaussian of fixed variance, up to
        scale and constant; training minimises `encodings_loss`.
    """
    return log_likelihood - kl


def filtered_state(
    own: Float[Array, "*batch O"],
    others: Float[Array, "*batch F"],
    w: Float[Array, "*batch F"],
) -> Float[Array, "*batch OF"]:
    """Returns ŝ_i = o_i ⊕ (w_i ⊙ o_-i), what the filtered critic judges.

    Source: section 3.1.
    """
    return jnp.concatenate([own, w * others], axis=-1)


def encodings_loss(
    filtered_critic: Float[Array, "*batch"] | float,
    reconstruction: Float[Array, "*batch"] | float,
    norm: Float[Array, "*batch"] | float,
    kl: Float[Array, "*batch"] | float,
    *,
    lambda_rec: Float[Array, ""] | float,
    lambda_norm: Float[Array, ""] | float,
    lambda_kl: Float[Array, ""] | float,
) -> Float[Array, "*batch"]:
    """Returns L_encodings = L^w_critic + λ_rec L_rec + λ_norm L_norm + λ_KL L_KL.

    It is never one backward pass: the first term is descended on-policy, after each
    rollout; the others off-policy, from the replay.

    Source: eq. 7.
    """
    beliefs = lambda_rec * reconstruction + lambda_norm * norm + lambda_kl * kl
    return jnp.asarray(filtered_critic + beliefs)


LOG_VAR_KNEE = 2.0
"""ln σ² above which a belief's variance grows slowly; the prior's is 0."""


def soft_clip_log_var(log_var: Float[Array, "*batch Z"]) -> Float[Array, "*batch Z"]:
    """Returns ln σ², slowed down where it is far above the prior's.

        x ↦ x for x ≤ 2,   2 + ln(x − 1) above

    It is continuous with its slope, and the slope never vanishes, so the KL term can
    always lead back. An exponential of what a network answers to inputs that it has
    hardly ever met does not fit into float32: a warehouse asked for ln σ² = 115 after
    ten million steps. On Foraging and the particle worlds it stays below 1.

    Source: ours.
    """
    excess = jnp.maximum(log_var - LOG_VAR_KNEE, 0.0)
    return jnp.minimum(log_var, LOG_VAR_KNEE) + jnp.log1p(excess)
