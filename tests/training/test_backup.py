"""Backups of training states: chunks overwrite states, and no training is lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from toy_system import Toy

from syntony.errors import OutOfMemoryError
from syntony.training import recorder, seed_scheduler
from syntony.training.checkpoint import checkpoint_paths, checkpoint_step
from syntony.training.loop import resume, train
from syntony.training.seed_scheduler import ChunkResult, SeedRun

# With the check for NaN, JAX overwrites nothing.
pytestmark = pytest.mark.usefixtures("nans_allowed")

SHORT: Any = {"steps": 300, "eval_every": 100, "eval_episodes": 5, "quiet": True}
Chunk = tuple[SeedRun, ChunkResult]


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> list[Chunk]:
    """Of all chunks, each of one update: the seed before, and the result."""
    monkeypatch.setattr(seed_scheduler, "TARGET_CHUNK_SECONDS", 1e-9)
    found: list[Chunk] = []
    original = seed_scheduler.advance_seed

    def advance(config: Any, seed_run: SeedRun, *args: Any) -> ChunkResult:
        result = original(config, seed_run, *args)
        found.append((seed_run, result))
        return result

    monkeypatch.setattr(seed_scheduler, "advance_seed", advance)
    return found


def is_overwritten(seed_run: SeedRun) -> bool:
    return any(x.is_deleted() for x in jax.tree.leaves(seed_run.train_state))


def test_a_chunk_overwrites_a_state_that_has_a_backup(
    chunks: list[Chunk], tmp_path: Path
):
    train(Toy(), out=tmp_path / "run", **SHORT)
    later = [(before, result) for before, result in chunks if before.backup]
    assert len(later) > 100
    for before, result in later:
        assert is_overwritten(before)
        assert not any(
            x.is_deleted() for x in jax.tree.leaves(before.intact().train_state)
        )
        if result.metrics is None:
            assert result.seed_run.backup is not None
    # What was recorded while the next chunk ran.
    evaluated = [x.seed_run for _, x in chunks if x.metrics is not None]
    assert len(evaluated) == 4
    assert not any(map(is_overwritten, evaluated))


def test_seeds_that_wait_for_a_worker_have_one_state_each(
    chunks: list[Chunk], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    from syntony.training import loop
    from syntony.training.devices import worker_devices

    monkeypatch.setattr(loop, "worker_devices", lambda _: worker_devices(1))
    train(Toy(), out=tmp_path / "run", seeds=2, **SHORT)
    assert not any(before.backup for before, _ in chunks)
    assert not any(is_overwritten(before) for before, _ in chunks if before.train_state)


def test_short_memory_loses_no_more_than_the_time_since_the_backup(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    whole = train(Toy(), out=tmp_path / "whole", **SHORT)
    monkeypatch.setattr(seed_scheduler, "TARGET_CHUNK_SECONDS", 1e-9)
    original = seed_scheduler._advance_seed

    def advance(config: Any, seed_run: SeedRun, *args: Any) -> ChunkResult:
        result = original(config, seed_run, *args)
        if seed_run.step >= 150:
            assert is_overwritten(seed_run)
            raise MemoryError
        return result

    monkeypatch.setattr(seed_scheduler, "_advance_seed", advance)
    with pytest.raises(OutOfMemoryError, match="seed 0, step 10"):
        train(Toy(), out=tmp_path / "run", **SHORT)
    monkeypatch.undo()
    resumed = resume(tmp_path / "run", system=Toy(), quiet=True)
    np.testing.assert_array_equal(resumed.states[0].x, whole.states[0].x)


def test_checkpoints_between_evaluations_are_of_the_backup(
    chunks: list[Chunk],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    assert_same_run: Callable[..., None],
):
    train(Toy(), out=tmp_path / "whole", **SHORT)
    chunks.clear()
    monkeypatch.setattr(recorder, "CHECKPOINT_INTERVAL_SECONDS", -1.0)
    monkeypatch.setattr(seed_scheduler, "BACKUP_SECONDS", 0.01)
    saved: list[int] = []

    def record(self: Any, result: ChunkResult, row: Any) -> None:
        original(self, result, row)
        newest = checkpoint_paths(tmp_path / "run" / "checkpoints", 0)[0]
        saved.append(checkpoint_step(newest))
        assert saved[-1] <= result.seed_run.step

    original = recorder.RunRecorder.record
    monkeypatch.setattr(recorder.RunRecorder, "record", record)
    train(Toy(), out=tmp_path / "run", **SHORT)
    assert len({*saved}) > 4
    assert_same_run(tmp_path / "whole", tmp_path / "run", range(1))
