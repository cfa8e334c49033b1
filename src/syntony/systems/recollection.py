"""What beliefs are learned from: what agents saw in the newest episodes, in a ring."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task


class Replay(NamedTuple):
    """The newest R episodes."""

    obs: Float[Array, "R T N O"]
    playing: Bool[Array, "R T N"]
    """Who had not finished."""
    lengths: Int[Array, " R"]
    """Steps lived; zero where no episode is remembered yet."""
    cursor: Int[Array, ""]


def blank_replay(task: Task, episodes: int) -> Replay:
    """Returns a replay that remembers nothing yet."""
    shape = (episodes, task.time_limit, task.agents)
    return Replay(
        obs=jnp.zeros((*shape, task.obs_size)),
        playing=jnp.zeros(shape, bool),
        lengths=jnp.zeros(episodes, jnp.int32),
        cursor=jnp.zeros((), jnp.int32),
    )


def remembered(replay: Replay, episodes: Trajectory) -> Replay:
    """Returns the replay with new episodes in the place of the oldest."""
    capacity, newest = len(replay.lengths), episodes.mask.shape[1]
    rows = (replay.cursor + jnp.arange(newest)) % capacity

    def put(old: Array, new: Array) -> Array:
        return old.at[rows].set(jnp.moveaxis(new, 0, 1))

    return Replay(
        obs=put(replay.obs, episodes.obs[:-1]),
        playing=put(replay.playing, episodes.playing),
        lengths=replay.lengths.at[rows].set(jnp.sum(episodes.mask, axis=0)),
        cursor=(replay.cursor + newest) % capacity,
    )


def draw(
    replay: Replay, key: Key[Array, ""], shape: tuple[int, ...]
) -> tuple[Float[Array, "*shape N O"], Bool[Array, "*shape N"]]:
    """Draws time steps uniformly from all that were lived, with replacement.

    Returns what agents saw then, and who of them played.
    """
    ends = jnp.cumsum(replay.lengths)
    step = jax.random.randint(key, shape, 0, ends[-1])
    episode = jnp.searchsorted(ends, step, side="right")
    time = step - (ends[episode] - replay.lengths[episode])
    return replay.obs[episode, time], replay.playing[episode, time]
