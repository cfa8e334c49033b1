"""Snapshots of a codebook: their number, and the same ones after an interruption."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syntony.errors import InvalidInputError
from syntony.systems.link.link import Link
from syntony.training import codebook_history
from syntony.training.run_config import RunConfig
from syntony.training.run_folder import RunFolder


def run_config(evaluations: int) -> RunConfig:
    return RunConfig(system=Link(), steps=10 * evaluations, eval_every=10)


def codebook(step: int, messages: int = 4, uses: int = 2) -> np.ndarray:
    return np.full((messages, uses, 2), float(step), np.float32)


def add_snapshots(
    folder: RunFolder, steps: range | list[int], evaluations: int
) -> None:
    for step in steps:
        codebook_history.add_snapshot(
            folder, run_config(evaluations), 0, step, codebook(step)
        )


def test_all_snapshots_of_a_short_run_are_kept(tmp_path: Path):
    add_snapshots(RunFolder(tmp_path), range(0, 51, 10), 5)
    history = codebook_history.read_history(RunFolder(tmp_path), 0)
    assert history is not None
    assert history.step.tolist() == [0, 10, 20, 30, 40, 50]
    np.testing.assert_array_equal(history.codebook[3], codebook(30))
    assert codebook_history.read_history(RunFolder(tmp_path), 1) is None


@settings(max_examples=50)
@given(st.integers(1, 100_000))
def test_at_most_max_snapshots_are_kept(evaluations: int):
    steps = 10 * np.arange(evaluations + 1)
    kept = steps[codebook_history.keep_mask(run_config(evaluations), steps)]
    assert kept[0] == 0
    assert min(codebook_history.MAX_SNAPSHOTS // 2, evaluations) < len(
        kept
    ) <= codebook_history.MAX_SNAPSHOTS or (len(kept) == evaluations + 1)
    assert len(set(np.diff(kept))) <= 1


def test_an_interrupted_run_has_the_same_snapshots(tmp_path: Path):
    whole, resumed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "resumed")
    for folder in (whole, resumed):
        folder.path.mkdir()
    add_snapshots(whole, range(0, 1501, 10), 150)
    # Interrupted after step 700, resumed from step 500.
    add_snapshots(resumed, [*range(0, 701, 10), *range(510, 1501, 10)], 150)
    for one, other in zip(
        codebook_history.read_history(whole, 0) or (),
        codebook_history.read_history(resumed, 0) or (),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_an_extended_run_has_the_snapshots_of_a_long_run(tmp_path: Path):
    whole, extended = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "extended")
    for folder in (whole, extended):
        folder.path.mkdir()
    add_snapshots(whole, range(0, 1201, 10), 120)
    add_snapshots(extended, range(0, 301, 10), 30)
    add_snapshots(extended, range(310, 1201, 10), 120)
    for one, other in zip(
        codebook_history.read_history(whole, 0) or (),
        codebook_history.read_history(extended, 0) or (),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_large_codebooks_are_subsampled(tmp_path: Path):
    large = np.arange(4096 * 4 * 2, dtype=np.float32).reshape(4096, 4, 2)
    codebook_history.add_snapshot(RunFolder(tmp_path), run_config(5), 0, 0, large)
    history = codebook_history.read_history(RunFolder(tmp_path), 0)
    assert history is not None
    assert history.codebook.shape == (1, 1024, 4, 2)
    np.testing.assert_array_equal(history.codebook[0], large[history.message])
    assert history.message[[0, -1]].tolist() == [0, 4095]


def test_a_damaged_file_is_refused_and_replaced(tmp_path: Path):
    folder = RunFolder(tmp_path)
    add_snapshots(folder, [0, 10], 5)
    path = folder.history_path(0)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidInputError, match=r"seed-0\.npz is damaged"):
        codebook_history.read_history(folder, 0)
    with path.open("wb") as file:
        np.savez(
            file, step=np.zeros(2), message=np.zeros(1), codebook=np.zeros((3, 1, 1, 2))
        )
    with pytest.raises(InvalidInputError, match="is damaged"):
        codebook_history.read_history(folder, 0)
    add_snapshots(folder, [20], 5)
    history = codebook_history.read_history(folder, 0)
    assert history is not None
    assert history.step.tolist() == [20]
