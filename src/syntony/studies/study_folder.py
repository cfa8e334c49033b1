"""The study folder: its files, and the journal of its trials.

The run folders hold the results. The journal tells which trials there are, and is read
in their place where only the states of many trials are asked for.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from syntony.errors import InvalidInputError
from syntony.studies.journal import MAX_TRIALS, read_records
from syntony.studies.trial import Trial, TrialRecord
from syntony.training.atomic_io import append_bytes, atomic_write_bytes, make_folder
from syntony.training.folder_walk import (
    MAX_JOURNAL_BYTES,
    MAX_STUDY_BYTES,
    check_study_folder,
)
from syntony.training.locks import exclusive_lock
from syntony.training.safe_io import JsonObject, open_untrusted, read_json, visible_json


@dataclass(frozen=True)
class StudyFolder:
    """Paths and files of a study."""

    path: Path

    @property
    def study_path(self) -> Path:
        """The study as it was last started, with its budget."""
        return self.path / "study.json"

    @property
    def journal_path(self) -> Path:
        """Events of the trials, one JSON object a line."""
        return self.path / "trials.jsonl"

    @property
    def search_path(self) -> Path:
        """Journal of the search, in Optuna's format."""
        return self.path / "search.log"

    @property
    def lock_path(self) -> Path:
        """Lock file; names the process that runs the study."""
        return self.path / ".lock"

    def run_path(self, name: str) -> Path:
        """Run folder of a trial."""
        return self.path / "trials" / name

    def log_path(self, name: str) -> Path:
        """Log of what a trial printed."""
        return self.path / "logs" / f"{name}.log"

    def contains_study(self) -> bool:
        """Whether the folder contains a study: its `study.json`, and no run."""
        return self.study_path.is_file()

    def read_study(self) -> JsonObject:
        """Content of `study.json`; before, checks what the whole folder contains.

        Control characters in it are made visible: they may reach a terminal.

        Raises:
            InvalidInputError: there is no study in the folder, or something that no
                study has, e.g. a link.
        """
        if not self.contains_study():
            raise InvalidInputError(
                f"{self.path} is not the folder of a study: no study.json"
            )
        self.check_content()
        content = visible_json(read_json(self.study_path, MAX_STUDY_BYTES))
        if not isinstance(content, dict):
            raise InvalidInputError(f"{self.study_path} holds no JSON object")
        return content

    def write_study(self, content: Mapping[str, object]) -> None:
        """Replaces `study.json`."""
        text = json.dumps(content, indent=2, ensure_ascii=False)
        atomic_write_bytes(self.study_path, text.encode() + b"\n")

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Creates the folder and locks it against other processes.

        Raises:
            InvalidInputError: the folder is in use, cannot be written, or holds
                something else.
        """
        try:
            if self.path.is_dir() and not self.contains_study():
                self._reject_foreign_files()
            self.check_content()
            self.path.mkdir(parents=True, exist_ok=True)
            for folder in (self.path / "trials", self.path / "logs"):
                make_folder(folder)
            if self.journal_path.exists():
                self._end_last_line()
        except OSError as error:
            raise InvalidInputError(
                f"cannot write to {self.path}: {error.strerror}"
            ) from None
        with exclusive_lock(self.lock_path):
            yield

    def check_content(self) -> None:
        """Checks what the folder contains, before anything in it is opened or written.

        Raises:
            InvalidInputError: see `check_study_folder`.
        """
        try:
            check_study_folder(self.path)
        except OSError as error:
            raise InvalidInputError(
                f"{self.path} cannot be read: {error.strerror}"
            ) from None

    def append(self, name: str, event: str, **values: object) -> None:
        """Appends an event of a trial to the journal."""
        entry = {"trial": name, "event": event, "time": round(time.time(), 3)}
        line = json.dumps(entry | values, ensure_ascii=False)
        append_bytes(self.journal_path, line.encode() + b"\n")

    def create(self, trials: Sequence[Trial]) -> None:
        """Adds new trials to the journal.

        Raises:
            InvalidInputError: they are more than a study may have.
        """
        if len(trials) > MAX_TRIALS:
            raise InvalidInputError(
                f"the study has {len(trials):,} trials; expected at most {MAX_TRIALS:,}"
            )
        now = round(time.time(), 3)
        events = [
            {
                "trial": trial.name,
                "event": "created",
                "time": now,
                "system": trial.setting.system,
                "flags": trial.setting.flags,
                "seeds": [*trial.seeds],
                "number": trial.number,
            }
            for trial in trials
        ]
        lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in events]
        if lines:
            append_bytes(self.journal_path, "".join(lines).encode())

    def records(self) -> dict[str, TrialRecord]:
        """All trials by name, in the order in which they were created.

        Raises:
            InvalidInputError: the journal cannot be read.
        """
        return read_records(self.journal_path)

    def _end_last_line(self) -> None:
        """Ends a line that a kill has cut, so that the next one is its own."""
        with open_untrusted(self.journal_path, MAX_JOURNAL_BYTES) as file:
            file.seek(0, 2)
            if not file.tell():
                return
            file.seek(-1, 2)
            is_cut = file.read(1) != b"\n"
        if is_cut:
            append_bytes(self.journal_path, b"\n")

    def _reject_foreign_files(self) -> None:
        known = {"trials", "logs", ".lock"}
        if foreign := {x.name for x in self.path.iterdir()} - known:
            raise InvalidInputError(
                f"{self.path} holds {min(foreign)!r} and no study; expected a study's "
                "folder, or an empty or new one"
            )


def run_folders(path: Path) -> list[Path]:
    """Run folders of a study that can be compared; of another folder, itself.

    Trials that failed, were pruned, or have not begun are left out.

    Raises:
        InvalidInputError: the journal of the study cannot be read, or the folder
            contains what no study does.
    """
    folder = StudyFolder(path)
    if not folder.contains_study():
        return [path]
    folder.check_content()
    records = folder.records().values()
    found = [
        folder.run_path(record.name)
        for record in records
        if record.state == "done"
        or (record.state in ("running", "waiting") and record.number is None)
    ]
    return [run for run in found if (run / "settings.json").is_file()]
