"""Runs that are killed at any moment come to the same end."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

Start = Callable[[str, Path], int]
End = Callable[[], int]
SCRIPT = Path(__file__).parents[1] / "helpers" / "run_processes.py"
DELAY = 0.4
"""Most seconds from a sign of life to the kill."""


class Nursery:
    """Starts runs one after the other, each in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, system: str, path: Path) -> int:
        """Returns the number of the process."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{system} {path}\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> int:
        """Waits for it to end; returns its exit code."""
        return self._answer()

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _answer(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


def parts(path: Path) -> list[Path]:
    return list(path.rglob("*.part"))


def wait_for(found: Callable[[], object], pid: int) -> None:
    """Waits until something is there, as long as a process can still bring it."""
    while not found() and not Path(f"/proc/{pid}/exe").exists():
        time.sleep(0.001)
    while not found() and os.path.exists(f"/proc/{pid}/exe"):
        time.sleep(0.0002)


def newest(path: Path) -> str:
    """Returns the last step that a checkpoint is of, as its name has it."""
    # Not the folder's own time: a run that goes on first clears away what was torn.
    saved = (file.stem.rpartition("-")[2] for file in path.glob("checkpoints/*.npz"))
    return max(saved, default="")


def killed(nursery: Nursery, system: str, path: Path, kind: int) -> bool:
    """Lets a run go on, and kills it; returns whether it was torn while it wrote.

    Of each four kills one comes at any moment from the start on, one when a file is
    half written, two some time after a state was saved.
    """
    chance = random.Random(kind)
    before = newest(path)
    pid = nursery.start(system, path)
    if kind % 4 == 0:
        time.sleep(chance.uniform(0.0, 2.0))
    else:
        wait_for(lambda: newest(path) > before, pid)
        time.sleep(chance.uniform(0.0, DELAY))
        if kind % 4 == 1:
            wait_for(lambda: parts(path), pid)
    os.kill(pid, signal.SIGKILL)
    assert nursery.end() == -signal.SIGKILL
    journal = path / "metrics.jsonl"
    torn = journal.exists() and journal.read_bytes()[-1:] not in (b"\n", b"")
    return torn or bool(parts(path))


def assert_same_files(one: Path, other: Path) -> None:
    """Asserts that weights and snapshots are the same."""
    assert files(one) == files(other)
    for name in files(one):
        with np.load(one / name) as a, np.load(other / name) as b:
            assert a.files == b.files
            for array in a.files:
                np.testing.assert_array_equal(a[array], b[array])


def files(path: Path) -> set[Path]:
    found = [*path.glob("*.npz"), *path.glob("history/*")]
    return {file.relative_to(path) for file in found}


@pytest.mark.parametrize(
    ("system", "kills"),
    [
        ("toy", 3),
        pytest.param("link", 25, marks=pytest.mark.slow),
        pytest.param("maa2c", 25, marks=pytest.mark.slow),
        pytest.param("smpe", 25, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_killed_and_goes_on_is_the_run(
    system: str, kills: int, nursery: Nursery, tmp_path: Path, same: Callable
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    nursery.start(system, whole)
    assert nursery.end() == 0
    torn = [killed(nursery, system, broken, kind) for kind in range(kills)]
    # Or it was never killed while it wrote, and this shows little.
    assert any(torn)
    pid = nursery.start(system, broken)
    before = newest(broken)
    wait_for(lambda: newest(broken) > before, pid)
    os.kill(pid, signal.SIGINT)
    assert nursery.end() == 128 + signal.SIGINT
    nursery.start(system, broken)
    assert nursery.end() == 0
    same(whole, broken, range(2))
    assert_same_files(whole, broken)
    assert not parts(broken)
