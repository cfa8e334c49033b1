"""Where the runs of a report came from: how to repeat them, and where they ran."""

import json
from collections.abc import Sequence
from typing import Any

from syntony.report.components import Section, Table
from syntony.report.runs import ReportRun, rerun_command
from syntony.training.progress import format_duration

RUN_SETTINGS = (
    "system",
    "preset",
    "steps",
    "seeds",
    "seed",
    "eval_every",
    "eval_episodes",
)


def provenance_section(report_runs: Sequence[ReportRun]) -> Section:
    """Returns settings, versions, command, time and hardware of every run."""
    parts: list[Any] = []
    for subject in report_runs:
        parts += [_provenance_table(subject), _settings_table(subject)]
    return Section("origin", "How to repeat this", parts, [])


def _provenance_table(report_run: ReportRun) -> Table:
    settings = report_run.settings
    hardware, versions = settings.get("hardware"), settings.get("versions")
    rows = [
        ["command", rerun_command(settings) or "not known"],
        ["commit", str(settings.get("commit") or "not known")],
        ["wall time", _wall_time_text(report_run)],
        ["hardware", _format_mapping(hardware)],
        ["versions", _format_mapping(versions)],
    ]
    return Table(report_run.label, ["", ""], rows)


def _settings_table(report_run: ReportRun) -> Table:
    plan = {name: report_run.settings.get(name, "") for name in RUN_SETTINGS}
    world = report_run.settings.get("task") or report_run.settings.get("channel")
    about = {f"world.{k}": v for k, v in (world or {}).items()}
    rows = [
        [name, _format_value(v)]
        for name, v in (plan | about | report_run.system_settings).items()
    ]
    return Table(
        f"Settings of {report_run.label}", ["setting", "value"], rows, collapsed=True
    )


def _wall_time_text(report_run: ReportRun) -> str:
    return (
        "not known" if report_run.wall_s is None else format_duration(report_run.wall_s)
    )


def _format_mapping(mapping: Any) -> str:
    if not isinstance(mapping, dict):
        return "not known"
    return ", ".join(
        f"{name} {_format_value(value)}" for name, value in mapping.items()
    )


def _format_value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
