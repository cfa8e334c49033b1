"""`syntony evaluate`: what a run has learned, as a table or as JSON."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from syntony.cli.flags import BoolFlag, RunArgument, parse_args
from syntony.cli.screen import make_console, stdout_to_stderr
from syntony.errors import InvalidInputError

MAX_SNR_POINTS = 200


@dataclass(frozen=True)
class EvaluateArgs:
    """Measures what each seed of a run has learned, and what all have together.

    Intervals hold the mean with 95 %: over episodes for a seed, over seeds for all.
    """

    run: RunArgument
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
    target_block_errors: int = 1000
    """Of a link: wrong blocks at which a point is sure enough."""
    max_blocks: int = 2_000_000
    """Of a link: blocks at which a point ends anyway."""
    json: BoolFlag = False
    """Print one JSON object, and nothing else."""


def run(argv: list[str]) -> None:
    """Evaluates."""
    asked = parse_args(EvaluateArgs, argv, prog="syntony evaluate")
    # Late: --help need not wait for JAX.
    from syntony.systems.link.link import Link
    from syntony.training.devices import enable_compilation_cache
    from syntony.training.run import load

    enable_compilation_cache()
    with stdout_to_stderr():
        loaded = load(asked.run)
        is_link = isinstance(loaded.system, Link)
        found = (_evaluate_link if is_link else _evaluate_team)(loaded, asked)
    if asked.json:
        print(json.dumps(found, allow_nan=False))
    elif is_link:
        _print_and_draw_link(loaded, found)
    else:
        _print_team(found)


def _evaluate_team(loaded_run: Any, args: EvaluateArgs) -> dict[str, Any]:
    from syntony.evaluation.evaluate import evaluate_team
    from syntony.tasks.registry import task

    if args.snr_db is not None:
        raise InvalidInputError(
            f"{args.run} is a team, which has no SNR; leave out --snr-db"
        )
    where = None if args.task is None else task(args.task)
    return evaluate_team(loaded_run, episodes=args.episodes, task=where)


def _evaluate_link(loaded_run: Any, args: EvaluateArgs) -> dict[str, Any]:
    from syntony.evaluation.link import evaluate_link

    if args.task is not None:
        raise InvalidInputError(
            f"{args.run} is a link, which has no task; leave out --task"
        )
    for name in ("target_block_errors", "max_blocks"):
        if getattr(args, name) < 1:
            raise InvalidInputError(
                f"{name} is {getattr(args, name)}; expected at least 1"
            )
    snrs_db = None if args.snr_db is None else parse_snr_range(args.snr_db)
    return evaluate_link(
        loaded_run,
        snrs_db,
        target_block_errors=args.target_block_errors,
        max_blocks=args.max_blocks,
    )


def _print_and_draw_link(loaded_run: Any, results: dict[str, Any]) -> None:
    from syntony.visualization.run_figures import save_evaluation, save_run_figures

    _print_link(results)
    save_evaluation(loaded_run, results)
    for path in save_run_figures(loaded_run.path):
        print(path)


def parse_snr_range(text: str) -> list[float]:
    """Returns the SNRs that `0:12:1`, `0:12` or `10` stand for; both ends included.

    Raises:
        BadInput: it makes no sense.
    """
    example = "expected LOW:HIGH:STEP in dB, e.g. 0:12:1, or one SNR, e.g. 10"
    parts = text.split(":")
    if not all(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", part) for part in parts):
        raise InvalidInputError(f"snr_db is {text!r}; {example}")
    numbers = [float(part) for part in parts]
    if len(numbers) == 1:
        return numbers
    if len(numbers) > 3:
        raise InvalidInputError(f"snr_db is {text!r}; {example}")
    low, high, step = (*numbers, 1.0)[:3]
    if low > high or step <= 0.0:
        raise InvalidInputError(f"snr_db is {text!r}, which holds no SNR; {example}")
    # A hundredth of a step: 0.1 + 0.2 is not 0.3.
    count = math.floor((high - low) / step + 0.01) + 1
    if count > MAX_SNR_POINTS:
        raise InvalidInputError(
            f"snr_db is {text!r}, {count} SNRs; expected {MAX_SNR_POINTS}"
        )
    return [round(low + i * step, 6) for i in range(count)]


def _print_link(results: dict[str, Any]) -> None:
    from rich.table import Table

    points = results["points"]
    table = Table("SNR dB", "learned", box=None, pad_edge=False)
    for name in _comparison_columns(points[0]):
        table.add_column(name)
    table.add_column("errors / blocks")
    for column in table.columns:
        column.justify, column.no_wrap = "right", True
    for point in points:
        errors = sum(line["errors"] for line in point["seeds"])
        blocks = sum(line["blocks"] for line in point["seeds"])
        snr = "" if point["snr_db"] is None else f"{point['snr_db']:g}"
        rates = [point["bler"], *_comparison_columns(point).values()]
        table.add_row(snr, *map(_format_error_rate, rates), f"{errors:,} / {blocks:,}")
    screen = make_console()
    size = f"{results['messages']} messages in {results['uses']} channel uses"
    head = f"{results['run']}: {results['channel']}, {size}; block error rates"
    screen.print(head, markup=False)
    screen.print(table)
    for facts in results["codebooks"]:
        screen.print(
            f"seed {facts['seed']}: minimum distance {facts['min_distance']:.3f}, "
            f"energy {facts['energy_low']:.2f} to {facts['energy_high']:.2f} a use"
        )


def _comparison_columns(point: dict[str, Any]) -> dict[str, float]:
    """Returns what a point is compared with, by the heads of the columns."""
    columns = {}
    if "ml_bler" in point:
        columns["by ML"] = point["ml_bler"]
    columns |= {name: line["bler"] for name, line in point["others"].items()}
    if point["bounds"]:
        # All of them are in the JSON; the first is the tightest.
        columns["bound"] = next(iter(point["bounds"].values()))
    return columns


def _format_error_rate(value: float) -> str:
    return f"{value:.2e}" if value < 0.01 else f"{value:.4f}"


def _print_team(results: dict[str, Any]) -> None:
    from rich.table import Table

    from syntony.training.progress import eval_metric_names, metric_label

    scores = eval_metric_names(results["all"])
    table = Table("", "steps", *map(metric_label, scores), box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
        column.justify = "right" if column.header else "left"
    for head, steps, line in _table_rows(results):
        table.add_row(head, steps, *(_format_cell(line, name) for name in scores))
    screen = make_console()
    task = results["task"] or ""
    episodes = f"{results['episodes']:,} episodes each, mean [95 % interval]"
    screen.print(
        f"{results['run']}: {results['system']} {task}, {episodes}", markup=False
    )
    screen.print(table)


def _table_rows(results: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if results["untrained"]:
        yield "untrained", "0", results["untrained"]
    for line in results["seeds"]:
        yield f"seed {line['seed']}", f"{line['step']:,}", line
    if len(results["seeds"]) > 1:
        yield "all seeds", "", results["all"]


def _format_cell(row: dict[str, Any], name: str) -> str:
    from syntony.training.progress import format_interval

    if row[f"{name}_low"] is None:
        return f"{row[name]:.3f}"
    return format_interval(row, name)
