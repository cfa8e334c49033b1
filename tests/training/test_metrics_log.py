"""The metrics log: complete lines, each once, and valid JSON numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from syntony.errors import InvalidInputError
from syntony.training import metrics_log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.jsonl"
    for seed, step in [(0, 0), (1, 0), (0, 100), (1, 101), (0, 200)]:
        metrics_log.append_row(path, {"step": step, "seed": seed, "eval/x": 0.5})
    return path


def seeds_and_steps(path: Path) -> list[tuple[int, int]]:
    return [(row["seed"], row["step"]) for row in metrics_log.read_rows(path)]


def test_appended_rows_are_read(path: Path):
    assert seeds_and_steps(path) == [(0, 0), (1, 0), (0, 100), (1, 101), (0, 200)]
    assert metrics_log.read_rows(path)[0] == {"step": 0, "seed": 0, "eval/x": 0.5}


def test_without_a_file_there_are_no_rows(tmp_path: Path):
    assert metrics_log.read_rows(tmp_path / "metrics.jsonl") == []


def test_an_incomplete_line_is_skipped(path: Path):
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    assert seeds_and_steps(path) == [(0, 0), (1, 0), (0, 100), (1, 101)]
    metrics_log.truncate_after(path, {0: 200, 1: 101})
    assert path.read_bytes() == b"".join(content.splitlines(keepends=True)[:4])


def test_rows_after_the_checkpoints_are_dropped(path: Path):
    metrics_log.truncate_after(path, {0: 100, 1: 100})
    assert seeds_and_steps(path) == [(0, 0), (1, 0), (0, 100)]
    # Of a seed without a checkpoint all rows are dropped.
    metrics_log.truncate_after(path, {0: 100})
    assert seeds_and_steps(path) == [(0, 0), (0, 100)]


def test_the_last_step_of_a_seed(path: Path):
    assert [metrics_log.last_step(path, seed) for seed in (0, 1, 2)] == [200, 101, 0]


def test_numbers_that_are_not_finite_become_null(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    metrics_log.append_row(
        path, {"step": 1, "seed": 0, "a": float("nan"), "b": float("inf")}
    )
    assert path.read_text() == '{"step": 1, "seed": 0, "a": null, "b": null}\n'


@pytest.mark.parametrize("text", ["{", "[]", '{"step": 1}', '{"step": 1, "seed": "0"}'])
def test_a_damaged_line_is_named(path: Path, text: str):
    lines = path.read_text().splitlines()
    lines[2] = text
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InvalidInputError, match="damaged in line 3"):
        metrics_log.read_rows(path)


def test_binary_data_is_refused(path: Path):
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(InvalidInputError, match="is damaged in line 1"):
        metrics_log.read_rows(path)


def test_intervals_contain_their_means():
    samples = np.random.default_rng(0).normal(size=100).astype(np.float32)
    row = metrics_log.means_with_intervals({"eval/x": samples})
    assert row["eval/x_low"] < row["eval/x"] < row["eval/x_high"]
    assert row["eval/x"] == pytest.approx(samples.mean(), rel=1e-5)
    assert json.loads(json.dumps(row)) == row
