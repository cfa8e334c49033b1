"""n-step returns and the critic loss. Time is the first axis."""

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


def critic_loss(
    target: Float[Array, "*batch"], value: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Squared error (G − V)², with no gradient through the target.

    Source: SMPE² eq. 6, for the standard and the filtered critic alike.
    """
    return (jax.lax.stop_gradient(target) - value) ** 2
