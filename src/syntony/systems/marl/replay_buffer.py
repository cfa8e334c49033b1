"""Replay buffer: the newest whole episodes, in a ring, of any pytree of arrays."""

from typing import Generic, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key

from syntony.config import pytree_dataclass

EpisodesT = TypeVar("EpisodesT")
"""What is kept of episodes: a pytree of arrays."""


@pytree_dataclass
class ReplayBuffer(Generic[EpisodesT]):
    """The newest R episodes."""

    episodes: EpisodesT
    """What is kept of each time step, [R, T, ...] each leaf; undefined after the end of
    an episode."""
    episode_lengths: Int[Array, " R"]
    """Environment steps of each episode; zero where none is stored yet."""
    insert_pos: Int[Array, ""]
    """Where the next episode goes."""

    @property
    def num_episodes(self) -> Int[Array, ""]:
        """Number of stored episodes."""
        return jnp.sum(self.episode_lengths > 0, dtype=jnp.int32)


def init_buffer(episode: EpisodesT, *, capacity: int) -> ReplayBuffer[EpisodesT]:
    """Empty buffer.

    Args:
        episode: shapes and dtypes of what is kept of one episode, time first.
        capacity: R, number of episodes that it holds.
    """
    return ReplayBuffer(
        episodes=jax.tree.map(
            lambda x: jnp.zeros((capacity, *x.shape), x.dtype), episode
        ),
        episode_lengths=jnp.zeros(capacity, jnp.int32),
        insert_pos=jnp.zeros((), jnp.int32),
    )


def add_episodes(
    buffer: ReplayBuffer[EpisodesT], episodes: EpisodesT, valid: Bool[Array, "T E"]
) -> ReplayBuffer[EpisodesT]:
    """Buffer in which new episodes have replaced the oldest ones.

    Args:
        buffer: the buffer before.
        episodes: what is kept of E episodes, E ≤ R; cast to the buffer's dtypes.
        valid: steps before and at the end of each episode.
    """
    capacity, num_new = len(buffer.episode_lengths), valid.shape[1]
    rows = (buffer.insert_pos + jnp.arange(num_new)) % capacity

    def put(old: Array, new: Array) -> Array:
        return old.at[rows].set(jnp.moveaxis(new, 0, 1).astype(old.dtype))

    return ReplayBuffer(
        episodes=jax.tree.map(put, buffer.episodes, episodes),
        episode_lengths=buffer.episode_lengths.at[rows].set(jnp.sum(valid, axis=0)),
        insert_pos=(buffer.insert_pos + num_new) % capacity,
    )


def sample_steps(
    buffer: ReplayBuffer[EpisodesT], key: Key[Array, ""], shape: tuple[int, ...]
) -> EpisodesT:
    """Time steps drawn uniformly from all stored ones, with replacement."""
    ends = jnp.cumsum(buffer.episode_lengths)
    step = jax.random.randint(key, shape, 0, ends[-1])
    episode = jnp.searchsorted(ends, step, side="right")
    time = step - (ends[episode] - buffer.episode_lengths[episode])
    return jax.tree.map(lambda x: x[episode, time], buffer.episodes)


def sample_episodes(
    buffer: ReplayBuffer[EpisodesT], key: Key[Array, ""], batch_size: int
) -> tuple[EpisodesT, Bool[Array, "T B"]]:
    """Episodes drawn uniformly without replacement, time first, and their valid steps.

    Args:
        buffer: a buffer that holds `batch_size` episodes or more.
        key: random key; it is consumed.
        batch_size: B, number of episodes.
    """
    stored = buffer.episode_lengths > 0
    priority = jax.random.uniform(key, stored.shape)
    _, rows = jax.lax.top_k(jnp.where(stored, priority, -1.0), batch_size)
    episodes = jax.tree.map(lambda x: jnp.moveaxis(x[rows], 0, 1), buffer.episodes)
    num_steps = min(len(x) for x in jax.tree.leaves(episodes))
    time = jnp.arange(num_steps)
    return episodes, time[:, None] < buffer.episode_lengths[rows]
