"""Full and read-only disks."""

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
AssertSame = Callable[[Path, Path, range], None]


def train_toy(path: Path, steps: int = 200) -> Path:
    train(Toy(), steps=steps, out=path, quiet=True, **OPTIONS)
    return path


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Limits the size of files in bytes: writing beyond it fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def failing_fsync(real: Callable[[int], None], calls: int) -> Callable[[int], None]:
    """Makes an `fsync` that reports a full disk after some calls."""
    remaining = [calls]

    def fsync(descriptor: int) -> None:
        remaining[0] -= 1
        if remaining[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    return fsync


@pytest.mark.parametrize("calls", [0, 2, 5, 16])
def test_a_full_disk_keeps_saved_files(
    calls: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_run: AssertSame,
):
    whole = train_toy(tmp_path / "whole", 400)
    path = train_toy(tmp_path / "run")
    monkeypatch.setattr(os, "fsync", failing_fsync(os.fsync, calls))
    with pytest.raises(SaveError, match=r"No space left .* syntony resume .*/run$"):
        resume(path, steps=400, system=Toy(), quiet=True)
    monkeypatch.undo()
    assert not list(path.rglob("*.part"))
    assert min(load(path, system=Toy()).steps.values()) >= 200
    resume(path, steps=400, system=Toy(), quiet=True)
    assert_same_run(whole, path, range(2))


def test_an_incomplete_row_is_written_again(
    tmp_path: Path, assert_same_run: AssertSame
):
    whole = train_toy(tmp_path / "whole", 2000)
    path = train_toy(tmp_path / "run")
    metrics = path / "metrics.jsonl"
    with file_size_limit(5000), pytest.raises(SaveError, match="File too large"):
        resume(path, steps=2000, system=Toy(), quiet=True)
    assert metrics.stat().st_size == 5000
    assert not metrics.read_bytes().endswith(b"\n")
    resume(path, steps=2000, system=Toy(), quiet=True)
    assert_same_run(whole, path, range(2))


def test_a_disk_that_is_full_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "fsync", failing_fsync(os.fsync, 0))
    with pytest.raises(
        SaveError, match=r"settings\.json|run: No space left on device$"
    ):
        train_toy(tmp_path / "run")
    monkeypatch.undo()
    # The same command succeeds once there is space.
    train_toy(tmp_path / "run")
    assert len(metrics_log.read_rows(tmp_path / "run" / "metrics.jsonl")) == 6


def test_a_read_only_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = train_toy(tmp_path / "run")
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    original = os.open

    def read_only(name: Any, flags: int, *mode: int, **kwargs: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and str(path) in str(name):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(name))
        return original(name, flags, *mode, **kwargs)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(
        InvalidInputError, match=r"cannot write to .*/run: Read-only file system"
    ):
        resume(path, steps=400, system=Toy(), quiet=True)
    assert load(path, system=Toy()).evaluate(episodes=10)
    monkeypatch.undo()
    after = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    assert before == after


def test_checkpoints_that_are_replaced_while_reading_are_listed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = train_toy(tmp_path / "run")
    folder, original = path / "checkpoints", checkpoint.load_checkpoint
    newest, older = checkpoint.checkpoint_paths(folder, 0)
    deleted: list[Path] = []

    def replace_then_load(file: Path, like: Any, **options: Any) -> Any:
        if not deleted:
            # As a running process does: both checkpoints are replaced.
            deleted.extend([newest, older])
            state = original(newest, like).tree
            newest.unlink()
            older.unlink()
            checkpoint.save_checkpoint(folder, 0, 900, state, wall_s=0.0)
        return original(file, like, **options)

    monkeypatch.setattr(checkpoint, "load_checkpoint", replace_then_load)
    assert load(path, system=Toy()).steps[0] == 900
