"""Runs of a report: their labels, line styles and stored results."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from syntony.errors import InvalidInputError
from syntony.evaluation.stored_run import (
    StoredRun,
    read_stored_run,
    reject_duplicate_runs,
)
from syntony.report.components import LineStyle, run_style

MAX_RUNS = 24
"""Runs of a report at most: the number of distinct line styles."""


class ReportRun(NamedTuple):
    """A run of a report."""

    label: str
    """Name of its folder, with that of the parent folder if it is not unique."""
    style: LineStyle
    stored: StoredRun


def load_report_runs(runs: Sequence[str]) -> list[ReportRun]:
    """Reads the runs of a report.

    Args:
        runs: run folders.

    Raises:
        InvalidInputError: there are no runs or too many, or a folder holds no run.
    """
    if not runs:
        raise InvalidInputError(
            "there is nothing to report; expected one run's folder or more"
        )
    if len(runs) > MAX_RUNS:
        raise InvalidInputError(
            f"{len(runs)} runs are too many; expected at most {MAX_RUNS}"
        )
    paths = [Path(run) for run in runs]
    reject_duplicate_runs(runs)
    labels = _unique_labels([path.resolve() for path in paths])
    return [
        ReportRun(label, run_style(index), read_stored_run(path))
        for index, (label, path) in enumerate(zip(labels, paths, strict=True))
    ]


def _unique_labels(paths: Sequence[Path]) -> Iterator[str]:
    names = [path.name for path in paths]
    for path in paths:
        is_unique = names.count(path.name) == 1
        yield path.name if is_unique else f"{path.parent.name}/{path.name}"


def rerun_command(settings: dict[str, Any]) -> str:
    """Shell command that repeats a run; empty if unknown.

    Args:
        settings: content of `settings.json`.
    """
    command = str(settings.get("command", "")).strip()
    return re.sub(r"^(\S*__main__\.py|\S*/syntony)(?=\s|$)", "syntony", command)


def sanitize_filename(text: str) -> str:
    """Text with every character replaced that file names should not have."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "run"
