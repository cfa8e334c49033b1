"""An episode as data that a page plays: from above, and from inside each agent."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from syntony.evaluation.episodes import DecodedBelief, Episode, decode_beliefs
from syntony.report.components import EpisodePlayer, axis_range, to_jsonable
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.marl.smpe import SMPE
from syntony.visualization.obs_features import obs_features, obs_windows
from syntony.visualization.scene_builders import episode_scene
from syntony.visualization.scene_drawing import agent_color

MAX_PLAYER_VALUES = 400_000
"""Numbers of an episode: a longer one is cut off."""


def build_episode_player(
    name: str,
    title: str,
    system: MultiAgentSystem,
    state: Any,
    episode: Episode,
    seed: int,
) -> EpisodePlayer:
    """Returns an episode to be played.

    Args:
        name: what its pictures are called.
        title: whose episode it is.
        seed: of the run.
    """
    moments = _num_frames(system, episode)
    obs = episode.obs[:moments]
    found = _beliefs_if_any(system, state, obs)
    return EpisodePlayer(
        name,
        title,
        _caption(system, episode, moments, seed),
        {
            "agents": [f"agent {agent + 1}" for agent in range(system.task.num_agents)],
            "colours": [agent_color(agent) for agent in range(system.task.num_agents)],
            "features": [
                [f.label for f in agent] for agent in obs_features(system.task)
            ],
            "returns": to_jsonable(episode.cumulative_rewards[:moments]),
            "obs": to_jsonable(obs, 3),
            "believed": None if found is None else to_jsonable(found.prediction, 3),
            "weights": None
            if found is None
            else to_jsonable(np.round(found.filter_weights, 2), 3),
            "range": to_jsonable(_value_range(obs, found)),
            "lenses": obs_windows(system.task),
            "scene": to_jsonable(episode_scene(system.task, episode.states, moments)),
        },
    )


def _num_frames(system: MultiAgentSystem, episode: Episode) -> int:
    """Returns how many moments are told: all, unless that is too much."""
    task = system.task
    inside = 2 * (task.num_agents - 1) if isinstance(system, SMPE) else 0
    each = task.num_agents * task.obs_dim * (1 + inside)
    return min(episode.length + 1, max(2, MAX_PLAYER_VALUES // each))


def _beliefs_if_any(
    system: MultiAgentSystem, state: Any, obs: np.ndarray
) -> DecodedBelief | None:
    if not isinstance(system, SMPE):
        return None
    return jax.device_get(jax.jit(decode_beliefs)(system, state, jnp.asarray(obs)))


def _value_range(obs: np.ndarray, beliefs: DecodedBelief | None) -> list[float]:
    """Returns what an axis has to hold; a belief that is far off leaves the picture."""
    if beliefs is None:
        return axis_range([obs])
    low, high = np.quantile(beliefs.prediction, (0.002, 0.998))
    return axis_range([obs, low, high])


def _caption(
    system: MultiAgentSystem, episode: Episode, num_frames: int, seed: int
) -> str:
    whole = f"An episode of seed {seed} with sampled actions, the one of median length."
    if num_frames <= episode.length:
        whole += f" Its first {num_frames - 1} of {episode.length} steps."
    if not isinstance(system, SMPE):
        return f"{whole} Choose an agent to see what it sees."
    return (
        f"{whole} Choose an agent: the first window is what it sees. Each other window "
        "is a teammate's: what that sees is filled, what the chosen agent believes it "
        "sees is a ring, and the fainter the ring, the less the filter lets through."
    )
