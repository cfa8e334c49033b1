"""Evaluation of runs: the metrics of each seed and over seeds, with intervals."""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from syntony.evaluation.statistics import MIN_SEEDS_FOR_INTERVAL, mean_over_seeds
from syntony.systems.system import ActsInEpisodes
from syntony.tasks.task import HasScoreRange, Task
from syntony.training.metrics_log import MetricsRow, means_with_intervals
from syntony.training.run import Run
from syntony.training.run_config import run_config_to_dict, task_and_channel_id

ScoreRanges = Mapping[str, tuple[float, float]]
"""Lowest and highest possible value, by metric."""
NO_RANGES: ScoreRanges = {}


class MetricsEvaluation(TypedDict):
    """Metrics of a run's trained states, as JSON can hold them."""

    run: str
    """Name of the run folder."""
    system: str
    task: str
    """Id of the task or channel; empty if the system has neither."""
    episodes: int
    """Episodes per seed."""
    seeds: list[MetricsRow]
    """Of each seed, with its number and step, and intervals over its episodes."""
    all: MetricsRow
    """Over all seeds."""
    untrained: MetricsRow
    """Over all seeds before training; empty if it was not evaluated."""


def evaluate_metrics(
    run: Run, *, episodes: int = 1000, task: Task | None = None
) -> MetricsEvaluation:
    """Evaluates the metrics of all seeds of a run, of any system, in new episodes.

    Intervals are of 95 %: those of a seed bootstrap its episodes; those of `all` are
    Student's, over the means of the seeds, and None for one or two seeds; those of
    returns whose range is known end within it.

    Args:
        run: the run.
        episodes: number of episodes per seed.
        task: of a team: task to evaluate in, of the same shapes; None: the task of the
            training.

    Returns:
        The results, as JSON can hold them.

    Raises:
        InvalidInputError: a seed has no usable checkpoint, the system has no task, or
            the task has other shapes.
        EnvironmentStepError: the task is external, and failed.
    """
    samples = run.evaluate(episodes=episodes, task=task)
    config = run_config_to_dict(run.config)
    seeds = [
        {"seed": seed, "step": run.steps[seed]} | means_with_intervals(metrics)
        for seed, metrics in samples.items()
    ]
    names = list(next(iter(samples.values())))
    stored = config.get("task")
    task_id = str(stored["id"]) if isinstance(stored, dict) else ""
    if task is not None:
        task_id = task.id
    system = run.system
    trained_in = system.task if isinstance(system, ActsInEpisodes) else None
    ranges = return_ranges(task or trained_in)
    return {
        "run": run.path.name,
        "system": str(config["system"]),
        "task": task_id or task_and_channel_id(config),
        "episodes": episodes,
        "seeds": seeds,
        "all": aggregate_over_seeds(seeds, names, ranges),
        # The metrics log holds evaluations in the task of the training only.
        "untrained": {}
        if task is not None
        else scores_before_training(run, names, ranges),
    }


def aggregate_over_seeds(
    rows: list[MetricsRow], metrics: list[str], ranges: ScoreRanges = NO_RANGES
) -> MetricsRow:
    """Mean over seeds of each metric, with its interval; None for one or two seeds.

    Args:
        rows: one row per seed.
        metrics: names of the metrics.
        ranges: lowest and highest possible value of those metrics that have one.
    """
    result: MetricsRow = {}
    for name in metrics:
        means = np.array([row[name] for row in rows], float)
        band = mean_over_seeds(means[:, None], possible=ranges.get(name))
        mean, low, high = (float(x[0]) for x in band)
        has_interval = len(means) >= MIN_SEEDS_FOR_INTERVAL
        result |= {
            name: mean,
            f"{name}_low": low if has_interval else None,
            f"{name}_high": high if has_interval else None,
        }
    return result


def return_ranges(task: Task | None) -> dict[str, tuple[float, float]]:
    """Lowest and highest possible value of the returns in a task, where known."""
    score_range = task.score_range if isinstance(task, HasScoreRange) else None
    names = ("eval/return_mean", "eval/return_mean_greedy")
    return {} if score_range is None else dict.fromkeys(names, score_range)


def scores_before_training(
    run: Run, metrics: list[str], ranges: ScoreRanges = NO_RANGES
) -> MetricsRow:
    """Metrics over seeds at step 0, from the run's metrics log; empty without any."""
    rows = [row for row in run.metrics() if row["step"] == 0]
    return aggregate_over_seeds(rows, metrics, ranges) if rows else {}
