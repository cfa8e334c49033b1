"""The metric that ranks the evaluations of a run, and whether more of it is better."""

import math
from collections.abc import Iterable

from syntony.training.metrics_log import MetricsRow

PRIMARY_METRICS = ("eval/return_mean", "eval/bler")
"""The metric that evaluates a run: the first of these that was logged."""
ERROR_RATE_METRICS = {"eval/bler"}
"""Metrics of which less is better; printed in scientific notation, as they may be very
small."""


def best_row(rows: Iterable[MetricsRow]) -> MetricsRow | None:
    """Row with the best primary metric, the first of equal ones; None without any.

    Args:
        rows: rows of one seed, in the order of their steps.
    """
    best, best_score = None, -math.inf
    for row in rows:
        score = _score(row)
        if score is not None and score > best_score:
            best, best_score = row, score
    return best


def _score(row: MetricsRow) -> float | None:
    """Primary metric of a row, with a sign so that more is better; None without it."""
    name = next((name for name in PRIMARY_METRICS if name in row), None)
    if name is None or row[name] is None:
        return None
    return float(-row[name] if name in ERROR_RATE_METRICS else row[name])
