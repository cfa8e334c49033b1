"""The lock file names its owner, and how the owner ended."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toy_system import Toy

from syntony.errors import InvalidInputError
from syntony.training.locks import (
    RunMovedError,
    exclusive_lock,
    read_exit_status,
    read_lock_owner,
)
from syntony.training.loop import resume, train
from syntony.training.metrics_log import read_rows
from syntony.training.run import Run


def test_the_owner_is_named_while_the_lock_is_held(tmp_path: Path):
    path = tmp_path / ".lock"
    with exclusive_lock(path):
        owner = read_lock_owner(path)
        assert owner is not None
        assert (owner.pid, owner.host) == (os.getpid(), socket.gethostname())
        assert owner.is_local()
        assert owner.is_alive()
        assert read_exit_status(path) is None
    assert read_lock_owner(path) is None
    assert read_exit_status(path) == "finished"


def test_the_exit_status_is_left(tmp_path: Path):
    path = tmp_path / ".lock"
    with pytest.raises(ZeroDivisionError), exclusive_lock(path):
        raise ZeroDivisionError
    assert read_exit_status(path) == "stopped"


def test_the_error_names_the_other_process(tmp_path: Path):
    path = tmp_path / ".lock"
    code = """
import sys
from pathlib import Path
from syntony.training.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        expected = f"in use by process {other.pid} on {socket.gethostname()}$"
        with pytest.raises(InvalidInputError, match=expected), exclusive_lock(path):
            pass
        other.kill()
        other.wait()
    # The lock of a killed process is released; its name is left in the file.
    owner = read_lock_owner(path)
    assert owner is not None
    assert not owner.is_alive()
    with exclusive_lock(path):
        pass


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", '{"pid": 1}', "[" * 900, "\udcff", "x" * 2000),
        '{"pid": -1, "host": "a", "inode": 1}',
        '{"pid": 1, "host": "a\\u001b[31m", "inode": 1}',
        '{"pid": 1, "host": ["a"], "inode": 1}',
    ],
)
def test_invalid_content_names_no_owner(text: str, tmp_path: Path):
    path = tmp_path / ".lock"
    path.write_text(text, errors="surrogateescape")
    assert read_lock_owner(path) is None
    assert read_exit_status(path) is None
    with exclusive_lock(path):
        assert read_lock_owner(path) is not None


@pytest.mark.parametrize("newcomer", [True, False])
def test_a_run_folder_that_is_moved_is_left_alone(newcomer: bool, tmp_path: Path):
    """The process stops; neither the moved run nor the one in its place changes."""
    path, moved, other = tmp_path / "run", tmp_path / "moved", tmp_path / "other"
    options: dict[str, Any] = {"eval_every": 20, "eval_episodes": 2, "quiet": True}
    whole = train(Toy(), steps=60, out=tmp_path / "whole", **options).path
    if newcomer:
        train(Toy(size=2), steps=20, out=other, **options)
    contents: dict[Path, bytes] = {}

    def move(run: Run, step: int, metrics: dict[str, Any]) -> None:
        del run, metrics
        if step >= 20 and not moved.exists():
            path.rename(moved)
            if newcomer:
                other.rename(path)
            contents.update(read_all(path) | read_all(moved))

    with pytest.raises(RunMovedError, match="was moved, replaced or deleted"):
        train(Toy(), steps=60, out=path, callbacks=[move], **options)
    assert read_all(path) | read_all(moved) == contents
    resumed = resume(moved, quiet=True, system=Toy()).path
    assert sorted_rows(resumed) == sorted_rows(whole)


def read_all(folder: Path) -> dict[Path, bytes]:
    """Contents of all files below a folder, but what the lock says."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in files if path.name != ".lock"}


def sorted_rows(path: Path) -> list[tuple[int, float]]:
    rows = read_rows(path / "metrics.jsonl")
    return sorted((row["step"], row["eval/return_mean"]) for row in rows)
