"""Lists systems, tasks, channels or presets, by the names that commands accept."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import tyro

from syntony.cli.console import print_columns
from syntony.cli.help_text import SYSTEM_SUMMARIES
from syntony.errors import unknown_name_error


@dataclass(frozen=True)
class List:
    """Arguments of `syntony list`."""

    what: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="WHAT", help_behavior_hint="(default: all of them)"),
    ] = ""
    """systems, tasks, channels or presets."""

    def execute(self) -> None:
        """Prints names and summaries in two columns; of all, below their titles."""
        if not self.what:
            self._list_all()
            return
        if self.what not in LISTINGS:
            raise unknown_name_error("list", self.what, LISTINGS)
        print_columns([*LISTINGS[self.what]()])

    def _list_all(self) -> None:
        for index, (title, rows) in enumerate(LISTINGS.items()):
            print(f"{chr(10) if index else ''}{title}:")
            print_columns([*rows()])


def list_systems() -> Iterator[tuple[str, str]]:
    """Yields name and summary of every system."""
    from syntony.systems.registry import SYSTEMS

    for name, system in SYSTEMS.items():
        if name in SYSTEM_SUMMARIES:
            yield name, SYSTEM_SUMMARIES[name]
        else:
            docstring = sys.modules[system.__module__].__doc__ or ""
            yield name, docstring.partition("\n")[0]


def list_tasks() -> Iterator[tuple[str, str]]:
    """Yields an example and the summary of every task family, then its pattern."""
    from syntony.tasks.registry import task_families

    for family in task_families():
        yield family.example, family.summary
        yield "", f"any {family.pattern}"


def list_channels() -> Iterator[tuple[str, str]]:
    """Yields an example id and the summary of every channel."""
    from syntony.channels.registry import channel_summaries

    yield from channel_summaries()


def list_presets() -> Iterator[tuple[str, str]]:
    """Yields name and summary of every preset, the default of a system first."""
    from syntony.presets.registry import PRESETS

    for system, presets in PRESETS.items():
        for name, summary in presets.items():
            yield f"{system} {name}", summary


LISTINGS: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "systems": list_systems,
    "tasks": list_tasks,
    "channels": list_channels,
    "presets": list_presets,
}
