"""Runs in numbers: what each seed scores, what all do, and how sure that is."""

from typing import Any

import numpy as np

from syntony.evaluation.statistics import mean_over_seeds
from syntony.tasks.task import Task
from syntony.training.metrics_log import MetricsRow, means_with_intervals
from syntony.training.run import Run
from syntony.training.run_config import run_config_to_dict, task_or_channel_id


def evaluate_team(
    run: Run, *, episodes: int = 1000, task: Task | None = None
) -> dict[str, Any]:
    """Evaluates all seeds of a run anew; returns what JSON can hold.

    Intervals are of 95 %: those of a seed bootstrap its episodes; those of `all` are
    Student's, over the means of the seeds. Of one seed the latter are None.

    Args:
        episodes: how many each seed lives through.
        task: where, if not in the task that it learned in; of the same shapes.

    Raises:
        BadInput: a seed has no checkpoint that can be used, or the task other shapes.
        HostFault: the task is another library's, and failed.
    """
    samples = run.evaluate(episodes=episodes, task=task)
    described = run_config_to_dict(run.config)
    seeds = [
        {"seed": seed, "step": run.steps[seed]} | means_with_intervals(found)
        for seed, found in samples.items()
    ]
    scores = list(next(iter(samples.values())))
    return {
        "run": run.path.name,
        "system": described["system"],
        "task": task_or_channel_id(described) if task is None else task.id,
        "episodes": episodes,
        "seeds": seeds,
        "all": aggregate_over_seeds(seeds, scores),
        # What was measured during training was measured in the task of the training.
        "untrained": scores_before_training(run, scores) if task is None else {},
    }


def aggregate_over_seeds(rows: list[MetricsRow], metrics: list[str]) -> MetricsRow:
    """Returns the mean over seeds of each score, with its interval over seeds."""
    found: MetricsRow = {}
    for name in metrics:
        means = np.array([line[name] for line in rows], float)
        mean, low, high = (float(x[0]) for x in mean_over_seeds(means[:, None]))
        known = len(means) > 1
        found |= {
            name: mean,
            f"{name}_low": low if known else None,
            f"{name}_high": high if known else None,
        }
    return found


def scores_before_training(run: Run, metrics: list[str]) -> MetricsRow:
    """Returns what the seeds scored before they learned, from the run's journal."""
    lines = [line for line in run.metrics() if line["step"] == 0]
    return aggregate_over_seeds(lines, metrics) if lines else {}
