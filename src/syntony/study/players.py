"""An episode as data that a page plays: from above, and from inside each agent."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from syntony.study.boards import colour
from syntony.study.episodes import Belief, Episode, believe
from syntony.study.features import features, lenses
from syntony.study.report_parts import Player, plain, span
from syntony.study.scenes import scene
from syntony.systems.smpe import Smpe
from syntony.systems.team import Team

MOST_NUMBERS = 400_000
"""Numbers of an episode: a longer one is cut off."""


def player(
    name: str, title: str, system: Team, state: Any, episode: Episode, seed: int
) -> Player:
    """Returns an episode to be played.

    Args:
        name: what its pictures are called.
        title: whose episode it is.
        seed: of the run.
    """
    moments = _moments(system, episode)
    obs = episode.obs[:moments]
    found = _believed(system, state, obs)
    return Player(
        name,
        title,
        _caption(system, episode, moments, seed),
        {
            "agents": [f"agent {agent + 1}" for agent in range(system.task.agents)],
            "colours": [colour(agent) for agent in range(system.task.agents)],
            "features": [[f.words for f in agent] for agent in features(system.task)],
            "returns": plain(episode.returns[:moments]),
            "obs": plain(obs, 3),
            "believed": None if found is None else plain(found.belief, 3),
            "weights": None if found is None else plain(np.round(found.weights, 2), 3),
            "range": plain(_range(obs, found)),
            "lenses": lenses(system.task),
            "scene": plain(scene(system.task, episode.states, moments)),
        },
    )


def _moments(system: Team, episode: Episode) -> int:
    """Returns how many moments are told: all, unless that is too much."""
    task = system.task
    inside = 2 * (task.agents - 1) if isinstance(system, Smpe) else 0
    each = task.agents * task.obs_size * (1 + inside)
    return min(episode.steps + 1, max(2, MOST_NUMBERS // each))


def _believed(system: Team, state: Any, obs: np.ndarray) -> Belief | None:
    if not isinstance(system, Smpe):
        return None
    return jax.device_get(jax.jit(believe)(system, state, jnp.asarray(obs)))


def _range(obs: np.ndarray, found: Belief | None) -> list[float]:
    """Returns what an axis has to hold; a belief that is far off leaves the picture."""
    if found is None:
        return span([obs])
    low, high = np.quantile(found.belief, (0.002, 0.998))
    return span([obs, low, high])


def _caption(system: Team, episode: Episode, moments: int, seed: int) -> str:
    whole = f"An episode of seed {seed} with sampled actions, the one of median length."
    if moments <= episode.steps:
        whole += f" Its first {moments - 1} of {episode.steps} steps."
    if not isinstance(system, Smpe):
        return f"{whole} Choose an agent to see what it sees."
    return (
        f"{whole} Choose an agent: the first window is what it sees. Each other window "
        "is a teammate's: what that sees is filled, what the chosen agent believes it "
        "sees is a ring, and the fainter the ring, the less the filter lets through."
    )
