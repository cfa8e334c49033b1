"""`syntony list`: the names that other commands understand."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import tyro

from syntony.cli.flags import parse
from syntony.errors import unknown


@dataclass(frozen=True)
class List:
    """Lists the names that other commands understand."""

    what: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WHAT")]
    """systems, tasks, channels or presets."""


def run(words: list[str]) -> None:
    """Lists."""
    asked = parse(List, words, prog="syntony list").what
    if asked not in LISTS:
        raise unknown("list", asked, LISTS)
    rows = list(LISTS[asked]())
    width = max(len(name) for name, _ in rows)
    for name, summary in rows:
        print(f"{name:{width}}  {summary}".rstrip())


def systems() -> Iterator[tuple[str, str]]:
    """Yields each system's name, and the first line of its file."""
    from syntony.systems.ids import SYSTEMS

    for name, kind in SYSTEMS.items():
        about = sys.modules[kind.__module__].__doc__ or ""
        yield name, about.partition("\n")[0]


def tasks() -> Iterator[tuple[str, str]]:
    """Yields each family's pattern, what it is about, and an example."""
    from syntony.tasks.ids import families

    for family in families():
        yield family.example, family.summary
        yield "", f"any {family.pattern}"


def channels() -> Iterator[tuple[str, str]]:
    """Yields an example of each channel, and what it does to a signal."""
    from syntony.channels.ids import summaries

    yield from summaries()


def presets() -> Iterator[tuple[str, str]]:
    """Yields each system's presets, the default first, and what they are."""
    from syntony.study.presets import PRESETS

    for system, presets in PRESETS.items():
        for name, summary in presets.items():
            yield f"{system} {name}", summary


LISTS: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "systems": systems,
    "tasks": tasks,
    "channels": channels,
    "presets": presets,
}
