"""The study folder: its files, and the journal of its trials.

The run folders hold the results. The journal tells which trials there are, and is read
in their place where only the states of many trials are asked for.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from syntony.errors import InvalidInputError, visible
from syntony.studies.trial import Trial, TrialRecord, TrialState
from syntony.training.atomic_io import append_bytes, atomic_write_bytes
from syntony.training.locks import exclusive_lock
from syntony.training.safe_io import JsonObject, open_untrusted, read_json, visible_json

MAX_JOURNAL_BYTES = 2**30
"""Most bytes of a journal: a million events."""
MAX_STUDY_BYTES = 2**24
TRIAL_NAME = re.compile(r"\w[\w.-]{0,200}")
"""Name of a trial, which is a folder in that of the study."""
STATES: dict[str, TrialState] = {
    "created": "waiting",
    "started": "running",
    "interrupted": "waiting",
}
STATES |= {"done": "done", "failed": "failed", "retried": "waiting"}
STATES |= {"pruned": "pruned"}
"""Event of the journal, and the state of the trial after it."""


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
        """Content of `study.json`.

        Raises:
            InvalidInputError: there is no study in the folder.
        """
        if not self.contains_study():
            raise InvalidInputError(
                f"{self.path} is not the folder of a study: no study.json"
            )
        content = read_json(self.study_path, MAX_STUDY_BYTES)
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
            for folder in (self.path / "trials", self.path / "logs"):
                folder.mkdir(parents=True, exist_ok=True)
            if self.journal_path.exists():
                self._end_last_line()
        except OSError as error:
            raise InvalidInputError(
                f"cannot write to {self.path}: {error.strerror}"
            ) from None
        with exclusive_lock(self.lock_path):
            yield

    def append(self, name: str, event: str, **values: object) -> None:
        """Appends an event of a trial to the journal."""
        entry = {"trial": name, "event": event, "time": round(time.time(), 3)}
        line = json.dumps(entry | values, ensure_ascii=False)
        append_bytes(self.journal_path, line.encode() + b"\n")

    def create(self, trials: Sequence[Trial]) -> None:
        """Adds new trials to the journal."""
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
        records: dict[str, TrialRecord] = {}
        for event in self._events():
            name = event.get("trial")
            if not isinstance(name, str) or not TRIAL_NAME.fullmatch(name):
                continue
            if event["event"] == "created":
                records[name] = _created(name, event)
            elif name in records:
                records[name] = after_event(records[name], str(event["event"]), event)
        return records

    def _events(self) -> Iterator[JsonObject]:
        """Yields the events; a line that a kill has cut is left out."""
        if not self.journal_path.exists():
            return
        try:
            with open_untrusted(self.journal_path, MAX_JOURNAL_BYTES) as file:
                lines = file.read().splitlines()
        except OSError as error:
            raise InvalidInputError(
                f"{self.journal_path} cannot be read: {error.strerror}"
            ) from None
        for line in lines:
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict) and event.get("event") in STATES:
                yield event

    def _end_last_line(self) -> None:
        """Ends a line that a kill has cut, so that the next one is its own."""
        with self.journal_path.open("rb") as file:
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
        InvalidInputError: the journal of the study cannot be read.
    """
    folder = StudyFolder(path)
    if not folder.contains_study():
        return [path]
    records = folder.records().values()
    found = [
        folder.run_path(record.name)
        for record in records
        if record.state == "done"
        or (record.state in ("running", "waiting") and record.number is None)
    ]
    return [run for run in found if (run / "settings.json").is_file()]


def _created(name: str, event: JsonObject) -> TrialRecord:
    flags, seeds = event.get("flags"), event.get("seeds")
    number = event.get("number")
    return TrialRecord(
        name=name,
        system=visible(str(event.get("system"))),
        flags=_flags(flags) if isinstance(flags, dict) else {},
        seeds=tuple(x for x in seeds if type(x) is int)
        if isinstance(seeds, list)
        else (),
        number=number if type(number) is int else None,
    )


def _flags(flags: JsonObject) -> dict[str, str | int | float]:
    shown = visible_json(flags)
    assert isinstance(shown, dict)
    return {k: v for k, v in shown.items() if isinstance(v, str | int | float)}


def after_event(
    record: TrialRecord, kind: str, values: Mapping[str, object]
) -> TrialRecord:
    """A trial after an event.

    Args:
        record: the trial before.
        kind: name of the event.
        values: its values; they may be anyone's.
    """
    is_failure = kind in ("failed", "retried")
    error, score, metric = (values.get(x) for x in ("error", "score", "metric"))
    return record._replace(
        state=STATES[kind],
        steps=max(record.steps, int(_number(values, "steps"))),
        seconds=record.seconds + _number(values, "seconds"),
        failures=record.failures + is_failure,
        interruptions=record.interruptions + (kind == "interrupted"),
        error=visible(error) if isinstance(error, str) and is_failure else "",
        score=float(score) if isinstance(score, int | float) else record.score,
        metric=visible(metric) if isinstance(metric, str) else record.metric,
    )


def _number(values: Mapping[str, object], name: str) -> float:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
