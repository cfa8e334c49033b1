"""`syntony compare`: which runs are better, and how sure that is."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from syntony.cli.flags import Switch, parse
from syntony.cli.screen import console

WORDS = ("", "X", "than Y")
"""Heads of columns that hold no numbers."""


@dataclass(frozen=True)
class Compare:
    """Compares runs at equal steps: each system with each other, task by task.

    Runs of one system and of the same settings are taken together; NAME=RUN,RUN names a
    group of your own. Intervals are of 95 %.
    """

    runs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN...", help_behavior_hint=""),
    ] = ()
    """Run folders, or NAME=RUN, or NAME=RUN,RUN."""
    at: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="STEPS", help_behavior_hint="(default: the last that all reached)"
        ),
    ] = None
    """The step at which all are compared."""
    window: Annotated[
        int,
        tyro.conf.arg(
            metavar="STEPS", help_behavior_hint="(default: one evaluation alone)"
        ),
    ] = 0
    """A seed's score is the mean of its evaluations in so many steps up to there."""
    reach: Annotated[
        float | None,
        tyro.conf.arg(
            metavar="SCORE", help_behavior_hint="(default: nine tenths of the best)"
        ),
    ] = None
    """The score whose first step is told."""
    score: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME", help_behavior_hint="(default: the return, or eval/bler)"
        ),
    ] = None
    """What is compared, e.g. eval/return_mean_greedy."""
    out: Annotated[
        str | None,
        tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: none)"),
    ] = None
    """A folder for the tables (Markdown, LaTeX, CSV, JSON) and figures (SVG, PNG)."""
    json: Switch = False
    """Print one JSON object, and nothing else."""


def run(words: list[str]) -> None:
    """Compares."""
    asked = parse(Compare, words, prog="syntony compare")
    # Late: --help need not wait for JAX.
    from syntony.study import tables
    from syntony.study.compare import compare

    comparison = compare(
        asked.runs,
        at=asked.at,
        window=asked.window,
        reach=asked.reach,
        score=asked.score,
    )
    written: list[Path] = []
    if asked.out is not None:
        # Later still: only pictures need what draws them.
        from syntony.study import comparison_figures

        written = tables.write(comparison.found, Path(asked.out))
        written += comparison_figures.draw(comparison, Path(asked.out))
    if asked.json:
        print(json.dumps(comparison.found, allow_nan=False))
        return
    _print(comparison.found)
    for path in written:
        print(path)


def _print(found: dict[str, Any]) -> None:
    from rich.table import Table

    from syntony.study.tables import tables

    screen = console()
    for table in tables(found):
        shown = Table(*table.heads, box=None, pad_edge=False)
        for column in shown.columns:
            column.no_wrap = True
            column.justify = "left" if column.header in WORDS else "right"
        for row in table.rows:
            shown.add_row(*map(_plain, row))
        screen.print(table.title, markup=False)
        screen.print(shown)
        screen.print()
    for note in found["notes"]:
        screen.print(f"note: {note}", markup=False)


def _plain(cell: str) -> Any:
    """Returns a cell whose brackets are an interval's, not markup."""
    from rich.text import Text

    return Text(cell)
