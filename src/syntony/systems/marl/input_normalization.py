"""Normalization of a team's inputs by running statistics.

A team learns the same in whatever unit its observations are. The statistics are part of
the state; they act in a rollout and in the update that follows it, and then include it.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from syntony.equations.running_stats import (
    FeatureStats,
    init_feature_stats,
    normalize_features,
    update_feature_stats,
)
from syntony.pytrees import PyTree
from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import HasBenchmark, Task, global_state_dim

NormalizeObs = Literal["auto", "on", "off"]
"""Whether observations are normalized; auto: on, but for `RAW_BENCHMARKS`."""
PUBLISHED_BENCHMARKS = ("foraging", "particles", "warehouse")
"""Benchmarks with published constants and results, for raw observations."""
RAW_BENCHMARKS = (*PUBLISHED_BENCHMARKS, "probes")
"""Benchmarks whose observations stay raw; those of probes are zeros and ones."""


class InputStats(NamedTuple):
    """Statistics of the inputs of a team's networks."""

    obs: FeatureStats
    """Of each agent's observation, [N, O]: features of two agents may differ."""
    global_state: FeatureStats
    """Of the global state, [S]."""


def is_published(task: Task) -> bool:
    """Whether the task is one of a benchmark with published constants."""
    return _is_of(task, PUBLISHED_BENCHMARKS)


def normalizes_inputs(setting: NormalizeObs, task: Task) -> bool:
    """Whether the inputs of a team on this task are normalized."""
    return setting == "on" or (setting == "auto" and not _is_of(task, RAW_BENCHMARKS))


def _is_of(task: Task, benchmarks: tuple[str, ...]) -> bool:
    return isinstance(task, HasBenchmark) and task.benchmark.name in benchmarks


def init_input_stats(task: Task) -> InputStats:
    """Statistics of no samples.

    Args:
        task: the task with the observations that the networks see.
    """
    agent_stats = init_feature_stats((task.obs_dim,))
    return InputStats(
        obs=jax.tree.map(lambda x: jnp.stack([x] * task.num_agents), agent_stats),
        global_state=init_feature_stats((global_state_dim(task),)),
    )


def update_input_stats(
    stats: InputStats | None, trajectory: Trajectory
) -> InputStats | None:
    """Statistics after a batch of raw episodes.

    Steps after the end of an episode do not count, nor observations of an agent that
    has finished.
    """
    if stats is None:
        return None
    alive: Bool[Array, "T E N"] = trajectory.alive & trajectory.valid[..., None]
    return InputStats(
        obs=jax.vmap(update_feature_stats, (0, -2, -1))(
            stats.obs, trajectory.obs[:-1], alive
        ),
        global_state=update_feature_stats(
            stats.global_state, trajectory.global_state[:-1], trajectory.valid
        ),
    )


def normalize_agent_obs(
    stats: InputStats | None, obs: Float[Array, "*batch N O"]
) -> Float[Array, "*batch N O"]:
    """Observations as the networks see them."""
    return obs if stats is None else normalize_features(stats.obs, obs)


def normalize_global_state(
    stats: InputStats | None, global_state: Float[Array, "*batch S"]
) -> Float[Array, "*batch S"]:
    """Global states as the networks see them."""
    if stats is None:
        return global_state
    return normalize_features(stats.global_state, global_state)


def normalize_episodes(stats: InputStats | None, trajectory: Trajectory) -> Trajectory:
    """Episodes with the inputs that the networks see."""
    return trajectory._replace(
        obs=normalize_agent_obs(stats, trajectory.obs),
        global_state=normalize_global_state(stats, trajectory.global_state),
    )


def stats_params(**stats: PyTree[Array] | None) -> dict[str, PyTree[Array]]:
    """The statistics among the parameters of a system: those that it has, by name."""
    return {name: value for name, value in stats.items() if value is not None}
