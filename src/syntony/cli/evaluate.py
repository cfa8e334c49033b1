"""`syntony evaluate`: what a run has learned, as a table or as JSON."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from syntony.cli.flags import Run, Switch, parse
from syntony.cli.screen import aside, console
from syntony.errors import BadInput

MOST_POINTS = 200


@dataclass(frozen=True)
class Evaluate:
    """Measures what each seed of a run has learned, and what all have together.

    Intervals hold the mean with 95 %: over episodes for a seed, over seeds for all.
    """

    run: Run
    """The run folder."""
    episodes: int = 1000
    """Of a team: episodes that each seed lives through."""
    task: Annotated[
        str | None,
        tyro.conf.arg(metavar="ID", help_behavior_hint="(default: as in training)"),
    ] = None
    """Of a team: another task of the same shapes, e.g. the original of ours,
    gymnasium:lbforaging:Foraging-2s-8x8-3p-2f-coop-v3?max_player_level=3."""
    snr_db: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="LOW:HIGH:STEP", help_behavior_hint="(default: as in training)"
        ),
    ] = None
    """Of a link: SNRs to measure at, in dB, e.g. 0:12:1; or one, e.g. 10."""
    errors: int = 1000
    """Of a link: wrong blocks at which a point is sure enough."""
    blocks: int = 2_000_000
    """Of a link: blocks at which a point ends anyway."""
    json: Switch = False
    """Print one JSON object, and nothing else."""


def run(words: list[str]) -> None:
    """Evaluates."""
    asked = parse(Evaluate, words, prog="syntony evaluate")
    # Late: --help need not wait for JAX.
    from syntony.run.devices import remember_programs
    from syntony.run.load import load
    from syntony.systems.link import Link

    remember_programs()
    with aside():
        loaded = load(asked.run)
        is_link = isinstance(loaded.system, Link)
        found = (_link if is_link else _team)(loaded, asked)
    if asked.json:
        print(json.dumps(found, allow_nan=False))
    elif is_link:
        _show_link(loaded, found)
    else:
        _print_team(found)


def _team(loaded: Any, asked: Evaluate) -> dict[str, Any]:
    from syntony.study.evaluate import evaluate
    from syntony.tasks.ids import task

    if asked.snr_db is not None:
        raise BadInput(f"{asked.run} is a team, which has no SNR; leave out --snr-db")
    where = None if asked.task is None else task(asked.task)
    return evaluate(loaded, episodes=asked.episodes, task=where)


def _link(loaded: Any, asked: Evaluate) -> dict[str, Any]:
    from syntony.study.link import evaluate_link

    if asked.task is not None:
        raise BadInput(f"{asked.run} is a link, which has no task; leave out --task")
    for name in ("errors", "blocks"):
        if getattr(asked, name) < 1:
            raise BadInput(f"{name} is {getattr(asked, name)}; expected at least 1")
    snrs_db = None if asked.snr_db is None else snr_range(asked.snr_db)
    return evaluate_link(loaded, snrs_db, wanted=asked.errors, cap=asked.blocks)


def _show_link(loaded: Any, found: dict[str, Any]) -> None:
    from syntony.study.run_figures import draw, remember

    _print_link(found)
    remember(loaded, found)
    for path in draw(loaded.path):
        print(path)


def snr_range(text: str) -> list[float]:
    """Returns the SNRs that `0:12:1`, `0:12` or `10` stand for; both ends included.

    Raises:
        BadInput: it makes no sense.
    """
    example = "expected LOW:HIGH:STEP in dB, e.g. 0:12:1, or one SNR, e.g. 10"
    parts = text.split(":")
    if not all(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", part) for part in parts):
        raise BadInput(f"snr_db is {text!r}; {example}")
    numbers = [float(part) for part in parts]
    if len(numbers) == 1:
        return numbers
    if len(numbers) > 3:
        raise BadInput(f"snr_db is {text!r}; {example}")
    low, high, step = (*numbers, 1.0)[:3]
    if low > high or step <= 0.0:
        raise BadInput(f"snr_db is {text!r}, which holds no SNR; {example}")
    # A hundredth of a step: 0.1 + 0.2 is not 0.3.
    count = math.floor((high - low) / step + 0.01) + 1
    if count > MOST_POINTS:
        raise BadInput(f"snr_db is {text!r}, {count} SNRs; expected {MOST_POINTS}")
    return [round(low + i * step, 6) for i in range(count)]


def _print_link(found: dict[str, Any]) -> None:
    from rich.table import Table

    points = found["points"]
    table = Table("SNR dB", "learned", box=None, pad_edge=False)
    for name in _columns(points[0]):
        table.add_column(name)
    table.add_column("errors / blocks")
    for column in table.columns:
        column.justify, column.no_wrap = "right", True
    for point in points:
        errors = sum(line["errors"] for line in point["seeds"])
        blocks = sum(line["blocks"] for line in point["seeds"])
        snr = "" if point["snr_db"] is None else f"{point['snr_db']:g}"
        rates = [point["bler"], *_columns(point).values()]
        table.add_row(snr, *map(_rate, rates), f"{errors:,} / {blocks:,}")
    screen = console()
    size = f"{found['messages']} messages in {found['uses']} channel uses"
    head = f"{found['run']}: {found['channel']}, {size}; block error rates"
    screen.print(head, markup=False)
    screen.print(table)
    for facts in found["codebooks"]:
        screen.print(
            f"seed {facts['seed']}: minimum distance {facts['min_distance']:.3f}, "
            f"energy {facts['energy_low']:.2f} to {facts['energy_high']:.2f} a use"
        )


def _columns(point: dict[str, Any]) -> dict[str, float]:
    """Returns what a point is compared with, by the heads of the columns."""
    columns = {}
    if "ml_bler" in point:
        columns["by ML"] = point["ml_bler"]
    columns |= {name: line["bler"] for name, line in point["others"].items()}
    if point["bounds"]:
        # All of them are in the JSON; the first is the tightest.
        columns["bound"] = next(iter(point["bounds"].values()))
    return columns


def _rate(value: float) -> str:
    return f"{value:.2e}" if value < 0.01 else f"{value:.4f}"


def _print_team(found: dict[str, Any]) -> None:
    from rich.table import Table

    from syntony.run.progress import scores_of, title

    scores = scores_of(found["all"])
    table = Table("", "steps", *map(title, scores), box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
        column.justify = "right" if column.header else "left"
    for head, steps, line in _rows(found):
        table.add_row(head, steps, *(_cell(line, name) for name in scores))
    screen = console()
    task = found["task"] or ""
    episodes = f"{found['episodes']:,} episodes each, mean [95 % interval]"
    screen.print(f"{found['run']}: {found['system']} {task}, {episodes}", markup=False)
    screen.print(table)


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
