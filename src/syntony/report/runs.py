"""The runs of a report: what their folders hold, and what of it can be used."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from syntony.comparison.groups import (
    flatten_settings,
    read_run_settings,
    reject_duplicate_runs,
)
from syntony.errors import InvalidInputError
from syntony.report.components import LineStyle, run_style
from syntony.training import metrics_log
from syntony.training.run import Run, load
from syntony.training.run_config import task_or_channel_id
from syntony.training.run_folder import RunFolder

MAX_RUNS = 24
"""As many looks are told apart."""


class ReportRun(NamedTuple):
    """A run that is reported on."""

    label: str
    path: Path
    settings: dict[str, Any]
    """All that `settings.json` holds."""
    records: list[metrics_log.MetricsRow]
    style: LineStyle
    run: Run | None
    """None where its states cannot be used; `obstacle` then says why."""
    load_error: str

    @property
    def system(self) -> str:
        return str(self.settings["system"])

    @property
    def is_link(self) -> bool:
        return self.system == "link"

    @property
    def task_or_channel(self) -> str:
        """The task or the channel."""
        return str(task_or_channel_id(self.settings))

    @property
    def system_settings(self) -> dict[str, Any]:
        """Its settings by their places."""
        return flatten_settings(self.settings["settings"])

    @property
    def last_step(self) -> int:
        """How far the furthest seed has come."""
        return max((line["step"] for line in self.records), default=0)

    @property
    def wall_s(self) -> float | None:
        times = [line.get("wall_s") for line in self.records]
        return max((t for t in times if isinstance(t, int | float)), default=None)


def load_report_runs(runs: Sequence[str]) -> list[ReportRun]:
    """Returns what there is to say about runs.

    Raises:
        BadInput: there are none or too many, or a folder holds no run.
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
    labels = list(_unique_labels([path.resolve() for path in paths]))
    return [
        _read_report_run(labels[number], path, run_style(number))
        for number, path in enumerate(paths)
    ]


def _unique_labels(paths: Sequence[Path]) -> Iterator[str]:
    names = [path.name for path in paths]
    for path in paths:
        alone = names.count(path.name) == 1
        yield path.name if alone else f"{path.parent.name}/{path.name}"


def _read_report_run(label: str, path: Path, style: LineStyle) -> ReportRun:
    folder = RunFolder(path)
    settings, _ = read_run_settings(folder)
    lines = metrics_log.read_rows(folder.metrics_path)
    run, obstacle = _load_or_error(path)
    return ReportRun(label, path, settings, lines, style, run, obstacle)


def _load_or_error(path: Path) -> tuple[Run | None, str]:
    """Returns a run whose states can be used; or why there is none."""
    try:
        run = load(path)
        # Read now: what cannot be read is said once, at the top.
        _ = run.states
    except InvalidInputError as failure:
        return None, str(failure)
    return run, ""


def rerun_command(settings: dict[str, Any]) -> str:
    """Returns what to type to repeat a run."""
    said = str(settings.get("command", "")).strip()
    return re.sub(r"^(\S*__main__\.py|\S*/syntony)(?=\s|$)", "syntony", said)


def sanitize_filename(text: str) -> str:
    """Returns a text as part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "run"
