"""A memory of whole episodes, newest over oldest, to learn from again and again."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task

Precision = Literal["single", "half"]


class Replay(NamedTuple):
    """The newest R episodes, in a ring."""

    obs: Float[Array, "R T1 N O"]
    available: Bool[Array, "R T N A"]
    action: Int[Array, "R T N"]
    playing: Bool[Array, "R T N"]
    reward: Float[Array, "R T"]
    """The team's: the sum over agents."""
    terminated: Bool[Array, "R T"]
    lengths: Int[Array, " R"]
    """Steps lived."""
    cursor: Int[Array, ""]
    """Where the next episode goes."""
    filled: Int[Array, ""]
    """How many episodes are remembered."""


class Batch(NamedTuple):
    """Episodes of a replay, time first. Where `mask` is false nothing counts."""

    obs: Float[Array, "T1 B N O"]
    available: Bool[Array, "T B N A"]
    action: Int[Array, "T B N"]
    playing: Bool[Array, "T B N"]
    """Who had not finished."""
    reward: Float[Array, "T B"]
    terminated: Bool[Array, "T B"]
    mask: Bool[Array, "T B"]


def blank_replay(task: Task, episodes: int, precision: Precision) -> Replay:
    """Returns a replay that remembers nothing yet.

    Args:
        task: as the team sees it.
        episodes: how many fit in.
        precision: of the observations, which take nearly all of the memory. Half
            precision is exact for whole numbers up to 2,048.
    """
    steps, agents = (episodes, task.time_limit), task.agents
    seen = (episodes, task.time_limit + 1, agents, task.obs_size)
    kind = jnp.float16 if precision == "half" else jnp.float32
    return Replay(
        obs=jnp.zeros(seen, kind),
        available=jnp.zeros((*steps, agents, task.actions), bool),
        action=jnp.zeros((*steps, agents), jnp.int32),
        playing=jnp.zeros((*steps, agents), bool),
        reward=jnp.zeros(steps),
        terminated=jnp.zeros(steps, bool),
        lengths=jnp.zeros(episodes, jnp.int32),
        cursor=jnp.zeros((), jnp.int32),
        filled=jnp.zeros((), jnp.int32),
    )


def remember(replay: Replay, episodes: Trajectory) -> Replay:
    """Returns the replay with new episodes in the place of the oldest."""
    capacity, newest = len(replay.lengths), episodes.mask.shape[1]
    rows = (replay.cursor + jnp.arange(newest)) % capacity

    def put(old: Array, new: Array) -> Array:
        return old.at[rows].set(jnp.moveaxis(new, 0, 1).astype(old.dtype))

    return Replay(
        obs=put(replay.obs, episodes.obs),
        available=put(replay.available, episodes.available),
        action=put(replay.action, episodes.action),
        playing=put(replay.playing, episodes.playing),
        reward=put(replay.reward, jnp.sum(episodes.reward, axis=-1)),
        terminated=put(replay.terminated, episodes.terminated),
        lengths=replay.lengths.at[rows].set(jnp.sum(episodes.mask, axis=0)),
        cursor=(replay.cursor + newest) % capacity,
        filled=jnp.minimum(replay.filled + newest, capacity),
    )


def draw(replay: Replay, key: Key[Array, ""], size: int) -> Batch:
    """Returns episodes drawn alike, none twice; at least `size` must be remembered."""
    luck = jax.random.uniform(key, replay.lengths.shape)
    known = jnp.arange(len(luck)) < replay.filled
    _, rows = jax.lax.top_k(jnp.where(known, luck, -1.0), size)

    def take(remembered: Array) -> Array:
        return jnp.moveaxis(remembered[rows], 0, 1)

    time = jnp.arange(replay.reward.shape[1])
    return Batch(
        obs=take(replay.obs).astype(jnp.float32),
        available=take(replay.available),
        action=take(replay.action),
        playing=take(replay.playing),
        reward=take(replay.reward),
        terminated=take(replay.terminated),
        mask=time[:, None] < replay.lengths[rows],
    )
