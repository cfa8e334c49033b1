"""`syntony compare`: which runs are better, and how sure that is."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from syntony.cli.flags import BoolFlag, parse_args
from syntony.cli.screen import make_console

TEXT_COLUMNS = ("", "X", "than Y")
"""Heads of columns that hold no numbers."""


@dataclass(frozen=True)
class CompareArgs:
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
    at_step: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="STEPS", help_behavior_hint="(default: the last that all reached)"
        ),
    ] = None
    """The step at which all are compared."""
    eval_window: Annotated[
        int,
        tyro.conf.arg(
            metavar="STEPS", help_behavior_hint="(default: one evaluation alone)"
        ),
    ] = 0
    """A seed's score is the mean of its evaluations in so many steps up to there."""
    threshold: Annotated[
        float | None,
        tyro.conf.arg(
            metavar="SCORE", help_behavior_hint="(default: nine tenths of the best)"
        ),
    ] = None
    """The score whose first step is told."""
    metric: Annotated[
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
    json: BoolFlag = False
    """Print one JSON object, and nothing else."""


def run(argv: list[str]) -> None:
    """Compares."""
    asked = parse_args(CompareArgs, argv, prog="syntony compare")
    # Late: --help need not wait for JAX.
    from syntony.comparison import tables
    from syntony.comparison.compare import compare

    comparison = compare(
        asked.runs,
        at_step=asked.at_step,
        eval_window=asked.eval_window,
        threshold=asked.threshold,
        metric=asked.metric,
    )
    written: list[Path] = []
    if asked.out is not None:
        # Later still: only pictures need what draws them.
        from syntony.comparison import figures

        written = tables.write_comparison(comparison.results, Path(asked.out))
        written += figures.draw_comparison(comparison, Path(asked.out))
    if asked.json:
        print(json.dumps(comparison.results, allow_nan=False))
        return
    _print_tables(comparison.results)
    for path in written:
        print(path)


def _print_tables(results: dict[str, Any]) -> None:
    from rich.table import Table

    from syntony.comparison.tables import comparison_tables

    screen = make_console()
    for table in comparison_tables(results):
        shown = Table(*table.header, box=None, pad_edge=False)
        for column in shown.columns:
            column.no_wrap = True
            column.justify = "left" if column.header in TEXT_COLUMNS else "right"
        for row in table.rows:
            shown.add_row(*map(_to_text, row))
        screen.print(table.title, markup=False)
        screen.print(shown)
        screen.print()
    for note in results["notes"]:
        screen.print(f"note: {note}", markup=False)


def _to_text(cell: str) -> Any:
    """Returns a cell whose brackets are an interval's, not markup."""
    from rich.text import Text

    return Text(cell)
