"""Snapshots of a system: their number, and the same ones after an interruption."""

from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_system import Toy, ToyState

from syntony.config import pytree_dataclass
from syntony.errors import InvalidInputError
from syntony.systems.link.link import Link
from syntony.training import snapshots
from syntony.training.loop import train
from syntony.training.run_config import RunConfig
from syntony.training.run_folder import RunFolder


def run_config(evaluations: int) -> RunConfig:
    return RunConfig(system=Link(), steps=10 * evaluations, eval_every=10)


def snapshot(step: int) -> dict[str, np.ndarray]:
    codebook = np.full((4, 2, 2), float(step), np.float32)
    return {"message": np.arange(4, dtype=np.int32), "codebook": codebook}


def assert_same_history(one: RunFolder, other: RunFolder) -> None:
    a, b = snapshots.read_history(one, 0), snapshots.read_history(other, 0)
    assert a is not None
    assert b is not None
    np.testing.assert_array_equal(a.step, b.step)
    assert a.arrays.keys() == b.arrays.keys() == {"message", "codebook"}
    for name in a.arrays:
        np.testing.assert_array_equal(a.arrays[name], b.arrays[name])


def add_snapshots(
    folder: RunFolder, steps: range | list[int], evaluations: int
) -> None:
    for step in steps:
        snapshots.add_snapshot(folder, run_config(evaluations), 0, step, snapshot(step))


def test_all_snapshots_of_a_short_run_are_kept(tmp_path: Path):
    add_snapshots(RunFolder(tmp_path), range(0, 51, 10), 5)
    history = snapshots.read_history(RunFolder(tmp_path), 0)
    assert history is not None
    assert history.step.tolist() == [0, 10, 20, 30, 40, 50]
    np.testing.assert_array_equal(
        history.arrays["codebook"][3], snapshot(30)["codebook"]
    )
    assert history.arrays["message"].shape == (6, 4)
    assert snapshots.read_history(RunFolder(tmp_path), 1) is None


@settings(max_examples=50)
@given(st.integers(1, 100_000))
def test_at_most_max_snapshots_are_kept(evaluations: int):
    steps = 10 * np.arange(evaluations + 1)
    kept = steps[snapshots.keep_mask(run_config(evaluations), steps)]
    assert kept[0] == 0
    assert min(snapshots.MAX_SNAPSHOTS // 2, evaluations) < len(
        kept
    ) <= snapshots.MAX_SNAPSHOTS or (len(kept) == evaluations + 1)
    assert len(set(np.diff(kept))) <= 1


def test_an_interrupted_run_has_the_same_snapshots(tmp_path: Path):
    whole, resumed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "resumed")
    for folder in (whole, resumed):
        folder.path.mkdir()
    add_snapshots(whole, range(0, 1501, 10), 150)
    # Interrupted after step 700, resumed from step 500.
    add_snapshots(resumed, [*range(0, 701, 10), *range(510, 1501, 10)], 150)
    assert_same_history(whole, resumed)


def test_an_extended_run_has_the_snapshots_of_a_long_run(tmp_path: Path):
    whole, extended = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "extended")
    for folder in (whole, extended):
        folder.path.mkdir()
    add_snapshots(whole, range(0, 1201, 10), 120)
    add_snapshots(extended, range(0, 301, 10), 30)
    add_snapshots(extended, range(310, 1201, 10), 120)
    assert_same_history(whole, extended)


def test_a_link_stores_some_messages_of_a_large_codebook():
    link = Link(messages=4096, uses=4, hidden=2)
    state = link.init(jax.random.key(0))
    stored = link.snapshot(state)
    assert stored["codebook"].shape == (1024, 4, 2)
    np.testing.assert_array_equal(
        stored["codebook"], link.codewords(state)[stored["message"]]
    )
    assert stored["message"][np.array([0, -1])].tolist() == [0, 4095]


def test_snapshots_of_another_layout_replace_the_old_ones(tmp_path: Path):
    folder = RunFolder(tmp_path)
    add_snapshots(folder, [0, 10], 5)
    other = {"codebook": np.zeros((2, 2, 2), np.float32)}
    snapshots.add_snapshot(folder, run_config(5), 0, 20, other)
    history = snapshots.read_history(folder, 0)
    assert history is not None
    assert history.step.tolist() == [20]
    assert history.arrays.keys() == {"codebook"}


@pytree_dataclass
class Recording(Toy):
    """A system with snapshots that a test sets."""

    arrays: ClassVar[dict[str, Any]] = {}

    def snapshot(self, state: ToyState) -> dict[str, Any]:
        del state
        return self.arrays


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"step": jnp.zeros(2)}, "an array 'step', which is reserved"),
        ({"x": jnp.zeros(2, complex)}, "other values than real numbers"),
        ({"x": jnp.zeros(2**16)}, "1 arrays of 262,144 bytes; expected at most"),
    ],
)
def test_snapshots_that_cannot_be_stored(
    arrays: dict[str, Any],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(Recording, "arrays", arrays)
    with pytest.raises(InvalidInputError, match=expected):
        train(
            Recording(),
            steps=10,
            eval_every=10,
            eval_episodes=2,
            out=tmp_path,
            quiet=True,
        )


def test_a_damaged_file_is_refused_and_replaced(tmp_path: Path):
    folder = RunFolder(tmp_path)
    add_snapshots(folder, [0, 10], 5)
    path = folder.history_path(0)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidInputError, match=r"seed-0\.npz is damaged"):
        snapshots.read_history(folder, 0)
    with path.open("wb") as file:
        np.savez(file, step=np.zeros(2, int), codebook=np.zeros((3, 1, 1, 2)))
    with pytest.raises(InvalidInputError, match="is damaged"):
        snapshots.read_history(folder, 0)
    add_snapshots(folder, [20], 5)
    history = snapshots.read_history(folder, 0)
    assert history is not None
    assert history.step.tolist() == [20]
