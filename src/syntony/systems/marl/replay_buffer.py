"""A memory of whole episodes, newest over oldest, to learn from again and again."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task

ObsDtype = Literal["float32", "float16"]


class ReplayBuffer(NamedTuple):
    """The newest R episodes, in a ring."""

    obs: Float[Array, "R T1 N O"]
    action_mask: Bool[Array, "R T N A"]
    action: Int[Array, "R T N"]
    alive: Bool[Array, "R T N"]
    reward: Float[Array, "R T"]
    """The team's: the sum over agents."""
    terminated: Bool[Array, "R T"]
    episode_lengths: Int[Array, " R"]
    """Steps lived."""
    insert_pos: Int[Array, ""]
    """Where the next episode goes."""
    size: Int[Array, ""]
    """How many episodes are remembered."""


class EpisodeBatch(NamedTuple):
    """Episodes of a replay, time first. Where `mask` is false nothing counts."""

    obs: Float[Array, "T1 B N O"]
    action_mask: Bool[Array, "T B N A"]
    action: Int[Array, "T B N"]
    alive: Bool[Array, "T B N"]
    """Who had not finished."""
    reward: Float[Array, "T B"]
    terminated: Bool[Array, "T B"]
    valid: Bool[Array, "T B"]


def init_buffer(task: Task, capacity: int, obs_dtype: ObsDtype) -> ReplayBuffer:
    """Returns a replay that remembers nothing yet.

    Args:
        task: as the team sees it.
        episodes: how many fit in.
        precision: of the observations, which take nearly all of the memory. Half
            precision is exact for whole numbers up to 2,048.
    """
    steps, agents = (capacity, task.time_limit), task.num_agents
    seen = (capacity, task.time_limit + 1, agents, task.obs_dim)
    kind = jnp.float16 if obs_dtype == "float16" else jnp.float32
    return ReplayBuffer(
        obs=jnp.zeros(seen, kind),
        action_mask=jnp.zeros((*steps, agents, task.num_actions), bool),
        action=jnp.zeros((*steps, agents), jnp.int32),
        alive=jnp.zeros((*steps, agents), bool),
        reward=jnp.zeros(steps),
        terminated=jnp.zeros(steps, bool),
        episode_lengths=jnp.zeros(capacity, jnp.int32),
        insert_pos=jnp.zeros((), jnp.int32),
        size=jnp.zeros((), jnp.int32),
    )


def add_episodes(buffer: ReplayBuffer, trajectory: Trajectory) -> ReplayBuffer:
    """Returns the replay with new episodes in the place of the oldest."""
    capacity, newest = len(buffer.episode_lengths), trajectory.valid.shape[1]
    rows = (buffer.insert_pos + jnp.arange(newest)) % capacity

    def put(old: Array, new: Array) -> Array:
        return old.at[rows].set(jnp.moveaxis(new, 0, 1).astype(old.dtype))

    return ReplayBuffer(
        obs=put(buffer.obs, trajectory.obs),
        action_mask=put(buffer.action_mask, trajectory.action_mask),
        action=put(buffer.action, trajectory.action),
        alive=put(buffer.alive, trajectory.alive),
        reward=put(buffer.reward, jnp.sum(trajectory.reward, axis=-1)),
        terminated=put(buffer.terminated, trajectory.terminated),
        episode_lengths=buffer.episode_lengths.at[rows].set(
            jnp.sum(trajectory.valid, axis=0)
        ),
        insert_pos=(buffer.insert_pos + newest) % capacity,
        size=jnp.minimum(buffer.size + newest, capacity),
    )


def sample_episodes(
    buffer: ReplayBuffer, key: Key[Array, ""], batch_size: int
) -> EpisodeBatch:
    """Returns episodes drawn alike, none twice; at least `size` must be remembered."""
    luck = jax.random.uniform(key, buffer.episode_lengths.shape)
    known = jnp.arange(len(luck)) < buffer.size
    _, rows = jax.lax.top_k(jnp.where(known, luck, -1.0), batch_size)

    def take(remembered: Array) -> Array:
        return jnp.moveaxis(remembered[rows], 0, 1)

    time = jnp.arange(buffer.reward.shape[1])
    return EpisodeBatch(
        obs=take(buffer.obs).astype(jnp.float32),
        action_mask=take(buffer.action_mask),
        action=take(buffer.action),
        alive=take(buffer.alive),
        reward=take(buffer.reward),
        terminated=take(buffer.terminated),
        valid=time[:, None] < buffer.episode_lengths[rows],
    )
