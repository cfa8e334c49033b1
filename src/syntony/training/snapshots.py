"""Snapshots of a system during training: RUN/history/seed-0.npz.

A file holds `step` (one per snapshot) and the arrays of the system's `snapshot`,
stacked on a new first axis. At most `MAX_SNAPSHOTS` snapshots are kept, and an
interrupted run keeps the same ones as an uninterrupted run: snapshots later than the
checkpoint from which a run resumes are replaced when training reaches those steps
again.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int, Shaped

from syntony.errors import InvalidInputError
from syntony.systems.system import HasSnapshots
from syntony.training.atomic_io import atomic_savez, make_folder
from syntony.training.integrity import (
    HASH_KEY,
    array_digest,
    check_history,
    encode_comment,
)
from syntony.training.run_config import RunConfig
from syntony.training.run_folder import RunFolder
from syntony.training.safe_io import read_npz_and_comment
from syntony.training.seed_scheduler import SeedRun

MAX_SNAPSHOTS = 100
"""Most snapshots per seed."""
MAX_SNAPSHOT_BYTES = 2**17
"""Most bytes of one snapshot."""
MAX_ARRAYS = 64
"""Most arrays of one snapshot."""
MAX_FILE_BYTES = 2 * MAX_SNAPSHOTS * MAX_SNAPSHOT_BYTES
"""Larger files are rejected; a file may hold a few snapshots more than are kept."""
STEP = "step"
"""Name of the steps in a file."""

ArraysByName = Mapping[str, Shaped[np.ndarray, "..."]]


class SnapshotHistory(NamedTuple):
    """Snapshots of one seed, oldest first."""

    step: Int[np.ndarray, " K"]
    arrays: dict[str, Shaped[np.ndarray, "K ..."]]
    """Arrays by name, one entry of the first axis per snapshot."""


def record_snapshot(folder: RunFolder, config: RunConfig, seed_run: SeedRun) -> None:
    """Adds a snapshot of a seed's current state, if the system has snapshots.

    Raises:
        InvalidInputError: the snapshot is too large, or one of its names is reserved.
    """
    system, train_state = config.system, seed_run.train_state
    if isinstance(system, HasSnapshots) and train_state is not None:
        snapshot = jax.device_get(dict(system.snapshot(train_state.state)))
        arrays = {name: np.asarray(array) for name, array in snapshot.items()}
        _validate_snapshot(arrays)
        add_snapshot(folder, config, seed_run.seed, seed_run.step, arrays)


def add_snapshot(
    folder: RunFolder, config: RunConfig, seed: int, step: int, snapshot: ArraysByName
) -> None:
    """Adds a snapshot and drops those of the same or later steps."""
    try:
        history = read_history(folder, seed)
    except InvalidInputError:
        # Only pictures need the history: a damaged file must not end the training.
        history = None
    if history is None or not _same_layout(history, snapshot):
        empty = {n: np.zeros((0, *x.shape), x.dtype) for n, x in snapshot.items()}
        history = SnapshotHistory(np.zeros(0, np.int64), empty)
    earlier = history.step < step
    steps = np.append(history.step[earlier], step)
    kept = keep_mask(config, steps)
    stacked = {
        name: np.concatenate([history.arrays[name][earlier], array[None]])[kept]
        for name, array in snapshot.items()
    }
    make_folder(folder.history_dir)
    arrays = {STEP: steps[kept], **stacked}
    digest = {"seed": seed, HASH_KEY: array_digest(arrays).tobytes()}
    atomic_savez(folder.history_path(seed), arrays, encode_comment(digest))


def keep_mask(config: RunConfig, steps: Int[np.ndarray, " K"]) -> np.ndarray:
    """Mask of the snapshots to keep: those of every 1st, 2nd, 4th ... evaluation.

    The stride is the smallest power of two that keeps at most `MAX_SNAPSHOTS`.
    """
    evaluations = -(-config.steps // config.eval_every) + 1
    stride = 1
    while -(-evaluations // stride) > MAX_SNAPSHOTS:
        stride *= 2
    return (steps // config.eval_every) % stride == 0


def read_history(folder: RunFolder, seed: int) -> SnapshotHistory | None:
    """Reads the snapshots of a seed; None if there is no file.

    Raises:
        InvalidInputError: the file is damaged, or has another content.
    """
    path = folder.history_path(seed)
    try:
        arrays, comment = read_npz_and_comment(path, MAX_FILE_BYTES)
        check_history(path, array_digest(arrays).tobytes().hex(), comment)
        history = SnapshotHistory(arrays.pop(STEP), arrays)
        _validate(history)
    except FileNotFoundError:
        return None
    except InvalidInputError:
        raise
    except (KeyError, ValueError) as error:
        raise InvalidInputError(f"{path} is damaged ({type(error).__name__})") from None
    return history


def _validate_snapshot(snapshot: ArraysByName) -> None:
    """Raises InvalidInputError if a system's snapshot cannot be stored."""
    if STEP in snapshot:
        raise InvalidInputError(
            f"a snapshot has an array {STEP!r}, which is reserved; expected other names"
        )
    if any(array.dtype.kind not in "biuf" for array in snapshot.values()):
        raise InvalidInputError("a snapshot holds other values than real numbers")
    size = sum(array.nbytes for array in snapshot.values())
    if size > MAX_SNAPSHOT_BYTES or len(snapshot) > MAX_ARRAYS:
        raise InvalidInputError(
            f"a snapshot has {len(snapshot)} arrays of {size:,} bytes; expected at "
            f"most {MAX_ARRAYS} arrays and {MAX_SNAPSHOT_BYTES:,} bytes"
        )


def _same_layout(history: SnapshotHistory, snapshot: ArraysByName) -> bool:
    """Whether a snapshot has the names, shapes and types of those of a history."""
    stored = {n: (x.shape[1:], x.dtype) for n, x in history.arrays.items()}
    return stored == {n: (x.shape, x.dtype) for n, x in snapshot.items()}


def _validate(history: SnapshotHistory) -> None:
    """Raises ValueError if the arrays of a file are not those of snapshots."""
    if history.step.dtype.kind != "i" or history.step.ndim != 1:
        raise ValueError("wrong steps")
    for array in history.arrays.values():
        if array.dtype.kind not in "biuf":
            raise ValueError("wrong types")
        if array.shape[:1] != history.step.shape:
            raise ValueError("shapes do not match")
        if not np.isfinite(array).all():
            raise ValueError("not finite")
