"""Learning curves, read from run folders."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from syntony.errors import BadInput
from syntony.run import journal
from syntony.run.folder import Folder

SCORE = "eval/return_mean"


class Curve(NamedTuple):
    """A score along training, one row a seed, all on the same steps."""

    steps: Float[np.ndarray, " points"]
    scores: Float[np.ndarray, "seeds points"]


def read_curve(run: Path, score: str = SCORE) -> Curve:
    """Returns a run's `score` against the steps that it had taken.

    Seeds differ in how many steps their episodes take, so their scores are interpolated
    at the steps of all, from where the last seed begins to where the first one ends.

    Raises:
        BadInput: there is no such run, or it never measured that score.
    """
    points = points_of(journal.read(Folder(run).metrics), score)
    if not points:
        raise BadInput(f"{run} has no {score!r}: is it a run that was evaluated?")
    by_seed = list(points.values())
    first = max(steps[0] for steps, _ in by_seed)
    last = min(steps[-1] for steps, _ in by_seed)
    steps = np.unique(np.concatenate([steps for steps, _ in by_seed]))
    steps = steps[(first <= steps) & (steps <= last)]
    scores = [np.interp(steps, *seed) for seed in by_seed]
    return Curve(steps, np.stack(scores))


def points_of(
    lines: Iterable[journal.Line], score: str
) -> dict[int, Float[np.ndarray, "2 points"]]:
    """Returns each seed's steps and scores, in order; lines without one are left out.

    Args:
        lines: of a journal.
        score: its name.
    """
    found: dict[int, dict[float, float]] = {}
    for line in lines:
        if isinstance(value := line.get(score), int | float):
            found.setdefault(line["seed"], {})[float(line["step"])] = float(value)
    return {
        seed: np.array(sorted(curve.items()), float).T
        for seed, curve in sorted(found.items())
    }
