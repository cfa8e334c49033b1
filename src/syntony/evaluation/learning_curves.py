"""Learning curves, read from run folders."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from syntony.errors import InvalidInputError
from syntony.training import metrics_log
from syntony.training.run_folder import RunFolder

DEFAULT_METRIC = "eval/return_mean"


class LearningCurve(NamedTuple):
    """A score along training, one row a seed, all on the same steps."""

    steps: Float[np.ndarray, " points"]
    scores: Float[np.ndarray, "seeds points"]


def read_learning_curve(run: Path, metric: str = DEFAULT_METRIC) -> LearningCurve:
    """Returns a run's `score` against the steps that it had taken.

    Seeds differ in how many steps their episodes take, so their scores are interpolated
    at the steps of all, from where the last seed begins to where the first one ends.

    Raises:
        BadInput: there is no such run, or it never measured that score.
    """
    points = points_by_seed(metrics_log.read_rows(RunFolder(run).metrics_path), metric)
    if not points:
        raise InvalidInputError(
            f"{run} has no {metric!r}: is it a run that was evaluated?"
        )
    by_seed = list(points.values())
    first = max(steps[0] for steps, _ in by_seed)
    last = min(steps[-1] for steps, _ in by_seed)
    steps = np.unique(np.concatenate([steps for steps, _ in by_seed]))
    steps = steps[(first <= steps) & (steps <= last)]
    scores = [np.interp(steps, *seed) for seed in by_seed]
    return LearningCurve(steps, np.stack(scores))


def points_by_seed(
    lines: Iterable[metrics_log.MetricsRow], metric: str
) -> dict[int, Float[np.ndarray, "2 points"]]:
    """Returns each seed's steps and scores, in order; lines without one are left out.

    Args:
        lines: of a journal.
        score: its name.
    """
    found: dict[int, dict[float, float]] = {}
    for line in lines:
        if isinstance(value := line.get(metric), int | float):
            found.setdefault(line["seed"], {})[float(line["step"])] = float(value)
    return {
        seed: np.array(sorted(curve.items()), float).T
        for seed, curve in sorted(found.items())
    }
