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

from syntony.errors import BadInput
from syntony.run.atomic import replacing
from syntony.run.folder import Folder
from syntony.run.lanes import Lane
from syntony.run.plan import Plan
from syntony.run.reading import read_arrays
from syntony.systems.link import Link

MOST = 100
"""Snapshots of a seed."""
MOST_SYMBOLS = 4096
"""Symbols of a snapshot; of larger codebooks evenly spaced messages are kept."""
MOST_BYTES = 4 * MOST * MOST_SYMBOLS * 2 * 4
"""A file that claims more is none of ours."""


class History(NamedTuple):
    """Snapshots of a codebook, oldest first."""

    step: Int[np.ndarray, " K"]
    message: Int[np.ndarray, " M"]
    codebook: Float[np.ndarray, "K M C 2"]


def path_of(folder: Folder, seed: int) -> Path:
    """Returns where the snapshots of a seed are, or would be."""
    return folder.history / f"seed-{seed}.npz"


def record(folder: Folder, plan: Plan, lane: Lane) -> None:
    """Adds a snapshot of a seed as it is, if it is one of a link."""
    link, progress = plan.system, lane.progress
    if isinstance(link, Link) and progress is not None:
        codebook = np.asarray(link.codebook(progress.state.transmitter))
        add(folder, plan, lane.seed, lane.step, codebook)


def add(
    folder: Folder,
    plan: Plan,
    seed: int,
    step: int,
    codebook: Float[np.ndarray, "M C 2"],
) -> None:
    """Adds a snapshot, in place of all that were taken at this step or after it."""
    message = _kept_messages(*codebook.shape[:2])
    try:
        taken = read(folder, seed)
    except BadInput:
        # A picture's past is nothing to stop a run for.
        taken = None
    if taken is None or taken.codebook.shape[1:] != codebook[message].shape:
        empty = np.zeros((0, *codebook[message].shape), np.float32)
        taken = History(np.zeros(0, np.int64), message, empty)
    before = taken.step < step
    steps = np.append(taken.step[before], step)
    books = np.append(taken.codebook[before], codebook[message][None], axis=0)
    kept = is_kept(plan, steps)
    path = path_of(folder, seed)
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as file:
        np.savez(
            file,
            allow_pickle=False,
            step=steps[kept],
            message=message,
            codebook=books[kept].astype(np.float32),
        )


def is_kept(plan: Plan, steps: Int[np.ndarray, " K"]) -> np.ndarray:
    """Returns which snapshots are kept: every first, second, fourth ... evaluation."""
    evaluations = -(-plan.steps // plan.eval_every) + 1
    stride = 1
    while -(-evaluations // stride) > MOST:
        stride *= 2
    return (steps // plan.eval_every) % stride == 0


def read(folder: Folder, seed: int) -> History | None:
    """Returns the snapshots of a seed; None if there are none.

    Raises:
        BadInput: the file is damaged, or holds something else.
    """
    path = path_of(folder, seed)
    try:
        arrays = read_arrays(path, MOST_BYTES)
        found = History(*(arrays[name] for name in History._fields))
        _check(found)
    except FileNotFoundError:
        return None
    except BadInput:
        raise
    except (KeyError, ValueError) as failure:
        raise BadInput(f"{path} is damaged ({type(failure).__name__})") from None
    return found


def _check(found: History) -> None:
    step, message, codebook = found
    if [array.dtype.kind for array in found] != ["i", "i", "f"]:
        raise ValueError("other types")
    fits = codebook.shape[:2] == (*step.shape, *message.shape)
    fits = fits and step.ndim == message.ndim == 1
    if not fits or codebook.ndim != 4 or codebook.shape[-1] != 2:
        raise ValueError("shapes do not fit")
    if not np.isfinite(codebook).all():
        raise ValueError("no snapshots")


def _kept_messages(messages: int, uses: int) -> Int[np.ndarray, " M"]:
    count = max(1, min(messages, MOST_SYMBOLS // uses))
    return np.linspace(0, messages - 1, count).round().astype(np.int64)
