"""Settings as run folders store them."""

import json
from pathlib import Path

import pytest

from syntony.errors import InvalidInputError
from syntony.evaluation.stored_run import (
    flatten_settings,
    read_stored_run,
    reject_duplicate_runs,
)


def test_flat_settings_have_paths_and_ids():
    nested = {
        "hidden": 8,
        "feedback": {"id": "noisy?std=0.1", "std": 0.1},
        "schedule": {"optimizer": {"lr": 1e-3}, "shape": [1, 2]},
    }
    assert flatten_settings(nested) == {
        "hidden": 8,
        "feedback": "noisy?std=0.1",
        "schedule.optimizer.lr": 1e-3,
        "schedule.shape": "[1, 2]",
    }


def test_a_run_that_cannot_be_loaded_has_its_metrics(tmp_path: Path):
    settings = {"system": "unknown", "settings": {"a": {"b": 1}}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    rows = [{"step": step, "seed": 0, "wall_s": 2.0 * step} for step in (0, 10)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    stored = read_stored_run(tmp_path)
    assert stored.run is None
    assert stored.load_error
    assert (stored.last_step, stored.wall_s) == (10, 20.0)
    assert (stored.system, stored.task_or_channel) == ("unknown", "")
    assert stored.system_settings == {"a.b": 1}


def test_the_same_folder_twice_is_rejected(tmp_path: Path):
    runs = [str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "x" / ".." / "a")]
    reject_duplicate_runs(runs[:2])
    with pytest.raises(InvalidInputError, match="is named twice"):
        reject_duplicate_runs(runs)
