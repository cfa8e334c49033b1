"""How a link's codebook moved while it learned: RUN/history/seed-0.npz.

A file holds `step`, one a snapshot, `message`, which messages were kept, and
`codebook`, snapshots x messages x channel uses x 2. At most `MOST` snapshots are kept,
and always the same ones, however often the run was interrupted: what was taken after
the checkpoint that a run goes on from is replaced when that step is reached again.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from syntony.errors import InvalidInputError
from syntony.systems.link.link import Link
from syntony.training.atomic_io import atomic_write
from syntony.training.run_config import RunConfig
from syntony.training.run_folder import RunFolder
from syntony.training.safe_io import read_npz
from syntony.training.seed_scheduler import SeedRun

MAX_SNAPSHOTS = 100
"""Snapshots of a seed."""
MAX_SYMBOLS = 4096
"""Symbols of a snapshot; of larger codebooks evenly spaced messages are kept."""
MAX_HISTORY_BYTES = 4 * MAX_SNAPSHOTS * MAX_SYMBOLS * 2 * 4
"""A file that claims more is none of ours."""


class CodebookHistory(NamedTuple):
    """Snapshots of a codebook, oldest first."""

    step: Int[np.ndarray, " K"]
    message: Int[np.ndarray, " M"]
    codebook: Float[np.ndarray, "K M C 2"]


def history_path(folder: RunFolder, seed: int) -> Path:
    """Returns where the snapshots of a seed are, or would be."""
    return folder.history_dir / f"seed-{seed}.npz"


def record_snapshot(folder: RunFolder, config: RunConfig, seed_run: SeedRun) -> None:
    """Adds a snapshot of a seed as it is, if it is one of a link."""
    link, progress = config.system, seed_run.train_state
    if isinstance(link, Link) and progress is not None:
        codebook = np.asarray(link.codebook(progress.state.transmitter))
        add_snapshot(folder, config, seed_run.seed, seed_run.step, codebook)


def add_snapshot(
    folder: RunFolder,
    config: RunConfig,
    seed: int,
    step: int,
    codebook: Float[np.ndarray, "M C 2"],
) -> None:
    """Adds a snapshot, in place of all that were taken at this step or after it."""
    message = _message_subset(*codebook.shape[:2])
    try:
        taken = read_history(folder, seed)
    except InvalidInputError:
        # A picture's past is nothing to stop a run for.
        taken = None
    if taken is None or taken.codebook.shape[1:] != codebook[message].shape:
        empty = np.zeros((0, *codebook[message].shape), np.float32)
        taken = CodebookHistory(np.zeros(0, np.int64), message, empty)
    before = taken.step < step
    steps = np.append(taken.step[before], step)
    books = np.append(taken.codebook[before], codebook[message][None], axis=0)
    kept = keep_mask(config, steps)
    path = history_path(folder, seed)
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as file:
        np.savez(
            file,
            allow_pickle=False,
            step=steps[kept],
            message=message,
            codebook=books[kept].astype(np.float32),
        )


def keep_mask(config: RunConfig, steps: Int[np.ndarray, " K"]) -> np.ndarray:
    """Returns which snapshots are kept: every first, second, fourth ... evaluation."""
    evaluations = -(-config.steps // config.eval_every) + 1
    stride = 1
    while -(-evaluations // stride) > MAX_SNAPSHOTS:
        stride *= 2
    return (steps // config.eval_every) % stride == 0


def read_history(folder: RunFolder, seed: int) -> CodebookHistory | None:
    """Returns the snapshots of a seed; None if there are none.

    Raises:
        BadInput: the file is damaged, or holds something else.
    """
    path = history_path(folder, seed)
    try:
        arrays = read_npz(path, MAX_HISTORY_BYTES)
        found = CodebookHistory(*(arrays[name] for name in CodebookHistory._fields))
        _validate(found)
    except FileNotFoundError:
        return None
    except InvalidInputError:
        raise
    except (KeyError, ValueError) as failure:
        raise InvalidInputError(
            f"{path} is damaged ({type(failure).__name__})"
        ) from None
    return found


def _validate(history: CodebookHistory) -> None:
    step, message, codebook = history
    if [array.dtype.kind for array in history] != ["i", "i", "f"]:
        raise ValueError("other types")
    fits = codebook.shape[:2] == (*step.shape, *message.shape)
    fits = fits and step.ndim == message.ndim == 1
    if not fits or codebook.ndim != 4 or codebook.shape[-1] != 2:
        raise ValueError("shapes do not fit")
    if not np.isfinite(codebook).all():
        raise ValueError("no snapshots")


def _message_subset(messages: int, uses: int) -> Int[np.ndarray, " M"]:
    count = max(1, min(messages, MAX_SYMBOLS // uses))
    return np.linspace(0, messages - 1, count).round().astype(np.int64)
