"""The runs of a report: what their folders hold, and what of it can be used."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from syntony.errors import BadInput
from syntony.run import journal
from syntony.run.folder import Folder
from syntony.run.load import Run, load
from syntony.run.plan import world_of
from syntony.study.groups import flat, refuse_twice, settings_of
from syntony.study.report_parts import Style, style

MOST_RUNS = 24
"""As many looks are told apart."""


class Subject(NamedTuple):
    """A run that is reported on."""

    label: str
    path: Path
    settings: dict[str, Any]
    """All that `settings.json` holds."""
    lines: list[journal.Line]
    look: Style
    run: Run | None
    """None where its states cannot be used; `obstacle` then says why."""
    obstacle: str

    @property
    def system(self) -> str:
        return str(self.settings["system"])

    @property
    def is_link(self) -> bool:
        return self.system == "link"

    @property
    def world(self) -> str:
        """The task or the channel."""
        return str(world_of(self.settings))

    @property
    def constants(self) -> dict[str, Any]:
        """Its settings by their places."""
        return flat(self.settings["settings"])

    @property
    def step(self) -> int:
        """How far the furthest seed has come."""
        return max((line["step"] for line in self.lines), default=0)

    @property
    def wall_s(self) -> float | None:
        times = [line.get("wall_s") for line in self.lines]
        return max((t for t in times if isinstance(t, int | float)), default=None)


def subjects(runs: Sequence[str]) -> list[Subject]:
    """Returns what there is to say about runs.

    Raises:
        BadInput: there are none or too many, or a folder holds no run.
    """
    if not runs:
        raise BadInput("there is nothing to report; expected one run's folder or more")
    if len(runs) > MOST_RUNS:
        raise BadInput(f"{len(runs)} runs are too many; expected at most {MOST_RUNS}")
    paths = [Path(run) for run in runs]
    refuse_twice(runs)
    labels = list(_labels([path.resolve() for path in paths]))
    return [
        _read(labels[number], path, style(number)) for number, path in enumerate(paths)
    ]


def _labels(paths: Sequence[Path]) -> Iterator[str]:
    names = [path.name for path in paths]
    for path in paths:
        alone = names.count(path.name) == 1
        yield path.name if alone else f"{path.parent.name}/{path.name}"


def _read(label: str, path: Path, look: Style) -> Subject:
    folder = Folder(path)
    settings, _ = settings_of(folder)
    lines = journal.read(folder.metrics)
    run, obstacle = _trained(path)
    return Subject(label, path, settings, lines, look, run, obstacle)


def _trained(path: Path) -> tuple[Run | None, str]:
    """Returns a run whose states can be used; or why there is none."""
    try:
        run = load(path)
        # Read now: what cannot be read is said once, at the top.
        _ = run.states
    except BadInput as failure:
        return None, str(failure)
    return run, ""


def command_of(settings: dict[str, Any]) -> str:
    """Returns what to type to repeat a run."""
    said = str(settings.get("command", "")).strip()
    return re.sub(r"^(\S*__main__\.py|\S*/syntony)(?=\s|$)", "syntony", said)


def file_name(text: str) -> str:
    """Returns a text as part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "run"
