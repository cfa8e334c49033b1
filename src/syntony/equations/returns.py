"""n-step targets, generalized advantages and critic losses. Time is the first axis."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def n_step_targets(
    rewards: Float[Array, "T *batch"],
    values: Float[Array, "T *batch"],
    next_values: Float[Array, "T *batch"],
    terminated: Bool[Array, "T *batch"],
    truncated: Bool[Array, "T *batch"],
    *,
    gamma: Float[Array, ""] | float,
    n: int,
) -> Float[Array, "T *batch"]:
    """n-step targets of a critic.

        G_t = Σ_{l<m} γˡ r_{t+l} + γᵐ V(s_{t+m}),    m = min(n, steps to the end)

    The end is that of the episode or of the array. V is zero after termination; after
    truncation it is the value of the true final state.

    Args:
        rewards: r_t.
        values: V(s_t), of the state in which the agent acted.
        next_values: V(s_{t+1}), of the next state, before any reset.
        terminated: whether the episode terminated at this step.
        truncated: whether the time limit truncated it at this step.
        gamma: discount factor per step, in [0, 1].
        n: maximum number of rewards in a target, at least 1.

    Source: Sutton & Barto (2018), eq. 7.1; SMPE² with n = 5. The paper's eq. 6 has
        a one-step target without γ; its appendix and its code have γ.
    """
    last = jnp.zeros_like(terminated).at[-1].set(True)
    at_cut = jnp.where(terminated, 0.0, next_values)
    target = values
    # The (m+1)-step target from the m-step target; none extends beyond the episode.
    for _ in range(min(n, len(rewards))):
        following = jnp.concatenate([target[1:], next_values[-1:]])
        following = jnp.where(terminated | truncated | last, at_cut, following)
        target = rewards + gamma * following
    return target


def generalized_advantage(
    rewards: Float[Array, "T *batch"],
    values: Float[Array, "T *batch"],
    next_values: Float[Array, "T *batch"],
    terminated: Bool[Array, "T *batch"],
    truncated: Bool[Array, "T *batch"],
    *,
    gamma: Float[Array, ""] | float,
    gae_lambda: Float[Array, ""] | float,
) -> Float[Array, "T *batch"]:
    """Generalized advantage estimates GAE(λ).

        δ_t = r_t + γ V(s_{t+1}) − V(s_t)
        A_t = δ_t + γ λ A_{t+1},    A_t = δ_t at the end of the episode or of the array

    V(s_{t+1}) is zero after termination; after truncation it is the value of the true
    final state. A_t + V(s_t) is the λ-return, the critic's target.

    Args:
        rewards: r_t.
        values: V(s_t), of the state in which the agent acted.
        next_values: V(s_{t+1}), of the next state, before any reset.
        terminated: whether the episode terminated at this step.
        truncated: whether the time limit truncated it at this step.
        gamma: discount factor per step, in [0, 1].
        gae_lambda: λ in [0, 1]: 0 gives one-step targets, 1 sums of all rewards.

    Source: Schulman et al., "High-Dimensional Continuous Control Using Generalized
        Advantage Estimation", ICLR 2016, eq. 16.
    """
    delta = rewards + gamma * jnp.where(terminated, 0.0, next_values) - values
    decay = jnp.where(terminated | truncated, 0.0, gamma * gae_lambda)

    def step(following: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        delta, decay = inputs
        advantage = delta + decay * following
        return advantage, advantage

    start = jnp.zeros_like(delta[0])
    return jax.lax.scan(step, start, (delta, decay), reverse=True)[1]


def normalize_advantages(
    advantage: Float[Array, "*batch"], mask: Bool[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Advantages with zero mean and unit variance over the entries with a true mask.

        (A − mean) / (std + 10⁻⁵)

    Source: the released code of Yu et al. (2022).
    """
    weight = mask / jnp.maximum(jnp.sum(mask), 1)
    advantage = jnp.where(mask, advantage, 0.0)
    mean = jnp.sum(weight * advantage)
    std = jnp.sqrt(jnp.sum(weight * (advantage - mean) ** 2))
    return (advantage - mean) / (std + 1e-5)


def critic_loss(
    target: Float[Array, "*batch"], value: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Squared error (G − V)², with no gradient through the target.

    Source: SMPE² eq. 6, for the standard and the filtered critic alike.
    """
    return (jax.lax.stop_gradient(target) - value) ** 2


def clipped_value_loss(
    target: Float[Array, "*batch"],
    value: Float[Array, "*batch"],
    old_value: Float[Array, "*batch"],
    *,
    clip_eps: Float[Array, ""] | float,
    huber_delta: Float[Array, ""] | float,
) -> Float[Array, "*batch"]:
    """PPO's clipped value loss, of Huber's function in place of the square.

        max(h(G − V), h(G − V_old − clip(V − V_old, −ε, ε)))
        h(e) = e² / 2 where |e| ≤ d, d (|e| − d / 2) elsewhere

    Args:
        target: G; no gradient passes.
        value: V, of the critic that is trained.
        old_value: V_old, of the critic before the update; no gradient passes.
        clip_eps: ε, the largest change of a value that lowers the loss; infinite: no
            clipping.
        huber_delta: d > 0, from which on the loss is linear; infinite: none is.

    Source: Yu et al., "The Surprising Effectiveness of PPO in Cooperative Multi-Agent
        Games", NeurIPS 2022, appendix A.
    """
    target, old_value = map(jax.lax.stop_gradient, (target, old_value))
    clipped = old_value + jnp.clip(value - old_value, -clip_eps, clip_eps)

    def huber(error: Array) -> Array:
        size = jnp.minimum(jnp.abs(error), huber_delta)
        return size * (jnp.abs(error) - size / 2.0)

    return jnp.maximum(huber(target - value), huber(target - clipped))
