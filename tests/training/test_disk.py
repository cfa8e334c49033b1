"""Disks that are full, and disks that cannot be written to."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from toy_system import Toy

from syntony.errors import InvalidInputError
from syntony.training import checkpoint, metrics_log
from syntony.training.loop import resume, train
from syntony.training.run import load
from syntony.training.signals import SaveError

OPTIONS: dict[str, Any] = {"seeds": 2, "eval_every": 100, "eval_episodes": 5}
Same = Callable[[Path, Path, range], None]


def begun(path: Path, steps: int = 200) -> Path:
    train(Toy(), steps=steps, out=path, quiet=True, **OPTIONS)
    return path


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Lets no file grow beyond some bytes: what is written is cut off there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def failing(real: Callable[[int], None], calls: int) -> Callable[[int], None]:
    """Returns an `fsync` that finds the disk full after some calls."""
    left = [calls]

    def fsync(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    return fsync


@pytest.mark.parametrize("calls", [0, 2, 5, 16])
def test_a_full_disk_leaves_what_was_saved(
    calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: Same
):
    whole = begun(tmp_path / "whole", 400)
    path = begun(tmp_path / "run")
    monkeypatch.setattr(os, "fsync", failing(os.fsync, calls))
    with pytest.raises(SaveError, match=r"No space left .* syntony resume .*/run$"):
        resume(path, steps=400, system=Toy(), quiet=True)
    monkeypatch.undo()
    assert not list(path.rglob("*.part"))
    assert min(load(path, system=Toy()).steps.values()) >= 200
    resume(path, steps=400, system=Toy(), quiet=True)
    same(whole, path, range(2))


def test_a_line_that_is_cut_off_is_written_again(tmp_path: Path, same: Same):
    whole = begun(tmp_path / "whole", 2000)
    path = begun(tmp_path / "run")
    metrics = path / "metrics.jsonl"
    with room_for(5000), pytest.raises(SaveError, match="File too large"):
        resume(path, steps=2000, system=Toy(), quiet=True)
    assert metrics.stat().st_size == 5000
    assert not metrics.read_bytes().endswith(b"\n")
    resume(path, steps=2000, system=Toy(), quiet=True)
    same(whole, path, range(2))


def test_a_disk_that_is_full_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "fsync", failing(os.fsync, 0))
    with pytest.raises(
        SaveError, match=r"settings\.json|run: No space left on device$"
    ):
        begun(tmp_path / "run")
    monkeypatch.undo()
    # Nothing is in the way of the same command, once there is room.
    begun(tmp_path / "run")
    assert len(metrics_log.read_rows(tmp_path / "run" / "metrics.jsonl")) == 6


def test_a_disk_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = begun(tmp_path / "run")
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    opening = os.open

    def read_only(name: Any, flags: int, *mode: int, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and str(path) in str(name):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(name))
        return opening(name, flags, *mode, **more)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(
        InvalidInputError, match=r"cannot write to .*/run: Read-only file system"
    ):
        resume(path, steps=400, system=Toy(), quiet=True)
    assert load(path, system=Toy()).evaluate(episodes=10)
    monkeypatch.undo()
    after = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    assert before == after


def test_what_is_replaced_while_it_is_read_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = begun(tmp_path / "run")
    folder, reading = path / "checkpoints", checkpoint.load_checkpoint
    newest, older = checkpoint.checkpoint_paths(folder, 0)
    gone: list[Path] = []

    def slow(file: Path, like: Any) -> checkpoint.Checkpoint:
        if not gone:
            # As a run does that goes on: both that were there make room for others.
            gone.extend([newest, older])
            newest.rename(checkpoint.checkpoint_path(folder, 0, 900))
            older.unlink()
        return reading(file, like)

    monkeypatch.setattr(checkpoint, "load", slow)
    assert load(path, system=Toy()).steps[0] == 900
