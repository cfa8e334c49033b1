"""`syntony list`: the names that other commands understand."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import tyro

from syntony.cli.flags import parse_args
from syntony.errors import unknown_name_error


@dataclass(frozen=True)
class ListArgs:
    """Lists the names that other commands understand."""

    what: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WHAT")]
    """systems, tasks, channels or presets."""


def run(argv: list[str]) -> None:
    """Lists."""
    asked = parse_args(ListArgs, argv, prog="syntony list").what
    if asked not in LISTINGS:
        raise unknown_name_error("list", asked, LISTINGS)
    rows = list(LISTINGS[asked]())
    width = max(len(name) for name, _ in rows)
    for name, summary in rows:
        print(f"{name:{width}}  {summary}".rstrip())


def list_systems() -> Iterator[tuple[str, str]]:
    """Yields each system's name, and the first line of its file."""
    from syntony.systems.registry import SYSTEMS

    for name, kind in SYSTEMS.items():
        about = sys.modules[kind.__module__].__doc__ or ""
        yield name, about.partition("\n")[0]


def list_tasks() -> Iterator[tuple[str, str]]:
    """Yields each family's pattern, what it is about, and an example."""
    from syntony.tasks.registry import task_families

    for family in task_families():
        yield family.example, family.summary
        yield "", f"any {family.pattern}"


def list_channels() -> Iterator[tuple[str, str]]:
    """Yields an example of each channel, and what it does to a signal."""
    from syntony.channels.registry import channel_summaries

    yield from channel_summaries()


def list_presets() -> Iterator[tuple[str, str]]:
    """Yields each system's presets, the default first, and what they are."""
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
