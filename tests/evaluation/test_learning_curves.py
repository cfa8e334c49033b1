"""Learning curves from metrics logs."""

import json
from pathlib import Path

import numpy as np
import pytest

from syntony.errors import InvalidInputError
from syntony.evaluation.learning_curves import read_learning_curve


def write(run: Path, rows: list[dict[str, float]]) -> None:
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_seeds_are_interpolated_at_common_steps(tmp_path: Path):
    """Seed 0 has steps 100, 300, 500; seed 1 has 200, 400: 200 to 400 are common."""
    scores = {(0, 100): 0.0, (0, 300): 0.4, (0, 500): 0.8, (1, 200): 1.0, (1, 400): 0.0}
    rows = [{"step": t, "seed": s, "eval/x": x} for (s, t), x in scores.items()]
    write(tmp_path, [*rows, {"step": 250, "seed": 0, "train/return_mean": 7.0}])
    curve = read_learning_curve(tmp_path, "eval/x")
    assert curve.steps.tolist() == [200, 300, 400]
    np.testing.assert_allclose(curve.scores, [[0.2, 0.4, 0.6], [1.0, 0.5, 0.0]])


def test_missing_metric(tmp_path: Path):
    write(tmp_path, [{"step": 1, "seed": 0, "train/return_mean": 0.0}])
    with pytest.raises(InvalidInputError, match="eval/return_mean"):
        read_learning_curve(tmp_path)


def test_missing_run_folder(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="is it a run"):
        read_learning_curve(tmp_path / "nothing")
