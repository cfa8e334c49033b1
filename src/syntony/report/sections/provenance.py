"""Provenance section: command, settings, versions and hardware of every run."""

import json
from collections.abc import Iterator, Mapping, Sequence

from syntony.report.components import Section, SectionPart, Table
from syntony.report.runs import ReportRun, rerun_command
from syntony.training.integrity import stored_sessions
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
"""Entries of `settings.json` that are shown above those of task and system."""


def provenance_section(report_runs: Sequence[ReportRun]) -> Section:
    """Section with how to repeat every run, and with all of its settings."""
    parts: list[SectionPart] = []
    for report_run in report_runs:
        parts += [_provenance_table(report_run), _settings_table(report_run)]
    return Section("origin", "How to repeat this", parts, [])


def _provenance_table(report_run: ReportRun) -> Table:
    settings = report_run.stored.settings
    hardware, versions = settings.get("hardware"), settings.get("versions")
    rows = [
        ["command", rerun_command(settings) or "not known"],
        ["commit", str(settings.get("commit") or "not known")],
        ["wall time", _wall_time_text(report_run.stored.wall_s)],
        ["hardware", _format_mapping(hardware)],
        ["versions", _format_mapping(versions)],
    ]
    rows += [*_session_rows(settings)]
    return Table(report_run.label, ["", ""], rows)


def _session_rows(settings: Mapping[str, object]) -> Iterator[list[str]]:
    """Yields a row for each later session: other versions, or another machine."""
    for session in stored_sessions(settings)[1:]:
        parts = [
            f"commit {session.get('commit') or 'not known'}",
            _format_mapping(session.get("hardware")),
            _format_mapping(session.get("versions")),
        ]
        yield [f"from step {session.get('from_step')}", "; ".join(parts)]


def _settings_table(report_run: ReportRun) -> Table:
    stored = report_run.stored
    shown = {name: stored.settings.get(name, "") for name in RUN_SETTINGS}
    for kind in ("task", "channel"):
        entries = stored.settings.get(kind)
        if isinstance(entries, dict):
            shown |= {f"{kind}.{name}": value for name, value in entries.items()}
    shown |= stored.system_settings
    rows = [[name, _format_value(value)] for name, value in shown.items()]
    return Table(
        f"Settings of {report_run.label}", ["setting", "value"], rows, collapsed=True
    )


def _wall_time_text(wall_s: float | None) -> str:
    return "not known" if wall_s is None else format_duration(wall_s)


def _format_mapping(mapping: object) -> str:
    if not isinstance(mapping, dict):
        return "not known"
    return ", ".join(
        f"{name} {_format_value(value)}" for name, value in mapping.items()
    )


def _format_value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
