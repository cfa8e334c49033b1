"""Turns runs of links into the small files behind published error rates.

    python benchmarks/publish_link.py OUT NAME=RUN... [--snr-db 0:12:1]
        [--errors 1000] [--blocks 2000000] [--one] [--curves]

Evaluates every run anew, and writes to OUT: `bler.csv` (block error rates over SNR of
every seed, beside the best decoder, other codes and bounds), `convergence.csv`, `.svg`
and `.png` (error rates while training), a figure of error rates for each run, and
`made_by.json` (command, commit, seeds, hardware). With --one, every run is measured at
one SNR, that of its training: `bler.csv`, and `bler.svg` and `.png` with all runs side
by side. With --curves nothing is measured: `convergence` and `made_by.json` alone.
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
from syntony.visualization import figures, link_figures

FACTS = (
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
    """Reads the runs that are named, measures them, and writes what is published."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--snr-db", default="0:12:1")
    parser.add_argument("--errors", type=int, default=TARGET_BLOCK_ERRORS)
    parser.add_argument("--blocks", type=int, default=MAX_BLOCKS)
    parser.add_argument("--one", action="store_true")
    parser.add_argument("--curves", action="store_true")
    asked = parser.parse_args()
    enable_compilation_cache()
    pairs = (pair.split("=", 1) for pair in asked.runs)
    runs = {name: load(run) for name, run in pairs}
    out: Path = asked.out
    out.mkdir(parents=True, exist_ok=True)
    made_by = {name: facts(run) for name, run in runs.items()}
    (out / "made_by.json").write_text(json.dumps(made_by, indent=1) + "\n")
    if asked.curves:
        draw_convergence(out, runs)
        return
    snrs_db = None if asked.one else parse_snr_range(asked.snr_db)
    found = {
        name: evaluate_link(
            run, snrs_db, target_block_errors=asked.errors, max_blocks=asked.blocks
        )
        for name, run in runs.items()
    }
    write_rates(out / "bler.csv", found)
    if asked.one:
        figures.save_figure(link_figures.plot_bler_per_run(found), out / "bler")
        return
    for name, measured in found.items():
        slug = name.replace(" ", "-").replace(",", "")
        figures.save_figure(link_figures.plot_bler(measured, title=name), out / slug)
    draw_convergence(out, runs)


def draw_convergence(out: Path, runs: Mapping[str, Run]) -> None:
    """Draws and writes the error rates of all runs while they learned."""
    curves = {
        name: read_learning_curve(run.path, "eval/bler") for name, run in runs.items()
    }
    figures.save_figure(
        link_figures.plot_bler_over_training(curves), out / "convergence"
    )
    with (out / "convergence.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("run", "iteration", "seed", "bler"))
        for name, curve in curves.items():
            for seed, scores in enumerate(curve.scores):
                for step, score in zip(curve.steps, scores, strict=True):
                    writer.writerow((name, int(step), seed, f"{score:.3e}"))


def write_rates(path: Path, found: Mapping[str, Any]) -> None:
    """Writes every point of every seed, and what it is compared with, one a row."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ("run", "snr_db", "what", "seed", "bler", "low", "high", "errors", "blocks")
        )
        for name, measured in found.items():
            for point in measured["points"]:
                for row in rows(point):
                    writer.writerow((name, point["snr_db"], *row))


def rows(point: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Returns the rows of one point: seeds, their ML decoders, other codes, bounds."""
    found: list[tuple[Any, ...]] = []
    for line in point["seeds"]:
        found.append(("learned", line["seed"], *counts(line, "")))
        if "ml_bler" in line:
            found.append(("learned, ML", line["seed"], *counts(line, "ml_")))
    found += [(name, "", *counts(line, "")) for name, line in point["others"].items()]
    nothing = ("", "", "", "")
    bounds = point["bounds"].items()
    return found + [(name, "", f"{rate:.4e}", *nothing) for name, rate in bounds]


def counts(line: Mapping[str, Any], kind: str) -> tuple[Any, ...]:
    """Returns a rate, its interval, and the counts that they come from."""
    rate, low, high = (line[f"{kind}bler{end}"] for end in ("", "_low", "_high"))
    numbers = (f"{rate:.4e}", f"{low:.4e}", f"{high:.4e}")
    return (*numbers, line[f"{kind}errors"], line["blocks"])


def facts(run: Run) -> dict[str, Any]:
    """Returns how a run was made."""
    settings = run.settings
    return {name: settings[name] for name in FACTS}


if __name__ == "__main__":
    main()
