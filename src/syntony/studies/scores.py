"""Scores of trials: the metric that a study compares, from their metrics logs."""

import math
from pathlib import Path
from typing import NamedTuple

from syntony.errors import InvalidInputError
from syntony.training import metrics_log
from syntony.training.metrics_log import MetricsRow
from syntony.training.primary_metrics import ERROR_RATE_METRICS, PRIMARY_METRICS
from syntony.training.run_folder import RunFolder

MIN_ERROR_RATE = 1e-7
"""Floor of error rates; smaller ones are not measured."""


class Progress(NamedTuple):
    """Progress of a trial."""

    steps: int
    """Step that all of its seeds have reached."""
    score: float | None
    """Mean over seeds of the newest evaluation at that step."""
    metric: str = ""


def read_progress(run: Path, seeds: int, metric: str | None = None) -> Progress:
    """Progress of a run folder, which may be in training or missing.

    Args:
        run: the folder.
        seeds: number of its seeds.
        metric: name of a metric; None: the primary one.
    """
    try:
        rows = metrics_log.read_rows(RunFolder(run).metrics_path)
    except (InvalidInputError, OSError):
        return Progress(0, None)
    name = metric or primary_metric(rows)
    newest: dict[int, MetricsRow] = {}
    for row in rows:
        if isinstance(row.get(name), int | float):
            newest[row["seed"]] = row
    if len(newest) < seeds:
        return Progress(0, None, name)
    steps = min(row["step"] for row in newest.values())
    values = [_value_at(rows, seed, name, steps) for seed in newest]
    return Progress(steps, sum(values) / len(values), name)


def primary_metric(rows: list[MetricsRow]) -> str:
    """The metric by which runs are compared; empty without rows."""
    names = {name for row in rows[:1] for name in row}
    return next((name for name in PRIMARY_METRICS if name in names), "")


def to_objective(score: float, metric: str) -> float:
    """Score on a scale where more is better: error rates become −log₁₀ of them."""
    if metric not in ERROR_RATE_METRICS:
        return score
    return -math.log10(max(score, MIN_ERROR_RATE))


def _value_at(rows: list[MetricsRow], seed: int, name: str, step: int) -> float:
    """Metric of a seed at its first evaluation that is not before a step."""
    return next(
        float(row[name])
        for row in rows
        if row["seed"] == seed
        and isinstance(row.get(name), int | float)
        and row["step"] >= step
    )
