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

from syntony.errors import BadInput
from syntony.run.atomic import PART, replacing
from syntony.run.lock import held
from syntony.run.reading import opened

UNBORN = {".lock", "checkpoints", f"settings.json{PART}"}
"""All that a run can leave that was killed before its settings were written."""
MOST_BYTES = 2**20
"""Of settings: a thousand times what any run has."""
MOST_DIGITS = 20


@dataclass(frozen=True)
class Folder:
    """A run's files, by what they hold."""

    path: Path

    @property
    def settings(self) -> Path:
        """What the run is, and where it came from."""
        return self.path / "settings.json"

    @property
    def metrics(self) -> Path:
        """What was measured, a line for each evaluation of a seed."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Complete states to go on from."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The weights by name, those of seed 0 under `seed0/`."""
        return self.path / "model.npz"

    @property
    def history(self) -> Path:
        """How links' codebooks moved, a file for each seed."""
        return self.path / "history"

    @property
    def tensorboard(self) -> Path:
        """What TensorBoard reads, where it was asked for."""
        return self.path / "tensorboard"

    @property
    def lock(self) -> Path:
        """Says who works on the run."""
        return self.path / ".lock"

    def holds_a_run(self) -> bool:
        return self.settings.is_file()

    def read_settings(self) -> dict[str, Any]:
        """Returns what `settings.json` holds.

        Raises:
            BadInput: there is none, or it is not a JSON object.
        """
        if not self.path.exists():
            raise BadInput(f"there is no run {self.path}; expected a run's folder")
        if not self.holds_a_run():
            raise BadInput(f"{self.path} is not the folder of a run: no settings.json")
        self._refuse_links()
        try:
            with opened(self.settings, MOST_BYTES) as file:
                settings = json.loads(file.read(), parse_int=_whole)
        except BadInput:
            raise
        except (OSError, ValueError, RecursionError) as failure:
            raise BadInput(f"{self.settings} cannot be read: {failure}") from None
        if not isinstance(settings, dict):
            raise BadInput(f"{self.settings} holds no JSON object")
        return settings

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        text = json.dumps(settings, indent=2, ensure_ascii=False, allow_nan=False)
        with replacing(self.settings) as file:
            file.write(text.encode() + b"\n")

    def write_model(self, weights: Mapping[str, np.ndarray]) -> None:
        with replacing(self.model) as file:
            np.savez(file, allow_pickle=False, **weights)

    def write_table(self, name: str, table: Float[np.ndarray, "rows ..."]) -> None:
        """Writes a file of comma-separated values, a line for each row."""
        text = io.StringIO()
        np.savetxt(text, table.reshape(len(table), -1), fmt="%.9g", delimiter=",")
        with replacing(self.path / name) as file:
            file.write(text.getvalue().encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder, and keeps all other processes from writing there.

        Raises:
            BadInput: the folder cannot be made or written, is in use, or is of another
                kind.
        """
        try:
            self._refuse_foreign()
            self._refuse_links()
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            lock = ExitStack()
            lock.enter_context(held(self.lock))
        except OSError as failure:
            reason = failure.strerror
            raise BadInput(f"cannot write to {self.path}: {reason}") from None
        with lock:
            self._remove_torn()
            yield

    def _refuse_links(self) -> None:
        """Keeps a run that came from elsewhere from reaching out of its folder."""
        for path in (self.checkpoints, self.history, self.tensorboard, self.lock):
            if path.is_symlink():
                raise BadInput(f"{path} is a symbolic link; expected what it leads to")

    def _refuse_foreign(self) -> None:
        if self.holds_a_run() or not self.path.is_dir():
            return
        if foreign := {path.name for path in self.path.iterdir()} - UNBORN:
            raise BadInput(
                f"{self.path} holds {min(foreign)!r} and no run; expected a run's "
                "folder, or an empty or new one"
            )

    def _remove_torn(self) -> None:
        """Removes what a killed process left half written."""
        for folder in (self.path, self.checkpoints, self.history):
            for part in folder.glob(f"*{PART}"):
                part.unlink()


def _whole(text: str) -> int:
    # A longer one is no setting, and too large for what settings are turned into.
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def next_free(parent: Path, name: str) -> Path:
    """Returns `parent`/`name`-n with the lowest n that is not taken."""
    taken = 1
    while (parent / f"{name}-{taken}").exists():
        taken += 1
    return parent / f"{name}-{taken}"
