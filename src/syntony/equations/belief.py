"""Belief losses of SMPE²: equations 2-5 and 7.

`others` is o_-i, the normalized observations of all other agents in agent-index order.
`w` is w_i ∈ (0, 1), the weights of agent i's filter, one per feature of o_-i.

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
    """Filtered reconstruction loss of the teammates' observations.

        L_rec = ‖w̃ ⊙ o_-i − w ⊙ ô_-i‖²

    Args:
        w_target: w̃, weights of the target filter; no gradient passes.
        others: o_-i, observations of the teammates.
        w: weights of the trained filter.
        prediction: ô_-i = p_φ(z), decoded from a *sampled* z: the sampling noise
            shrinks the weights of features that cannot be predicted.

    Source: eq. 3.
    """
    error = jax.lax.stop_gradient(w_target) * others - w * prediction
    return jnp.sum(error**2, axis=-1)


def norm_loss(w: Float[Array, "*batch F"]) -> Float[Array, "*batch"]:
    """Norm loss L_norm = −‖w‖², without which w = w̃ = 0 minimizes L_rec.

    Source: eq. 4.
    """
    return -jnp.sum(w**2, axis=-1)


def kl_loss(
    mean: Float[Array, "*batch Z"], log_var: Float[Array, "*batch Z"]
) -> Float[Array, "*batch"]:
    """KL divergence of q_ω(z | o_i) from the standard normal, in nats.

        L_KL = KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ (μ² + σ² − ln σ² − 1)

    Source: eq. 5.
    """
    return 0.5 * jnp.sum(mean**2 + jnp.exp(log_var) - log_var - 1.0, axis=-1)


def elbo(
    log_likelihood: Float[Array, "*batch"], kl: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Evidence lower bound E_z[ln p_φ(w ⊙ o_-i | z)] − KL, in nats.

    Source: eq. 2. Its first term is −L_rec for a Gaussian of fixed variance, up to
        scale and constant; training minimizes `encodings_loss`.
    """
    return log_likelihood - kl


def filtered_state(
    own: Float[Array, "*batch O"],
    others: Float[Array, "*batch F"],
    w: Float[Array, "*batch F"],
) -> Float[Array, "*batch OF"]:
    """Filtered state ŝ_i = o_i ⊕ (w_i ⊙ o_-i), the input of the filtered critic.

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
    """Total loss L_encodings = L^w_critic + λ_rec L_rec + λ_norm L_norm + λ_KL L_KL.

    Training never differentiates the sum: it minimizes the first term on-policy, after
    each rollout, and the others off-policy, from the replay buffer.

    Source: eq. 7.
    """
    beliefs = lambda_rec * reconstruction + lambda_norm * norm + lambda_kl * kl
    return jnp.asarray(filtered_critic + beliefs)


LOG_VAR_KNEE = 2.0
"""Log-variance above which `soft_clip_log_var` is logarithmic; the prior's is 0."""


def soft_clip_log_var(log_var: Float[Array, "*batch Z"]) -> Float[Array, "*batch Z"]:
    """Log-variance ln σ², with logarithmic growth above `LOG_VAR_KNEE`.

        x ↦ x for x ≤ 2,   2 + ln(x − 1) above

    The function and its derivative are continuous, and the derivative is never zero, so
    the KL loss can always reduce x. Without it, exp(ln σ²) of a network's output for
    rare inputs overflows float32: in a warehouse ln σ² reached 115 after ten million
    steps. On Foraging and the particle tasks it stays below 1.

    Source: ours.
    """
    excess = jnp.maximum(log_var - LOG_VAR_KNEE, 0.0)
    return jnp.minimum(log_var, LOG_VAR_KNEE) + jnp.log1p(excess)
