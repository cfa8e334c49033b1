"""Compares runs at equal steps: every system with every other, on every task.

Runs of one system with the same settings form a group; NAME=RUN,RUN forms a group of
that name. A study stands for its runs, and a log of EPyMARL (its folder) or JaxMARL
(CSV or JSON of Weights & Biases) for a run. Intervals are 95 % confidence intervals.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from syntony.cli.arguments import BoolFlag, RunsArgument
from syntony.cli.console import (
    make_console,
    make_table,
    print_table,
    print_visible,
)
from syntony.errors import visible

if TYPE_CHECKING:
    import rich.text

    import syntony.comparison.results

TEXT_COLUMNS = ("", "X", "than Y")
"""Titles of the columns that hold no numbers."""


@dataclass(frozen=True)
class Compare:
    """Arguments of `syntony compare`."""

    runs: RunsArgument = ()
    """Folders of runs or studies, or NAME=RUN, or NAME=RUN,RUN."""
    at_step: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="STEPS",
            help_behavior_hint="(default: the last that all seeds reached)",
        ),
    ] = None
    """Step at which the runs are compared."""
    eval_window: Annotated[
        int,
        tyro.conf.arg(metavar="STEPS", help_behavior_hint="(default: one evaluation)"),
    ] = 0
    """A seed's score is the mean of its evaluations in this many steps before."""
    threshold: Annotated[
        float | None,
        tyro.conf.arg(
            metavar="SCORE", help_behavior_hint="(default: nine tenths of the best)"
        ),
    ] = None
    """Score for which the steps to reach it are reported."""
    metric: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME", help_behavior_hint="(default: the return, or eval/bler)"
        ),
    ] = None
    """Metric to compare, e.g. eval/return_mean_greedy."""
    out: Annotated[
        str | None,
        tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: none)"),
    ] = None
    """Folder for tables (Markdown, LaTeX, CSV, JSON) and figures (SVG, PNG)."""
    export: Annotated[
        str | None,
        tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: none)"),
    ] = None
    """File for all learning curves: .json, in the format of marl-eval; or .csv."""
    json: BoolFlag = False
    """Print one JSON object, and nothing else."""

    def execute(self) -> None:
        """Compares the runs, prints the tables and writes the files."""
        # Imported late: --help need not wait for JAX.
        from syntony.comparison import tables
        from syntony.comparison.compare import compare

        comparison = compare(
            self.runs,
            at_step=self.at_step,
            eval_window=self.eval_window,
            threshold=self.threshold,
            metric=self.metric,
        )
        written: list[Path] = []
        if self.out is not None:
            # Later still: Matplotlib is for figures alone.
            from syntony.comparison import figures

            written = tables.write_comparison(comparison.results, Path(self.out))
            written += figures.draw_comparison(comparison, Path(self.out))
        if self.export is not None:
            from syntony.comparison.export import write_export

            written.append(write_export(comparison.tasks, Path(self.export)))
        if self.json:
            print(json.dumps(comparison.results, allow_nan=False))
            return
        _print_tables(comparison.results)
        for path in written:
            print_visible(path)


def _print_tables(results: "syntony.comparison.results.ComparisonResults") -> None:
    from syntony.comparison.tables import comparison_tables

    console = make_console()
    for comparison_table in comparison_tables(results):
        table = make_table(comparison_table.header, TEXT_COLUMNS)
        for row in comparison_table.rows:
            table.add_row(*map(_to_text, row))
        console.print(visible(comparison_table.title), markup=False)
        print_table(console, table)
        console.print()
    for note in results["notes"]:
        console.print(f"note: {visible(note)}", markup=False)


def _to_text(cell: str) -> "rich.text.Text":
    """Cell whose brackets are those of an interval, not Rich's markup."""
    from rich.text import Text

    return Text(visible(cell))
