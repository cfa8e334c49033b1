"""The run folder: where everything of a run lies, and who may write there."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from syntony.errors import InvalidInputError
from syntony.training.atomic_io import TEMP_SUFFIX, atomic_write
from syntony.training.locks import exclusive_lock
from syntony.training.safe_io import open_untrusted

INCOMPLETE_RUN_FILES = {".lock", "checkpoints", f"settings.json{TEMP_SUFFIX}"}
"""All that a run can leave that was killed before its settings were written."""
MAX_SETTINGS_BYTES = 2**20
"""Of settings: a thousand times what any run has."""
MAX_DIGITS = 20


@dataclass(frozen=True)
class RunFolder:
    """A run's files, by what they hold."""

    path: Path

    @property
    def settings_path(self) -> Path:
        """What the run is, and where it came from."""
        return self.path / "settings.json"

    @property
    def metrics_path(self) -> Path:
        """What was measured, a line for each evaluation of a seed."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints_dir(self) -> Path:
        """Complete states to go on from."""
        return self.path / "checkpoints"

    @property
    def model_path(self) -> Path:
        """The weights by name, those of seed 0 under `seed0/`."""
        return self.path / "model.npz"

    @property
    def history_dir(self) -> Path:
        """How links' codebooks moved, a file for each seed."""
        return self.path / "history"

    @property
    def tensorboard_dir(self) -> Path:
        """What TensorBoard reads, where it was asked for."""
        return self.path / "tensorboard"

    @property
    def lock_path(self) -> Path:
        """Says who works on the run."""
        return self.path / ".lock"

    def contains_run(self) -> bool:
        return self.settings_path.is_file()

    def read_settings(self) -> dict[str, Any]:
        """Returns what `settings.json` holds.

        Raises:
            BadInput: there is none, or it is not a JSON object.
        """
        if not self.path.exists():
            raise InvalidInputError(
                f"there is no run {self.path}; expected a run's folder"
            )
        if not self.contains_run():
            raise InvalidInputError(
                f"{self.path} is not the folder of a run: no settings.json"
            )
        self._reject_symlinks()
        try:
            with open_untrusted(self.settings_path, MAX_SETTINGS_BYTES) as file:
                settings = json.loads(file.read(), parse_int=_parse_int)
        except InvalidInputError:
            raise
        except (OSError, ValueError, RecursionError) as failure:
            raise InvalidInputError(
                f"{self.settings_path} cannot be read: {failure}"
            ) from None
        if not isinstance(settings, dict):
            raise InvalidInputError(f"{self.settings_path} holds no JSON object")
        return settings

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        text = json.dumps(settings, indent=2, ensure_ascii=False, allow_nan=False)
        with atomic_write(self.settings_path) as file:
            file.write(text.encode() + b"\n")

    def write_model(self, weights: Mapping[str, np.ndarray]) -> None:
        with atomic_write(self.model_path) as file:
            np.savez(file, allow_pickle=False, **weights)

    def write_csv(self, name: str, table: Float[np.ndarray, "rows ..."]) -> None:
        """Writes a file of comma-separated values, a line for each row."""
        text = io.StringIO()
        np.savetxt(text, table.reshape(len(table), -1), fmt="%.9g", delimiter=",")
        with atomic_write(self.path / name) as file:
            file.write(text.getvalue().encode())

    @contextmanager
    def acquire_lock(self) -> Iterator[None]:
        """Makes the folder, and keeps all other processes from writing there.

        Raises:
            BadInput: the folder cannot be made or written, is in use, or is of another
                kind.
        """
        try:
            self._reject_foreign_files()
            self._reject_symlinks()
            self.checkpoints_dir.mkdir(parents=True, exist_ok=True)
            lock = ExitStack()
            lock.enter_context(exclusive_lock(self.lock_path))
        except OSError as failure:
            reason = failure.strerror
            raise InvalidInputError(f"cannot write to {self.path}: {reason}") from None
        with lock:
            self._remove_partial_files()
            yield

    def _reject_symlinks(self) -> None:
        """Keeps a run that came from elsewhere from reaching out of its folder."""
        for path in (
            self.checkpoints_dir,
            self.history_dir,
            self.tensorboard_dir,
            self.lock_path,
        ):
            if path.is_symlink():
                raise InvalidInputError(
                    f"{path} is a symbolic link; expected what it leads to"
                )

    def _reject_foreign_files(self) -> None:
        if self.contains_run() or not self.path.is_dir():
            return
        if (
            foreign := {path.name for path in self.path.iterdir()}
            - INCOMPLETE_RUN_FILES
        ):
            raise InvalidInputError(
                f"{self.path} holds {min(foreign)!r} and no run; expected a run's "
                "folder, or an empty or new one"
            )

    def _remove_partial_files(self) -> None:
        """Removes what a killed process left half written."""
        for folder in (self.path, self.checkpoints_dir, self.history_dir):
            for part in folder.glob(f"*{TEMP_SUFFIX}"):
                part.unlink()


def _parse_int(text: str) -> int:
    # A longer one is no setting, and too large for what settings are turned into.
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def next_free_path(parent: Path, name: str) -> Path:
    """Returns `parent`/`name`-n with the lowest n that is not taken."""
    taken = 1
    while (parent / f"{name}-{taken}").exists():
        taken += 1
    return parent / f"{name}-{taken}"
