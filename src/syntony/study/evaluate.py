"""Runs in numbers: what each seed scores, what all do, and how sure that is."""

from typing import Any

import numpy as np

from syntony.run.journal import Line, with_intervals
from syntony.run.load import Run
from syntony.run.plan import describe, world_of
from syntony.study.statistics import mean_over_seeds
from syntony.tasks.task import Task


def evaluate(
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
    described = describe(run.plan)
    seeds = [
        {"seed": seed, "step": run.steps[seed]} | with_intervals(found)
        for seed, found in samples.items()
    ]
    scores = list(next(iter(samples.values())))
    return {
        "run": run.path.name,
        "system": described["system"],
        "task": world_of(described) if task is None else task.id,
        "episodes": episodes,
        "seeds": seeds,
        "all": over_seeds(seeds, scores),
        # What was measured during training was measured in the task of the training.
        "untrained": untrained(run, scores) if task is None else {},
    }


def over_seeds(lines: list[Line], scores: list[str]) -> Line:
    """Returns the mean over seeds of each score, with its interval over seeds."""
    found: Line = {}
    for name in scores:
        means = np.array([line[name] for line in lines], float)
        mean, low, high = (float(x[0]) for x in mean_over_seeds(means[:, None]))
        known = len(means) > 1
        found |= {
            name: mean,
            f"{name}_low": low if known else None,
            f"{name}_high": high if known else None,
        }
    return found


def untrained(run: Run, scores: list[str]) -> Line:
    """Returns what the seeds scored before they learned, from the run's journal."""
    lines = [line for line in run.metrics() if line["step"] == 0]
    return over_seeds(lines, scores) if lines else {}
