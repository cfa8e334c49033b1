"""`syntony evaluate`: what a run has learned, as a table or as JSON."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from syntony.cli.flags import Run, Switch, parse


@dataclass(frozen=True)
class Evaluate:
    """Measures what each seed of a run has learned, and what all have together.

    Intervals hold the mean with 95 %: over episodes for a seed, over seeds for all.
    """

    run: Run
    """The run folder."""
    episodes: int = 1000
    """Episodes that each seed lives through."""
    json: Switch = False
    """Print one JSON object, and nothing else."""


def run(words: list[str]) -> None:
    """Evaluates."""
    asked = parse(Evaluate, words, prog="syntony evaluate")
    # Late: --help need not wait for JAX.
    from syntony.run.devices import remember_programs
    from syntony.run.load import load
    from syntony.study.evaluate import evaluate

    remember_programs()
    found = evaluate(load(asked.run), episodes=asked.episodes)
    if asked.json:
        print(json.dumps(found, allow_nan=False))
    else:
        _print_table(found)


def _print_table(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from syntony.run.progress import scores_of, title

    scores = scores_of(found["all"])
    table = Table("", "steps", *map(title, scores), box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
        column.justify = "right" if column.header else "left"
    for head, steps, line in _rows(found):
        table.add_row(head, steps, *(_cell(line, name) for name in scores))
    console = Console(highlight=False, soft_wrap=True)
    task = found["task"] or ""
    episodes = f"{found['episodes']:,} episodes each, mean [95 % interval]"
    console.print(f"{found['run']}: {found['system']} {task}, {episodes}", markup=False)
    console.print(table)


def _rows(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if found["untrained"]:
        yield "untrained", "0", found["untrained"]
    for line in found["seeds"]:
        yield f"seed {line['seed']}", f"{line['step']:,}", line
    if len(found["seeds"]) > 1:
        yield "all seeds", "", found["all"]


def _cell(line: dict[str, Any], name: str) -> str:
    from syntony.run.progress import interval

    if line[f"{name}_low"] is None:
        return f"{line[name]:.3f}"
    return interval(line, name)
