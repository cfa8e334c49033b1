"""Episodes of a trained team, and the agents' decoded beliefs."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from syntony.equations.running_stats import STD_EPSILON
from syntony.networks.agents import apply_per_agent, other_agents_obs
from syntony.systems.marl.base import MultiAgentSystem, closing_envs
from syntony.systems.marl.smpe import SMPEState
from syntony.systems.marl.smpe_beliefs import (
    HasBeliefs,
    encode,
    filter_weights,
    normalize_obs,
)
from syntony.tasks.rollout import Trajectory


class Episode(NamedTuple):
    """One episode of T steps: T + 1 states, the last one after the end."""

    states: PyTree[np.ndarray]
    """States of the task."""
    obs: Float[np.ndarray, "T+1 N O"]
    cumulative_rewards: Float[np.ndarray, " T+1"]
    """Sum of the team's rewards before each state."""

    @property
    def length(self) -> int:
        """Number of environment steps, T."""
        return len(self.cumulative_rewards) - 1


class DecodedBelief(NamedTuple):
    """Decoded belief of each agent, beside the true observations and the filter."""

    others: Float[Array, "*batch N F"]
    """o_-i, observations of agent i's teammates, not normalized."""
    prediction: Float[Array, "*batch N F"]
    """ô_-i, decoded from the mean of agent i's belief, in units of `others`."""
    filter_weights: Float[Array, "*batch N F"]
    """w_i, in (0, 1)."""


def decode_beliefs(
    system: HasBeliefs, state: SMPEState, obs: Float[Array, "*batch N O"]
) -> DecodedBelief:
    """Decoded beliefs of all agents.

    Args:
        system: settings of SMPE².
        state: its training state.
        obs: observations of all agents, not normalized.
    """
    beliefs = state.beliefs
    mean, _ = encode(system.beliefs, beliefs, obs)
    shift = other_agents_obs(beliefs.per_agent_stats.mean)
    scale = other_agents_obs(jnp.sqrt(beliefs.per_agent_stats.var) + STD_EPSILON)
    own = normalize_obs(system.beliefs, beliefs.shared_stats, obs)
    return DecodedBelief(
        others=other_agents_obs(obs),
        prediction=apply_per_agent(beliefs.decoder, mean) * scale + shift,
        filter_weights=filter_weights(system.beliefs, beliefs.filter, own),
    )


def collect_median_episode(
    system: MultiAgentSystem, state: Any, key: Key[Array, ""], episodes: int = 31
) -> Episode:
    """Collects episodes and selects the one of median length.

    Args:
        system: settings of the team.
        state: its training state.
        key: consumed.
        episodes: number of episodes.

    Raises:
        EnvironmentStepError: an external environment failed.
    """
    return select_median_episode(collect_trajectories(system, state, key, episodes))


def collect_trajectories(
    system: MultiAgentSystem, state: Any, key: Key[Array, ""], episodes: int
) -> Trajectory:
    """Collects episodes of a team, as NumPy arrays."""
    if system.has_external_env:
        with closing_envs(system):
            return jax.device_get(system.collect_episodes(state, key, episodes))
    collect = jax.jit(lambda state, key: system.collect_episodes(state, key, episodes))
    return jax.device_get(collect(state, key))


def select_median_episode(trajectories: Trajectory) -> Episode:
    """Episode of median length."""
    lengths = np.asarray(trajectories.valid).sum(axis=0)
    median = np.argsort(lengths, kind="stable")[len(lengths) // 2]
    end = lengths[median]
    cumulative = np.cumsum(trajectories.reward[:end, median].sum(axis=-1))
    return Episode(
        states=jax.tree.map(lambda x: x[: end + 1, median], trajectories.state),
        obs=np.asarray(trajectories.obs)[: end + 1, median],
        cumulative_rewards=np.concatenate([np.zeros(1), cumulative]),
    )
