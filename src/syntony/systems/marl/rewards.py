"""Rewards that agents learn from: the team's, or each agent's own."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from syntony.equations.running_stats import (
    FeatureStats,
    init_feature_stats,
    standardize,
    update_feature_stats,
)
from syntony.tasks.rollout import Trajectory

TeamReward = Literal["sum", "mean"]
"""Reward of a team: the sum of its agents' rewards, or their mean."""
LearningReward = Literal["sum", "mean", "individual"]
"""Reward that an agent learns from: the team's, or its own."""


def team_reward(
    kind: TeamReward, reward: Float[Array, "*batch N"]
) -> Float[Array, "*batch"]:
    """Reward of the team at each step."""
    return (jnp.sum if kind == "sum" else jnp.mean)(reward, axis=-1)


def init_reward_stats(kind: LearningReward, num_agents: int) -> FeatureStats:
    """Statistics of the team's reward; of each agent's own, [N], if individual."""
    stats = init_feature_stats(())
    if kind != "individual":
        return stats
    return jax.tree.map(lambda x: jnp.stack([x] * num_agents), stats)


def learning_reward(
    kind: LearningReward,
    stats: FeatureStats,
    trajectory: Trajectory,
    *,
    normalized: bool,
) -> tuple[FeatureStats, Float[Array, "T E N"]]:
    """Statistics with the new rewards, and the reward that each agent learns from.

    An individual agent that has finished earns nothing more: its normalized reward is
    zero, too.
    """
    if kind == "individual":
        alive = trajectory.alive & trajectory.valid[..., None]
        reward = trajectory.reward
        stats = jax.vmap(update_feature_stats, (0, -1, -1))(stats, reward, alive)
        if normalized:
            reward = jnp.where(alive, standardize(stats, reward), 0.0)
        return stats, reward
    reward = team_reward(kind, trajectory.reward)[..., None]
    stats = update_feature_stats(stats, reward[..., 0], trajectory.valid)
    if normalized:
        reward = standardize(stats, reward)
    return stats, jnp.broadcast_to(reward, trajectory.reward.shape)
