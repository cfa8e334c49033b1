"""Episodes of a trained team."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from syntony.jax_settings import standard_jax_settings
from syntony.systems.system import ActsInEpisodes, StateT, closing_black_box
from syntony.tasks.rollout import Trajectory


class Episode(NamedTuple):
    """One episode of T steps: T + 1 states, the last one after the end."""

    states: PyTree[np.ndarray]
    """States of the task."""
    obs: Float[np.ndarray, "T+1 N O"]
    cumulative_rewards: Float[np.ndarray, " T+1"]
    """Sum of the team's rewards before each state."""
    sent: Float[np.ndarray, "T N C 2"] | None = None
    """Symbols that the agents sent in each step; None if nothing is transmitted."""

    @property
    def length(self) -> int:
        """Number of environment steps, T."""
        return len(self.cumulative_rewards) - 1


def collect_median_episode(
    system: ActsInEpisodes[StateT],
    state: StateT,
    key: Key[Array, ""],
    episodes: int = 31,
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


@standard_jax_settings()
def collect_trajectories(
    system: ActsInEpisodes[StateT], state: StateT, key: Key[Array, ""], episodes: int
) -> Trajectory:
    """Collects episodes of a team, as NumPy arrays."""
    if not system.jittable:
        with closing_black_box(system):
            return jax.device_get(system.collect_episodes(state, key, episodes))
    collect = jax.jit(lambda state, key: system.collect_episodes(state, key, episodes))
    return jax.device_get(collect(state, key))


def select_median_episode(trajectories: Trajectory) -> Episode:
    """Episode of median length."""
    lengths = np.asarray(trajectories.valid).sum(axis=0)
    median = np.argsort(lengths, kind="stable")[len(lengths) // 2]
    end = lengths[median]
    sent = trajectories.sent
    cumulative = np.cumsum(trajectories.reward[:end, median].sum(axis=-1))
    return Episode(
        states=jax.tree.map(lambda x: x[: end + 1, median], trajectories.state),
        obs=np.asarray(trajectories.obs)[: end + 1, median],
        cumulative_rewards=np.concatenate([np.zeros(1), cumulative]),
        sent=None if sent is None else np.asarray(sent)[:end, median],
    )
