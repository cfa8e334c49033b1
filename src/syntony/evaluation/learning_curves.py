"""Learning curves from the metrics logs of runs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from syntony.errors import InvalidInputError
from syntony.evaluation.statistics import ConfidenceBand, mean_over_seeds
from syntony.training import metrics_log
from syntony.training.run_folder import RunFolder

DEFAULT_METRIC = "eval/return_mean"
Curve = tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]
"""Steps and scores."""


class LearningCurve(NamedTuple):
    """Metric of all seeds during training, at common steps."""

    steps: Float[np.ndarray, " T"]
    scores: Float[np.ndarray, "S T"]
    possible: tuple[float, float] | None = None
    """Lowest and highest possible score, where known: intervals end within it."""

    def over_seeds(self) -> ConfidenceBand:
        """Mean over seeds with its interval, at each step."""
        return mean_over_seeds(self.scores, possible=self.possible)


def read_learning_curve(run: Path, metric: str = DEFAULT_METRIC) -> LearningCurve:
    """Learning curve of a metric over all seeds of a run.

    Args:
        run: run folder.
        metric: name of the metric.

    Raises:
        InvalidInputError: there is no such run, or its log does not have the metric.
    """
    points = points_by_seed(metrics_log.read_rows(RunFolder(run).metrics_path), metric)
    if not points:
        raise InvalidInputError(
            f"{run} has no {metric!r}: is it a run that was evaluated?"
        )
    return align_curves([(steps, scores) for steps, scores in points.values()])


def align_curves(curves: Sequence[Curve]) -> LearningCurve:
    """Curves of several seeds, interpolated at common steps.

    Seeds are evaluated at different steps. The common steps are those of all curves,
    from the latest first step to the earliest last step.

    Args:
        curves: steps and scores of each seed.
    """
    first = max(steps[0] for steps, _ in curves)
    last = min(steps[-1] for steps, _ in curves)
    steps = np.unique(np.concatenate([steps for steps, _ in curves]))
    steps = steps[(first <= steps) & (steps <= last)]
    scores = [np.interp(steps, x, y) for x, y in curves]
    return LearningCurve(steps, np.stack(scores))


def points_by_seed(
    rows: Iterable[metrics_log.MetricsRow], metric: str
) -> dict[int, Float[np.ndarray, "2 _"]]:
    """Steps and scores of each seed, in order; rows without the metric are skipped.

    Args:
        rows: rows of a metrics log.
        metric: name of the metric.
    """
    curves: dict[int, dict[float, float]] = {}
    for row in rows:
        if isinstance(value := row.get(metric), int | float):
            curves.setdefault(row["seed"], {})[float(row["step"])] = float(value)
    return {
        seed: np.array(sorted(curve.items()), float).T
        for seed, curve in sorted(curves.items())
    }
