"""Runs of a report: their labels, line styles and stored results."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from syntony.errors import InvalidInputError, visible
from syntony.evaluation.stored_run import (
    StoredRun,
    read_stored_run,
    reject_duplicate_runs,
    run_path,
)
from syntony.report.components import LineStyle, run_styles
from syntony.training.run import Run

MAX_RUNS = 24
"""Runs of a report at most: the number of distinct line styles."""


class ReportRun(NamedTuple):
    """A run of a report."""

    label: str
    """Name of its folder, with that of the parent folder if it is not unique."""
    style: LineStyle
    stored: StoredRun


def load_report_runs(
    runs: Sequence[str | Run], *, trust: bool = False
) -> list[ReportRun]:
    """Reads the runs of a report.

    Args:
        runs: run folders; or runs, as `load` gives them.
        trust: whether to import what they name; see `load`.

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
    paths = [run_path(run) for run in runs]
    reject_duplicate_runs(paths)
    stored_runs = [
        read_stored_run(path if isinstance(run, str) else run, trust=trust)
        for run, path in zip(runs, paths, strict=True)
    ]
    labels = _unique_labels([path.resolve() for path in paths])
    styles = _styles_by_task(stored_runs)
    return [
        ReportRun(*of_run) for of_run in zip(labels, styles, stored_runs, strict=True)
    ]


def _styles_by_task(stored_runs: Sequence[StoredRun]) -> list[LineStyle]:
    """Line style of each run: only runs on one task are in one plot."""
    by_task: dict[str, list[int]] = {}
    for index, stored in enumerate(stored_runs):
        by_task.setdefault(stored.task_or_channel, []).append(index)
    styles: dict[int, LineStyle] = {}
    for runs in by_task.values():
        of_task = run_styles([stored_runs[index].system for index in runs])
        styles |= dict(zip(runs, of_task, strict=True))
    return [styles[index] for index in range(len(stored_runs))]


def _unique_labels(paths: Sequence[Path]) -> Iterator[str]:
    names = [path.name for path in paths]
    for path in paths:
        is_unique = names.count(path.name) == 1
        label = path.name if is_unique else f"{path.parent.name}/{path.name}"
        yield visible(label)


def rerun_command(settings: Mapping[str, object]) -> str:
    """Shell command that repeats a run; empty if unknown.

    Args:
        settings: content of `settings.json`.
    """
    command = str(settings.get("command", "")).strip()
    return re.sub(r"^(\S*__main__\.py|\S*/syntony)(?=\s|$)", "syntony", command)


def sanitize_filename(text: str) -> str:
    """Text with every character replaced that file names should not have."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "run"
