"""Snapshots of a link's codebook during training: RUN/history/seed-0.npz.

A file holds `step` (one per snapshot), `message` (the messages that are stored) and
`codebook` (snapshots x messages x channel uses x 2). At most `MAX_SNAPSHOTS` snapshots
are kept, and an interrupted run keeps the same ones as an uninterrupted run: snapshots
later than the checkpoint from which a run resumes are replaced when training reaches
those steps again.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from syntony.errors import InvalidInputError
from syntony.systems.link.link import Link
from syntony.training.atomic_io import atomic_savez
from syntony.training.run_config import RunConfig
from syntony.training.run_folder import RunFolder
from syntony.training.safe_io import read_npz
from syntony.training.seed_scheduler import SeedRun

MAX_SNAPSHOTS = 100
"""Most snapshots per seed."""
MAX_SYMBOLS = 4096
"""Most symbols per snapshot; of larger codebooks evenly spaced messages are kept."""
MAX_HISTORY_BYTES = 4 * MAX_SNAPSHOTS * MAX_SYMBOLS * 2 * 4
"""Larger files are rejected."""


class CodebookHistory(NamedTuple):
    """Snapshots of a codebook, oldest first."""

    step: Int[np.ndarray, " K"]
    message: Int[np.ndarray, " M"]
    codebook: Float[np.ndarray, "K M C 2"]


def record_snapshot(folder: RunFolder, config: RunConfig, seed_run: SeedRun) -> None:
    """Adds a snapshot of a seed's current codebook, if the system is a link."""
    link, train_state = config.system, seed_run.train_state
    if isinstance(link, Link) and train_state is not None:
        codebook = np.asarray(link.codebook(train_state.state.transmitter))
        add_snapshot(folder, config, seed_run.seed, seed_run.step, codebook)


def add_snapshot(
    folder: RunFolder,
    config: RunConfig,
    seed: int,
    step: int,
    codebook: Float[np.ndarray, "M C 2"],
) -> None:
    """Adds a snapshot and drops those of the same or later steps."""
    message = _message_subset(*codebook.shape[:2])
    try:
        history = read_history(folder, seed)
    except InvalidInputError:
        # Only pictures need the history: a damaged file must not end the training.
        history = None
    if history is None or history.codebook.shape[1:] != codebook[message].shape:
        empty = np.zeros((0, *codebook[message].shape), np.float32)
        history = CodebookHistory(np.zeros(0, np.int64), message, empty)
    earlier = history.step < step
    steps = np.append(history.step[earlier], step)
    codebooks = np.append(history.codebook[earlier], codebook[message][None], axis=0)
    kept = keep_mask(config, steps)
    folder.history_dir.mkdir(exist_ok=True)
    updated = CodebookHistory(steps[kept], message, codebooks[kept].astype(np.float32))
    atomic_savez(folder.history_path(seed), updated._asdict())


def keep_mask(config: RunConfig, steps: Int[np.ndarray, " K"]) -> np.ndarray:
    """Mask of the snapshots to keep: those of every 1st, 2nd, 4th ... evaluation.

    The stride is the smallest power of two that keeps at most `MAX_SNAPSHOTS`.
    """
    evaluations = -(-config.steps // config.eval_every) + 1
    stride = 1
    while -(-evaluations // stride) > MAX_SNAPSHOTS:
        stride *= 2
    return (steps // config.eval_every) % stride == 0


def read_history(folder: RunFolder, seed: int) -> CodebookHistory | None:
    """Reads the snapshots of a seed; None if there is no file.

    Raises:
        InvalidInputError: the file is damaged, or has another content.
    """
    path = folder.history_path(seed)
    try:
        arrays = read_npz(path, MAX_HISTORY_BYTES)
        history = CodebookHistory(*(arrays[name] for name in CodebookHistory._fields))
        _validate(history)
    except FileNotFoundError:
        return None
    except InvalidInputError:
        raise
    except (KeyError, ValueError) as error:
        raise InvalidInputError(f"{path} is damaged ({type(error).__name__})") from None
    return history


def _validate(history: CodebookHistory) -> None:
    step, message, codebook = history
    if [array.dtype.kind for array in history] != ["i", "i", "f"]:
        raise ValueError("wrong types")
    consistent = codebook.shape[:2] == (*step.shape, *message.shape)
    consistent = consistent and step.ndim == message.ndim == 1
    if not consistent or codebook.ndim != 4 or codebook.shape[-1] != 2:
        raise ValueError("shapes do not match")
    if not np.isfinite(codebook).all():
        raise ValueError("not finite")


def _message_subset(messages: int, uses: int) -> Int[np.ndarray, " M"]:
    count = max(1, min(messages, MAX_SYMBOLS // uses))
    return np.linspace(0, messages - 1, count).round().astype(np.int64)
