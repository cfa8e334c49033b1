"""Warnings of what a batch of episodes shows about an environment, once each."""

import warnings
from collections.abc import Sequence

import numpy as np

from syntony.tasks.external.env_batch import EnvBatch
from syntony.tasks.external.external_env import ExternalEnv
from syntony.tasks.external.team import agent_name
from syntony.tasks.rollout import Trajectory

MIN_EPISODES = 4
"""Episodes whose equal lengths are no chance."""
RELATIVE_ZERO = 1e-5
"""Size of a sum of rewards, relative to the largest, that counts as zero."""


def warn_of_batch(task: ExternalEnv, envs: EnvBatch, batch: Trajectory) -> None:
    """Warns of an unknown time limit, and of rewards that cancel each other.

    Args:
        task: the environment.
        envs: its open copies.
        batch: an episode of each, in NumPy arrays.
    """
    task.episode_lengths.update(np.sum(batch.valid, axis=0).tolist())
    found = {
        "limit": None if envs.time_limit else _unknown_limit(task, batch),
        "sides": _opposed_rewards(batch, envs.agent_ids),
    }
    for kind, message in found.items():
        if message and kind not in task.warned:
            task.warned.add(kind)
            warnings.warn(f"{task.id}: {message}", stacklevel=2)


def _unknown_limit(task: ExternalEnv, batch: Trajectory) -> str | None:
    """Message if all episodes so far had the same length below the time limit."""
    lengths = task.episode_lengths
    length, count = next(iter(lengths.items()))
    # One step is no time limit, but the only one.
    if len(lengths) > 1 or count < MIN_EPISODES or not 1 < length < task.time_limit:
        return None
    ends = f"all {count} episodes ended after {length} steps"
    if np.all(batch.truncated[length - 1]):
        return f"{ends}, truncated by a limit of the environment"
    return (
        f"{ends}, as terminations: values do not bootstrap there; if it is a time "
        f"limit, give time_limit={length - 1}"
    )


def _opposed_rewards(batch: Trajectory, agents: Sequence[object]) -> str | None:
    """Message if the agents' rewards sum to zero in every step."""
    reward = np.asarray(batch.reward, float)
    largest = np.abs(reward).max()
    sums = np.abs(reward.sum(axis=-1)).max()
    if len(agents) < 2 or largest == 0 or sums > RELATIVE_ZERO * largest:
        return None
    return (
        "the agents' rewards sum to 0 in every step, so that one team of all has "
        f"nothing to learn; to choose a side: team={agent_name(str(agents[0]))}"
    )
