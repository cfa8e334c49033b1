"""Runs that are killed at random times and resumed give the same result."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "helpers" / "run_processes.py"
CRASH = (pytest.mark.slow, pytest.mark.crash)
KILLS = 80
"""Kills of each of 13 systems, in `make test-crash`."""
SYSTEMS = (
    *("link", "maa2c", "smpe", "toy with tensorboard", "ia2c", "mappo", "ippo"),
    *("vdn", "qmix", "pettingzoo", "gymnasium", "black box", "toy"),
)
DELAY = 0.4
"""Most seconds from a new checkpoint to the kill."""


class RunStarter:
    """Starts runs in sequence, each in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, system: str, path: Path) -> int:
        """Starts a run; returns its pid."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{system}\t{path}\n")
        self._process.stdin.flush()
        return self._read_int()

    def wait(self) -> int:
        """Waits until the process has ended; returns its exit code."""
        return self._read_int()

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _read_int(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@pytest.fixture
def starter() -> Iterator[RunStarter]:
    starter = RunStarter()
    yield starter
    starter.close()


def partial_files(path: Path) -> list[Path]:
    return list(path.rglob("*.part"))


def wait_for(condition: Callable[[], object], pid: int) -> None:
    """Waits until a condition is true, or the process has ended."""
    while not condition() and not Path(f"/proc/{pid}/exe").exists():
        time.sleep(0.001)
    while not condition() and os.path.exists(f"/proc/{pid}/exe"):
        time.sleep(0.0002)


def newest_step(path: Path) -> str:
    """Step of the newest checkpoint, as in its file name."""
    # Not the folder's modification time: a resumed run first deletes partial files.
    steps = (file.stem.rpartition("-")[2] for file in path.glob("checkpoints/*.npz"))
    return max(steps, default="")


def kill_run(starter: RunStarter, system: str, path: Path, index: int) -> bool | None:
    """Resumes and kills a run.

    Of four kills one comes at a random time after the start, one while a file is
    written, and two some time after a checkpoint.

    Returns:
        Whether the kill left an incomplete file; None if the run ended before it.
    """
    generator = random.Random(index)
    before = newest_step(path)
    pid = starter.start(system, path)
    if index % 4 == 0:
        time.sleep(generator.uniform(0.0, 2.0))
    else:
        wait_for(lambda: newest_step(path) > before, pid)
        time.sleep(generator.uniform(0.0, DELAY))
        if index % 4 == 1:
            wait_for(lambda: partial_files(path), pid)
    code = send(starter, pid, signal.SIGKILL)
    if code == 0:
        return None
    assert code == -signal.SIGKILL
    log = path / "metrics.jsonl"
    incomplete = log.exists() and log.read_bytes()[-1:] not in (b"\n", b"")
    return incomplete or bool(partial_files(path))


def send(starter: RunStarter, pid: int, signum: int) -> int:
    """Sends a signal to a run, which may have ended; returns its exit code."""
    with suppress(ProcessLookupError):
        os.kill(pid, signum)
    return starter.wait()


def kill_until_done(
    starter: RunStarter, system: str, path: Path, kills: range
) -> list[bool]:
    """Kills a run again and again, then lets it end.

    Args:
        starter: starts it.
        system: its system.
        path: its folder.
        kills: numbers of the kills.

    Returns:
        For each kill whether it left an incomplete file; they are fewer than `kills`
        where the run ended before.
    """
    incomplete: list[bool] = []
    for index in kills:
        outcome = kill_run(starter, system, path, index)
        if outcome is None:
            return incomplete
        incomplete.append(outcome)
    pid = starter.start(system, path)
    before = newest_step(path)
    wait_for(lambda: newest_step(path) > before, pid)
    code = send(starter, pid, signal.SIGINT)
    if code != 0:
        assert code == 128 + signal.SIGINT
        starter.start(system, path)
        assert starter.wait() == 0
    return incomplete


def assert_same_files(one: Path, other: Path) -> None:
    """Asserts that exported parameters and snapshots are equal."""
    assert npz_files(one) == npz_files(other)
    for name in npz_files(one):
        with np.load(one / name) as a, np.load(other / name) as b:
            assert a.files == b.files
            for array in a.files:
                np.testing.assert_array_equal(a[array], b[array])


def npz_files(path: Path) -> set[Path]:
    files = [*path.glob("*.npz"), *path.glob("history/*")]
    return {file.relative_to(path) for file in files}


@pytest.mark.parametrize(
    ("system", "kills"),
    [
        ("toy", 3),
        pytest.param("link", 25, marks=pytest.mark.slow),
        pytest.param("maa2c", 25, marks=pytest.mark.slow),
        pytest.param("smpe", 25, marks=pytest.mark.slow),
        *(pytest.param(system, KILLS, marks=CRASH) for system in SYSTEMS),
    ],
)
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    system: str,
    kills: int,
    starter: RunStarter,
    tmp_path: Path,
    assert_same_run: Callable,
):
    whole = tmp_path / "whole"
    starter.start(system, whole)
    assert starter.wait() == 0
    incomplete: list[bool] = []
    while (done := len(incomplete)) < kills:
        # How far a run comes between two kills depends on the machine.
        resumed = tmp_path / f"resumed-{done}"
        found = kill_until_done(starter, system, resumed, range(done, kills))
        assert found, "it was killed at least once"
        incomplete += found
        assert_same_run(whole, resumed, range(2))
        assert_same_files(whole, resumed)
        assert not partial_files(resumed)
    # The test is only meaningful if a kill interrupted a write.
    assert any(incomplete)
