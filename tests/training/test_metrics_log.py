"""The journal: whole lines, once each, and numbers that JSON knows."""

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


def places(path: Path) -> list[tuple[int, int]]:
    return [(line["seed"], line["step"]) for line in metrics_log.read_rows(path)]


def test_what_was_appended_is_read(path: Path):
    assert places(path) == [(0, 0), (1, 0), (0, 100), (1, 101), (0, 200)]
    assert metrics_log.read_rows(path)[0] == {"step": 0, "seed": 0, "eval/x": 0.5}


def test_no_file_no_lines(tmp_path: Path):
    assert metrics_log.read_rows(tmp_path / "metrics.jsonl") == []


def test_a_torn_line_is_left_out(path: Path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert places(path) == [(0, 0), (1, 0), (0, 100), (1, 101)]
    metrics_log.truncate_after(path, {0: 200, 1: 101})
    assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[:4])


def test_what_no_checkpoint_has_reached_is_forgotten(path: Path):
    metrics_log.truncate_after(path, {0: 100, 1: 100})
    assert places(path) == [(0, 0), (1, 0), (0, 100)]
    # A seed that starts anew keeps nothing.
    metrics_log.truncate_after(path, {0: 100})
    assert places(path) == [(0, 0), (0, 100)]


def test_how_far_a_seed_was_measured(path: Path):
    assert [metrics_log.last_step(path, seed) for seed in (0, 1, 2)] == [200, 101, 0]


def test_what_is_no_number_becomes_null(tmp_path: Path):
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


def test_binary_rubbish_is_refused(path: Path):
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(InvalidInputError, match="is damaged in line 1"):
        metrics_log.read_rows(path)


def test_intervals_hold_their_means():
    samples = np.random.default_rng(0).normal(size=100).astype(np.float32)
    line = metrics_log.means_with_intervals({"eval/x": samples})
    assert line["eval/x_low"] < line["eval/x"] < line["eval/x_high"]
    assert line["eval/x"] == pytest.approx(samples.mean(), rel=1e-5)
    assert json.loads(json.dumps(line)) == line
