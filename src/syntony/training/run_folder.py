"""The run folder: paths of its files, reading, writing and locking."""

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from syntony.errors import InvalidInputError, visible
from syntony.number_parsing import quote
from syntony.training.atomic_io import (
    TEMP_NAME,
    atomic_savez,
    atomic_write_bytes,
    make_folder,
)
from syntony.training.folder_walk import MAX_SETTINGS_BYTES, check_run_folder
from syntony.training.integrity import HASH_KEY, entries_digest
from syntony.training.locks import HeldLock, exclusive_lock
from syntony.training.safe_io import JsonObject, read_json, visible_json

INCOMPLETE_RUN_FILES = {".lock", "checkpoints"}
"""Files of a run that was killed before its settings were written."""


@dataclass(frozen=True)
class RunFolder:
    """Paths and files of a run."""

    path: Path

    @property
    def settings_path(self) -> Path:
        """Configuration and provenance of the run."""
        return self.path / "settings.json"

    @property
    def metrics_path(self) -> Path:
        """Metrics, one line per evaluation of a seed."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints_dir(self) -> Path:
        """Complete training states, from which the run can be resumed."""
        return self.path / "checkpoints"

    @property
    def model_path(self) -> Path:
        """Final parameters by name, those of seed 0 under `seed0/`."""
        return self.path / "model.npz"

    @property
    def history_dir(self) -> Path:
        """Snapshots of the system during training, one file per seed."""
        return self.path / "history"

    def history_path(self, seed: int) -> Path:
        """Snapshots of one seed."""
        return self.history_dir / f"seed-{seed}.npz"

    @property
    def tensorboard_dir(self) -> Path:
        """Event files of TensorBoard, if that logger is enabled."""
        return self.path / "tensorboard"

    @property
    def lock_path(self) -> Path:
        """Lock file; names the process that trains the run."""
        return self.path / ".lock"

    def contains_run(self) -> bool:
        """Whether the folder contains a run: its `settings.json`."""
        return self.settings_path.is_file()

    def checkpoint_bytes(self) -> int:
        """Size of all checkpoints, in bytes; zero where there are none."""
        return sum(x.lstat().st_size for x in self.checkpoints_dir.glob("*.npz"))

    def read_settings(self) -> JsonObject:
        """Reads `settings.json`; before, checks what the whole folder contains.

        Control characters in it are made visible: they may reach a terminal.

        Raises:
            InvalidInputError: the file does not exist, or is not a JSON object, or
                the folder contains what no run does, e.g. a link.
        """
        if not self.path.exists():
            raise InvalidInputError(
                f"there is no run {self.path}; expected a run's folder"
            )
        if not self.contains_run():
            raise InvalidInputError(
                f"{self.path} is not the folder of a run: no settings.json"
            )
        self.check_content()
        settings = read_json(self.settings_path, MAX_SETTINGS_BYTES)
        if not isinstance(settings, dict):
            raise InvalidInputError(f"{self.settings_path} holds no JSON object")
        shown = {visible(key): visible_json(x) for key, x in settings.items()}
        return {key: value for key, value in shown.items() if key != HASH_KEY}

    def write_settings(self, settings: Mapping[str, object]) -> None:
        """Replaces `settings.json`; its last entry is a digest of the others."""
        content = {**settings, HASH_KEY: entries_digest(settings)}
        atomic_write_bytes(self.settings_path, encode_settings(content))

    def write_model(self, weights: Mapping[str, np.ndarray]) -> None:
        """Replaces `model.npz`."""
        atomic_savez(self.model_path, weights)

    def write_csv(self, name: str, table: Float[np.ndarray, "rows ..."]) -> None:
        """Writes a file of comma-separated values, one line per row."""
        text = io.StringIO()
        np.savetxt(text, table.reshape(len(table), -1), fmt="%.9g", delimiter=",")
        atomic_write_bytes(self.path / name, text.getvalue().encode())

    @contextmanager
    def acquire_lock(self) -> Iterator[HeldLock]:
        """Creates the folder and locks it against all other processes.

        Raises:
            InvalidInputError: the folder cannot be created or written, is in use, or
                contains other files and no run.
        """
        try:
            self._reject_foreign_files()
            self.check_content()
            self.path.mkdir(parents=True, exist_ok=True)
            make_folder(self.checkpoints_dir)
            lock = ExitStack()
            held = lock.enter_context(exclusive_lock(self.lock_path))
        except OSError as error:
            reason = error.strerror
            raise InvalidInputError(f"cannot write to {self.path}: {reason}") from None
        with lock:
            self._remove_partial_files()
            yield held

    def check_content(self) -> None:
        """Checks what the folder contains, before anything in it is opened or written.

        Raises:
            InvalidInputError: see `check_run_folder`.
        """
        try:
            check_run_folder(self.path)
        except OSError as error:
            raise InvalidInputError(
                f"{self.path} cannot be read: {error.strerror}"
            ) from None

    def _reject_foreign_files(self) -> None:
        if self.contains_run() or not self.path.is_dir():
            return
        names = {path.name for path in self.path.iterdir()}
        names = {name for name in names if not TEMP_NAME.fullmatch(name)}
        if foreign := names - INCOMPLETE_RUN_FILES:
            raise InvalidInputError(
                f"{self.path} holds {min(foreign)!r} and no run; expected a run's "
                "folder, or an empty or new one"
            )

    def _remove_partial_files(self) -> None:
        """Deletes incomplete files of a killed process."""
        for folder in (self.path, self.checkpoints_dir, self.history_dir):
            for part in folder.glob(".syntony-*.part"):
                if TEMP_NAME.fullmatch(part.name):
                    part.unlink()


def encode_settings(settings: Mapping[str, object]) -> bytes:
    """Text of `settings.json`."""
    text = json.dumps(settings, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def open_run_folder(path: str | os.PathLike[str]) -> RunFolder:
    """Run folder with this path.

    Raises:
        InvalidInputError: the path is empty, which would be the current folder, or no
            file can have this name.
    """
    name = os.fspath(path)
    if not name or "\0" in name:
        raise InvalidInputError(
            f"the run folder is {name!r}; expected the path of a folder"
        )
    try:
        os.lstat(name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except OSError as error:
        raise InvalidInputError(
            f"the run folder is {quote(name)}: {error.strerror}"
        ) from None
    return RunFolder(Path(name))


def next_free_path(parent: Path, name: str) -> Path:
    """Path `parent`/`name`-n with the lowest n ≥ 1 that does not exist."""
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"
