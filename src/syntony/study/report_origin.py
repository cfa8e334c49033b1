"""Where the runs of a report came from: how to repeat them, and where they ran."""

import json
from collections.abc import Sequence
from typing import Any

from syntony.run.progress import duration
from syntony.study.report_parts import Rows, Section
from syntony.study.report_runs import Subject, command_of

PLAN = ("system", "preset", "steps", "seeds", "seed", "eval_every", "eval_episodes")


def origins(subjects: Sequence[Subject]) -> Section:
    """Returns settings, versions, command, time and hardware of every run."""
    parts: list[Any] = []
    for subject in subjects:
        parts += [_made(subject), _settings(subject)]
    return Section("origin", "How to repeat this", parts, [])


def _made(subject: Subject) -> Rows:
    settings = subject.settings
    hardware, versions = settings.get("hardware"), settings.get("versions")
    rows = [
        ["command", command_of(settings) or "not known"],
        ["commit", str(settings.get("commit") or "not known")],
        ["wall time", _time(subject)],
        ["hardware", _pairs(hardware)],
        ["versions", _pairs(versions)],
    ]
    return Rows(subject.label, ["", ""], rows)


def _settings(subject: Subject) -> Rows:
    plan = {name: subject.settings.get(name, "") for name in PLAN}
    world = subject.settings.get("task") or subject.settings.get("channel")
    about = {f"world.{k}": v for k, v in (world or {}).items()}
    rows = [[name, _word(v)] for name, v in (plan | about | subject.constants).items()]
    return Rows(f"Settings of {subject.label}", ["setting", "value"], rows, folded=True)


def _time(subject: Subject) -> str:
    return "not known" if subject.wall_s is None else duration(subject.wall_s)


def _pairs(found: Any) -> str:
    if not isinstance(found, dict):
        return "not known"
    return ", ".join(f"{name} {_word(value)}" for name, value in found.items())


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
