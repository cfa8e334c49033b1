"""Snapshots of a codebook: few, whole, and the same after an interruption."""

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


def plan(evaluations: int) -> RunConfig:
    return RunConfig(system=Link(), steps=10 * evaluations, eval_every=10)


def book(step: int, messages: int = 4, uses: int = 2) -> np.ndarray:
    return np.full((messages, uses, 2), float(step), np.float32)


def taken(folder: RunFolder, steps: range | list[int], evaluations: int) -> None:
    for step in steps:
        codebook_history.add_snapshot(folder, plan(evaluations), 0, step, book(step))


def test_every_evaluation_is_kept_while_there_are_few(tmp_path: Path):
    taken(RunFolder(tmp_path), range(0, 51, 10), 5)
    found = codebook_history.read_history(RunFolder(tmp_path), 0)
    assert found is not None
    assert found.step.tolist() == [0, 10, 20, 30, 40, 50]
    np.testing.assert_array_equal(found.codebook[3], book(30))
    assert codebook_history.read_history(RunFolder(tmp_path), 1) is None


@settings(max_examples=50)
@given(st.integers(1, 100_000))
def test_no_more_than_the_most_are_kept(evaluations: int):
    steps = 10 * np.arange(evaluations + 1)
    kept = steps[codebook_history.keep_mask(plan(evaluations), steps)]
    assert kept[0] == 0
    assert min(codebook_history.MAX_SNAPSHOTS // 2, evaluations) < len(
        kept
    ) <= codebook_history.MAX_SNAPSHOTS or (len(kept) == evaluations + 1)
    assert len(set(np.diff(kept))) <= 1


def test_an_interrupted_run_leaves_what_a_whole_one_does(tmp_path: Path):
    whole, broken = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "broken")
    for folder in (whole, broken):
        folder.path.mkdir()
    taken(whole, range(0, 1501, 10), 150)
    # It stops after 700, and goes on from 500: what was taken after that, again.
    taken(broken, [*range(0, 701, 10), *range(510, 1501, 10)], 150)
    for one, other in zip(
        codebook_history.read_history(whole, 0) or (),
        codebook_history.read_history(broken, 0) or (),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_a_run_that_grows_is_thinned_as_one_that_was_planned_so(tmp_path: Path):
    whole, grown = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "grown")
    for folder in (whole, grown):
        folder.path.mkdir()
    taken(whole, range(0, 1201, 10), 120)
    taken(grown, range(0, 301, 10), 30)
    taken(grown, range(310, 1201, 10), 120)
    for one, other in zip(
        codebook_history.read_history(whole, 0) or (),
        codebook_history.read_history(grown, 0) or (),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_large_codebooks_are_kept_in_part(tmp_path: Path):
    large = np.arange(4096 * 4 * 2, dtype=np.float32).reshape(4096, 4, 2)
    codebook_history.add_snapshot(RunFolder(tmp_path), plan(5), 0, 0, large)
    found = codebook_history.read_history(RunFolder(tmp_path), 0)
    assert found is not None
    assert found.codebook.shape == (1, 1024, 4, 2)
    np.testing.assert_array_equal(found.codebook[0], large[found.message])
    assert found.message[[0, -1]].tolist() == [0, 4095]


def test_a_damaged_file_is_said_and_does_not_stop_a_run(tmp_path: Path):
    folder = RunFolder(tmp_path)
    taken(folder, [0, 10], 5)
    path = codebook_history.history_path(folder, 0)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInputError, match=r"seed-0\.npz is damaged"):
        codebook_history.read_history(folder, 0)
    with path.open("wb") as file:
        np.savez(
            file, step=np.zeros(2), message=np.zeros(1), codebook=np.zeros((3, 1, 1, 2))
        )
    with pytest.raises(InvalidInputError, match="is damaged"):
        codebook_history.read_history(folder, 0)
    taken(folder, [20], 5)
    found = codebook_history.read_history(folder, 0)
    assert found is not None
    assert found.step.tolist() == [20]
