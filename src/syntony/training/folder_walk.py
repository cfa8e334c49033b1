"""Walk through the folder of a run or study before anything in it is opened or written.

Such a folder may be from anyone. Names that a run never has are ignored and never
opened. Those that it has must be regular files and folders, of bounded sizes.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from syntony.errors import InvalidInputError, visible

MAX_SETTINGS_BYTES = 2**20
"""Bytes of `settings.json`; a thousand times the usual size."""
MAX_LOG_BYTES = 2**30
"""Bytes of a metrics log; enough for a million evaluations."""
MAX_ARRAY_BYTES = 2**40
"""Bytes of a file of arrays; the settings give a closer bound where they are read."""
MAX_ENTRIES = 200_000
"""Most files of one folder."""
MAX_STUDY_BYTES = 2**22
"""Bytes of `study.json`, which has a few entries for each system and task."""
MAX_JOURNAL_BYTES = 2**27
"""Bytes of the journal of a study; enough for 100,000 trials."""
MAX_SEARCH_BYTES = 2**28
"""Bytes of Optuna's journal."""

ARRAYS = re.compile(r".*\.npz")
PICTURES = re.compile(r".*\.(svg|png|pdf|gif|mp4|webm|html)")
EVENTS = re.compile(r"events\.out\.tfevents\..*")
SEED_FOLDER = re.compile(r"seed-\d+")
FILES = {
    re.compile(r"settings\.json|\.lock|wandb-id"): MAX_SETTINGS_BYTES,
    re.compile(r"metrics\.jsonl|report\.html|evaluation\.json"): MAX_LOG_BYTES,
    re.compile(r"codebook(-seed\d+)?\.csv"): MAX_LOG_BYTES,
    re.compile(r"model\.npz"): MAX_ARRAY_BYTES,
}
"""Names of a run's files, and the most bytes of each."""
FOLDERS: dict[str, Mapping[re.Pattern[str], int]] = {
    "checkpoints": {ARRAYS: MAX_ARRAY_BYTES},
    "history": {ARRAYS: MAX_ARRAY_BYTES},
    "figures": {PICTURES: MAX_LOG_BYTES},
    "tensorboard": {},
    "wandb": {},
    "reference": {},
}
"""Names of a run's folders, and those of the files in each."""
STUDY_FILES = {
    re.compile(r"study\.json"): MAX_STUDY_BYTES,
    re.compile(r"trials\.jsonl"): MAX_JOURNAL_BYTES,
    re.compile(r"search\.log"): MAX_SEARCH_BYTES,
    re.compile(r"report\.html"): MAX_LOG_BYTES,
    re.compile(r"\.lock|\.shared"): MAX_SETTINGS_BYTES,
}
"""Names of a study's files, and the most bytes of each."""
STUDY_FOLDERS = ("trials", "logs", "slurm")
LOGS = re.compile(r".*\.log")


def check_run_folder(path: Path) -> None:
    """Checks what a run folder contains, without opening any file.

    Args:
        path: the run folder; it may be a link itself, as the user named it.

    Raises:
        InvalidInputError: a file or folder of a run is a link, a pipe or a device, or
            too large, or there are too many.
        OSError: a folder cannot be read.
    """
    if not path.is_dir():
        return
    for entry in _entries(path):
        if entry.name in FOLDERS:
            _require_folder(entry)
            for inner in _entries(Path(entry)):
                _check_inner(entry.name, inner)
        else:
            _check_file(entry, FILES)


def check_study_folder(path: Path) -> None:
    """Checks what the folder of a study contains, without opening any file.

    What its run folders contain is checked when each is read: see `check_run_folder`.

    Args:
        path: the study folder; it may be a link itself, as the user named it.

    Raises:
        InvalidInputError, OSError: as for `check_run_folder`.
    """
    if not path.is_dir():
        return
    for entry in _entries(path):
        if entry.name not in STUDY_FOLDERS:
            _check_file(entry, STUDY_FILES)
            continue
        _require_folder(entry)
        if entry.name == "trials":
            for trial in _entries(Path(entry)):
                _require_folder(trial)
        elif entry.name == "logs":
            for log in _entries(Path(entry)):
                _check_file(log, {LOGS: MAX_ARRAY_BYTES})


def _check_inner(folder: str, entry: os.DirEntry[str]) -> None:
    """Checks an entry of one of a run's folders."""
    if folder == "tensorboard" and SEED_FOLDER.fullmatch(entry.name):
        _require_folder(entry)
        for events in _entries(Path(entry)):
            _check_file(events, {EVENTS: MAX_ARRAY_BYTES})
    else:
        _check_file(entry, FOLDERS[folder])


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            if count == MAX_ENTRIES:
                raise InvalidInputError(
                    f"{folder} holds more than {MAX_ENTRIES:,} files; expected fewer"
                )
            yield entry


def _require_folder(entry: os.DirEntry[str]) -> None:
    if entry.is_symlink():
        raise _link_error(entry)
    if not entry.is_dir(follow_symlinks=False):
        raise InvalidInputError(f"{visible(entry.path)} is no folder; expected one")


def _check_file(
    entry: os.DirEntry[str], max_bytes: Mapping[re.Pattern[str], int]
) -> None:
    """Checks an entry if it has one of these names; others are ignored."""
    bound = next((n for x, n in max_bytes.items() if x.fullmatch(entry.name)), None)
    if bound is None:
        return
    if entry.is_symlink():
        raise _link_error(entry)
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        # A process that trains the run has replaced it.
        return
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInputError(f"{visible(entry.path)} is not a regular file")
    if status.st_size > bound:
        size = f"{status.st_size:,} bytes; expected at most {bound:,}"
        raise InvalidInputError(f"{visible(entry.path)} is too large: {size}")


def _link_error(entry: os.DirEntry[str]) -> InvalidInputError:
    return InvalidInputError(
        f"{visible(entry.path)} is a symbolic link; expected a file or folder"
    )
