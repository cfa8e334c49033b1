"""The journal of a study as records of its trials; it may be anyone's, or damaged.

Lines that are no events are left out, and values of other types or sizes than a study
writes are dropped: the records need no further checks.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from syntony.errors import InvalidInputError, visible
from syntony.studies.processes import MAX_ERROR
from syntony.studies.trial import TrialRecord, TrialState
from syntony.training.folder_walk import MAX_JOURNAL_BYTES
from syntony.training.integrity import METRIC_NAME
from syntony.training.run_config import MAX_SEED, MAX_SEEDS, MAX_STEPS
from syntony.training.safe_io import JsonObject, open_untrusted, parse_int

TRIAL_NAME = re.compile(r"\w[\w.-]{0,200}")
"""Name of a trial, which is a folder in that of the study."""
MAX_TRIALS = 100_000
"""Most trials of a study."""
MAX_EVENT_BYTES = 2**18
"""Most bytes of a line, which may list 10,000 seeds."""
MAX_FLAGS = 200
"""Most flags of a trial."""
MAX_VALUES = 2_000_000
"""Most flags and seeds of all trials."""
MAX_SECONDS = 1e12
MAX_LABEL = 200
"""Most characters of a flag's name."""
STATES: dict[str, TrialState] = {
    "created": "waiting",
    "started": "running",
    "interrupted": "waiting",
    "done": "done",
    "failed": "failed",
    "retried": "waiting",
    "pruned": "pruned",
}
"""Event of the journal, and the state of the trial after it."""


def read_records(path: Path) -> dict[str, TrialRecord]:
    """All trials by name, in the order in which they were created.

    Args:
        path: the journal; it may be missing.

    Raises:
        InvalidInputError: it cannot be read, or has more trials than a study may have.
    """
    records: dict[str, TrialRecord] = {}
    values = 0
    for event in _iter_events(path):
        name = event.get("trial")
        if not isinstance(name, str) or not TRIAL_NAME.fullmatch(name):
            continue
        if event["event"] == "created":
            records[name] = record = _created(name, event)
            values += len(record.flags) + len(record.seeds)
        elif name in records:
            records[name] = after_event(records[name], str(event["event"]), event)
        if len(records) > MAX_TRIALS or values > MAX_VALUES:
            raise InvalidInputError(
                f"{path} is too large; expected at most {MAX_TRIALS:,} trials, with "
                f"{MAX_VALUES:,} flags and seeds in all"
            )
    return records


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
    error, metric = values.get("error"), values.get("metric")
    is_metric = isinstance(metric, str) and METRIC_NAME.fullmatch(metric)
    score = _finite(values.get("score"))
    return record._replace(
        state=STATES[kind],
        steps=max(record.steps, int(_amount(values, "steps", MAX_STEPS))),
        seconds=min(
            record.seconds + _amount(values, "seconds", MAX_SECONDS), MAX_SECONDS
        ),
        failures=record.failures + is_failure,
        interruptions=record.interruptions + (kind == "interrupted"),
        error=_short(error, MAX_ERROR) if isinstance(error, str) and is_failure else "",
        score=record.score if score is None else score,
        metric=str(metric) if is_metric else record.metric,
    )


def _iter_events(path: Path) -> Iterator[JsonObject]:
    """Yields the events; a line that a kill has cut is left out."""
    if not path.exists() and not path.is_symlink():
        return
    try:
        with open_untrusted(path, MAX_JOURNAL_BYTES) as file:
            while line := file.readline(MAX_EVENT_BYTES):
                if (event := _parse_event(line)) is not None:
                    yield event
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from None


def _parse_event(line: bytes) -> JsonObject | None:
    try:
        event = json.loads(line, parse_int=parse_int)
    except (ValueError, RecursionError):
        return None
    kind = event.get("event") if isinstance(event, dict) else None
    return event if isinstance(kind, str) and kind in STATES else None


def _created(name: str, event: JsonObject) -> TrialRecord:
    flags, seeds = event.get("flags"), event.get("seeds")
    number = event.get("number")
    listed = seeds[:MAX_SEEDS] if isinstance(seeds, list) else []
    return TrialRecord(
        name=name,
        system=_short(str(event.get("system")), MAX_LABEL),
        flags=_flags(flags) if isinstance(flags, dict) else {},
        seeds=tuple(x for x in listed if type(x) is int and 0 <= x < MAX_SEED),
        number=number if type(number) is int and 0 <= number < MAX_TRIALS else None,
    )


def _flags(flags: JsonObject) -> dict[str, str | int | float]:
    found: dict[str, str | int | float] = {}
    for name, value in [*flags.items()][:MAX_FLAGS]:
        if isinstance(value, str):
            found[_short(name, MAX_LABEL)] = visible(value)
        elif isinstance(value, int | float) and math.isfinite(value):
            found[_short(name, MAX_LABEL)] = value
    return found


def _short(text: str, length: int) -> str:
    return visible(text[:length])


def _finite(value: object) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return None


def _amount(values: Mapping[str, object], name: str, limit: int | float) -> float:
    """A value from 0 to a limit; 0 where it is none."""
    return min(max(_finite(values.get(name)) or 0.0, 0.0), limit)
