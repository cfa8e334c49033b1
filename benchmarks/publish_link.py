"""Writes the files of published block error rates from runs of links.

    python benchmarks/publish_link.py OUT NAME=RUN... [--snr-db 0:12:1]
        [--target-block-errors 1000] [--max-blocks 2000000]
        [--training-snr-only] [--curves-only]

Evaluates every run, and writes to OUT: `bler.csv` (block error rates over SNR of every
seed, beside maximum-likelihood detection, classical codes and bounds),
`convergence.csv` (error rates during training) and `made_by.json` (command, commit,
seeds, hardware). With --training-snr-only, every run is evaluated at its training SNR,
for `bler.csv` alone. With --curves-only nothing is evaluated: `convergence.csv` and
`made_by.json` alone. `python benchmarks/draw_results.py` draws the figures of the
documentation.
"""

import argparse
import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from syntony.cli.evaluate import parse_snr_range
from syntony.evaluation.bler import MAX_BLOCKS, TARGET_BLOCK_ERRORS
from syntony.evaluation.learning_curves import read_learning_curve
from syntony.evaluation.link import evaluate_link
from syntony.training.devices import enable_compilation_cache
from syntony.training.run import Run, load

RUN_SETTINGS = (
    "command",
    "commit",
    "seeds",
    "seed",
    "steps",
    "hardware",
    "channel",
    "settings",
)


def main() -> None:
    """Reads the named runs, evaluates them, and writes their files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--snr-db", default="0:12:1")
    parser.add_argument("--target-block-errors", type=int, default=TARGET_BLOCK_ERRORS)
    parser.add_argument("--max-blocks", type=int, default=MAX_BLOCKS)
    parser.add_argument("--training-snr-only", action="store_true")
    parser.add_argument("--curves-only", action="store_true")
    args = parser.parse_args()
    enable_compilation_cache()
    pairs = (pair.split("=", 1) for pair in args.runs)
    runs = {name: load(run) for name, run in pairs}
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    made_by = {name: run_settings(run) for name, run in runs.items()}
    (out / "made_by.json").write_text(json.dumps(made_by, indent=1) + "\n")
    if args.curves_only:
        write_convergence(out, runs)
        return
    snrs_db = None if args.training_snr_only else parse_snr_range(args.snr_db)
    evaluations = {
        name: evaluate_link(
            run,
            snrs_db,
            target_block_errors=args.target_block_errors,
            max_blocks=args.max_blocks,
        )
        for name, run in runs.items()
    }
    write_rates(out / "bler.csv", evaluations)
    if not args.training_snr_only:
        write_convergence(out, runs)


def write_convergence(out: Path, runs: Mapping[str, Run]) -> None:
    """Writes the error rates of all runs during training."""
    curves = {
        name: read_learning_curve(run.path, "eval/bler") for name, run in runs.items()
    }
    with (out / "convergence.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("run", "iteration", "seed", "bler"))
        for name, curve in curves.items():
            for seed, scores in enumerate(curve.scores):
                for step, score in zip(curve.steps, scores, strict=True):
                    writer.writerow((name, int(step), seed, f"{score:.3e}"))


def write_rates(path: Path, evaluations: Mapping[str, Any]) -> None:
    """Writes every point of every seed, its baselines and bounds, one per row."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ("run", "snr_db", "what", "seed", "bler", "low", "high", "errors", "blocks")
        )
        for name, evaluation in evaluations.items():
            for point in evaluation["points"]:
                for row in rows(point):
                    writer.writerow((name, point["snr_db"], *row))


def rows(point: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of one point: seeds, their ML detectors, classical codes, bounds."""
    table: list[tuple[Any, ...]] = []
    for result in point["seeds"]:
        table.append(("learned", result["seed"], *counts(result, "")))
        if "ml_bler" in result:
            table.append(("learned, ML", result["seed"], *counts(result, "ml_")))
    baselines = point["baselines"].items()
    table += [(name, "", *counts(result, "")) for name, result in baselines]
    empty = ("", "", "", "")
    bounds = point["bounds"].items()
    return table + [(name, "", f"{rate:.4e}", *empty) for name, rate in bounds]


def counts(result: Mapping[str, Any], kind: str) -> tuple[Any, ...]:
    """A rate, its interval, and the counts of errors and blocks."""
    rate, low, high = (result[f"{kind}bler{end}"] for end in ("", "_low", "_high"))
    numbers = (f"{rate:.4e}", f"{low:.4e}", f"{high:.4e}")
    return (*numbers, result[f"{kind}errors"], result["blocks"])


def run_settings(run: Run) -> dict[str, Any]:
    """Settings of a run that are published."""
    settings = run.settings
    return {name: settings[name] for name in RUN_SETTINGS}


if __name__ == "__main__":
    main()
