"""Episode players: an episode's scene, observations and beliefs as data of a page."""

import jax
import jax.numpy as jnp
import numpy as np

from syntony.evaluation.episodes import Episode
from syntony.report.components import EpisodePlayer, axis_range, to_jsonable
from syntony.report.scene_data import obs_windows_data, scene_data
from syntony.systems.system import (
    ActsInEpisodes,
    DecodedBelief,
    HasBeliefs,
    StateT,
)
from syntony.tasks.task import Drawable, DrawsObservations
from syntony.visualization.obs_features import obs_features
from syntony.visualization.scenes import add_symbols, episode_scene
from syntony.visualization.style import agent_color, agent_name

MAX_PLAYER_VALUES = 400_000
"""Values in the data of an episode; a longer episode is truncated."""


def build_episode_player(
    name: str,
    title: str,
    system: ActsInEpisodes[StateT],
    state: StateT,
    episode: Episode,
    seed: int,
) -> EpisodePlayer:
    """Player of an episode.

    Args:
        name: name of downloaded files, without their ending.
        title: title above the player.
        system: the team that acted.
        state: its training state, which holds the beliefs' networks.
        episode: the episode.
        seed: seed of the run, for the caption.
    """
    num_frames = _num_frames(system, episode)
    obs = episode.obs[:num_frames]
    beliefs = _beliefs_if_any(system, state, obs)
    agents = range(system.task.num_agents)
    scene = episode_scene(system.task, episode.states, num_frames)
    scene = add_symbols(scene, episode.sent, num_frames)
    note = "" if scene is None else scene.note
    return EpisodePlayer(
        name,
        title,
        " ".join(filter(None, [_caption(system, episode, num_frames, seed), note])),
        {
            "agents": [agent_name(agent) for agent in agents],
            "colors": [agent_color(agent) for agent in agents],
            "features": [
                [f.label for f in agent] for agent in obs_features(system.task)
            ],
            "returns": to_jsonable(episode.cumulative_rewards[:num_frames]),
            "obs": to_jsonable(obs, 3),
            "decoded": None if beliefs is None else to_jsonable(beliefs.prediction, 3),
            "weights": None
            if beliefs is None
            else to_jsonable(np.round(beliefs.filter_weights, 2), 3),
            "value_range": to_jsonable(_value_range(obs, beliefs)),
            "obs_windows": obs_windows_data(system.task),
            "scene": None if scene is None else scene_data(scene),
        },
    )


def _num_frames(system: ActsInEpisodes, episode: Episode) -> int:
    """Number of frames: those of the whole episode, or as many as the limit allows."""
    task = system.task
    # Of each teammate: the decoded observation and the filter weights.
    belief_copies = 2 * (task.num_agents - 1) if isinstance(system, HasBeliefs) else 0
    values_per_frame = task.num_agents * task.obs_dim * (1 + belief_copies)
    return min(episode.length + 1, max(2, MAX_PLAYER_VALUES // values_per_frame))


def _beliefs_if_any(
    system: ActsInEpisodes[StateT], state: StateT, obs: np.ndarray
) -> DecodedBelief | None:
    if not isinstance(system, HasBeliefs):
        return None
    return jax.device_get(jax.jit(system.decode_beliefs)(state, jnp.asarray(obs)))


def _value_range(obs: np.ndarray, beliefs: DecodedBelief | None) -> list[float]:
    """Range of the value axis; it excludes outliers of the decoded observations."""
    if beliefs is None:
        return axis_range([obs])
    low, high = np.quantile(beliefs.prediction, (0.002, 0.998))
    return axis_range([obs, low, high])


def _caption(
    system: ActsInEpisodes, episode: Episode, num_frames: int, seed: int
) -> str:
    text = f"An episode of seed {seed} with sampled actions, the one of median length."
    if num_frames <= episode.length:
        text += f" Its first {num_frames - 1} of {episode.length} steps."
    if episode.sent is not None:
        text += " The planes below show the symbols that each agent sends."
    if not isinstance(system.task, Drawable):
        text += " There is no top view: the task has no method render."
    if not isinstance(system, HasBeliefs):
        return f"{text} Choose an agent to show its observation."
    if not isinstance(system.task, DrawsObservations):
        return f"{text} Choose an agent to show its belief about its teammates."
    return (
        f"{text} Choose an agent: the first window shows its observation. Each other "
        "window shows a teammate's: filled shapes are the true observation, rings are "
        "the chosen agent's belief about it, and a ring is fainter where the filter "
        "weight is smaller."
    )
