"""What beliefs are learned from: what agents saw in the newest episodes, in a ring."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task


class ObservationBuffer(NamedTuple):
    """The newest R episodes."""

    obs: Float[Array, "R T N O"]
    alive: Bool[Array, "R T N"]
    """Who had not finished."""
    episode_lengths: Int[Array, " R"]
    """Steps lived; zero where no episode is remembered yet."""
    insert_pos: Int[Array, ""]


def init_buffer(task: Task, capacity: int) -> ObservationBuffer:
    """Returns a replay that remembers nothing yet."""
    shape = (capacity, task.time_limit, task.num_agents)
    return ObservationBuffer(
        obs=jnp.zeros((*shape, task.obs_dim)),
        alive=jnp.zeros(shape, bool),
        episode_lengths=jnp.zeros(capacity, jnp.int32),
        insert_pos=jnp.zeros((), jnp.int32),
    )


def add_episodes(
    buffer: ObservationBuffer, trajectory: Trajectory
) -> ObservationBuffer:
    """Returns the replay with new episodes in the place of the oldest."""
    capacity, newest = len(buffer.episode_lengths), trajectory.valid.shape[1]
    rows = (buffer.insert_pos + jnp.arange(newest)) % capacity

    def put(old: Array, new: Array) -> Array:
        return old.at[rows].set(jnp.moveaxis(new, 0, 1))

    return ObservationBuffer(
        obs=put(buffer.obs, trajectory.obs[:-1]),
        alive=put(buffer.alive, trajectory.alive),
        episode_lengths=buffer.episode_lengths.at[rows].set(
            jnp.sum(trajectory.valid, axis=0)
        ),
        insert_pos=(buffer.insert_pos + newest) % capacity,
    )


def sample_steps(
    buffer: ObservationBuffer, key: Key[Array, ""], shape: tuple[int, ...]
) -> tuple[Float[Array, "*shape N O"], Bool[Array, "*shape N"]]:
    """Draws time steps uniformly from all that were lived, with replacement.

    Returns what agents saw then, and who of them played.
    """
    ends = jnp.cumsum(buffer.episode_lengths)
    step = jax.random.randint(key, shape, 0, ends[-1])
    episode = jnp.searchsorted(ends, step, side="right")
    time = step - (ends[episode] - buffer.episode_lengths[episode])
    return buffer.obs[episode, time], buffer.alive[episode, time]
