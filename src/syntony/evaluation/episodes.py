"""Episodes of a trained team, from above and from inside its members."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from syntony.equations.running_stats import STD_EPSILON
from syntony.networks.agents import apply_per_agent, other_agents_obs
from syntony.systems.marl.base import MultiAgentSystem, closing_envs
from syntony.systems.marl.smpe import SMPE, SMPEState
from syntony.systems.marl.smpe_beliefs import encode, filter_weights, normalize_obs
from syntony.tasks.rollout import Trajectory


class Episode(NamedTuple):
    """One episode: what was before each step and, last, what was after the end."""

    states: PyTree[np.ndarray]
    obs: Float[np.ndarray, "T+1 N O"]
    cumulative_rewards: Float[np.ndarray, " T+1"]
    """What the team had earned by then."""

    @property
    def length(self) -> int:
        """Steps that the episode took."""
        return len(self.cumulative_rewards) - 1


class DecodedBelief(NamedTuple):
    """What each agent believes of its teammates, what is true, and what counts."""

    others: Float[Array, "*batch N F"]
    """o_-i, what agent i's teammates see, raw."""
    prediction: Float[Array, "*batch N F"]
    """ô_-i, decoded from the mean of agent i's belief, in the same units."""
    filter_weights: Float[Array, "*batch N F"]
    """w_i, in (0, 1)."""


def decode_beliefs(
    system: SMPE, state: SMPEState, obs: Float[Array, "*batch N O"]
) -> DecodedBelief:
    """Returns each agent's belief, given what all agents see."""
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
    """Returns the episode of median length among so many."""
    return select_median_episode(collect_trajectories(system, state, key, episodes))


def collect_trajectories(
    system: MultiAgentSystem, state: Any, key: Key[Array, ""], episodes: int
) -> Trajectory:
    """Returns episodes of a team, as NumPy arrays."""
    if system.has_external_env:
        with closing_envs(system):
            return jax.device_get(system.collect_episodes(state, key, episodes))
    live = jax.jit(lambda state, key: system.collect_episodes(state, key, episodes))
    return jax.device_get(live(state, key))


def select_median_episode(trajectories: Trajectory) -> Episode:
    """Returns the episode of median length."""
    lengths = np.asarray(trajectories.valid).sum(axis=0)
    typical = np.argsort(lengths, kind="stable")[len(lengths) // 2]
    end = lengths[typical]
    earned = np.cumsum(trajectories.reward[:end, typical].sum(axis=-1))
    return Episode(
        states=jax.tree.map(lambda x: x[: end + 1, typical], trajectories.state),
        obs=np.asarray(trajectories.obs)[: end + 1, typical],
        cumulative_rewards=np.concatenate([np.zeros(1), earned]),
    )
