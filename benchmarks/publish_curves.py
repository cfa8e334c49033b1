"""Turns run folders into the small files behind a published learning curve.

    python benchmarks/publish_curves.py OUT SMPE²=RUN MAA2C=RUN,ANOTHER

Runs of one name are further seeds of the same; they are drawn as far as all of them go.

Writes to OUT: a CSV for each run (every evaluation of every seed), `summary.csv` (the
mean over seeds at milestones, with its 95 % interval, beside the paper's value),
`curves.svg` and `.png`, and `made_by.json` (command, commit, seeds, hardware).
"""

import argparse
import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from syntony.run.folder import Folder
from syntony.study import figures
from syntony.study.curves import SCORE, Curve, read_curve
from syntony.study.statistics import mean_over_seeds

PAPER = {
    "SMPE²": {1e6: 0.0, 1.5e6: 0.09, 2e6: 0.46, 3e6: 0.89, 4e6: 0.93, 5e6: 0.96}
    | {7.5e6: 0.975, 10e6: 0.985},
    "MAA2C": {1e6: 0.0, 1.5e6: 0.03, 2e6: 0.19, 3e6: 0.43, 4e6: 0.60, 5e6: 0.76}
    | {7.5e6: 0.92, 10e6: 0.955},
}
"""Foraging-2s-8x8-3p-2f-coop, mean return, read off the paper's figures to ±0.02."""
MILESTONES = sorted(PAPER["SMPE²"])
SCORES = (SCORE, f"{SCORE}_low", f"{SCORE}_high", f"{SCORE}_greedy")


def main() -> None:
    """Reads the runs that are named, and writes what is published of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    arguments = parser.parse_args()
    pairs = (pair.split("=", 1) for pair in arguments.runs)
    runs = {name: [Path(run) for run in of.split(",")] for name, of in pairs}
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)

    curves = {name: join(map(read_curve, of)) for name, of in runs.items()}
    every = [run for of in runs.values() for run in of]
    for run in every:
        write_evaluations(out / f"{run.name}.csv", run)
    write_summary(out / "summary.csv", curves)
    paper = {
        name: [(step / 1e6, value) for step, value in points.items()]
        for name, points in PAPER.items()
        if name in runs
    }
    settings = {run.name: Folder(run).read_settings() for run in every}
    title = next(iter(settings.values()))["task"]["id"]
    figure = figures.learning_curves(curves, title=title, paper=paper)
    figures.save(figure, out / "curves")
    facts = ("command", "commit", "seeds", "seed", "hardware", "settings")
    made_by = {
        name: {key: made[key] for key in facts} for name, made in settings.items()
    }
    (out / "made_by.json").write_text(json.dumps(made_by, indent=2) + "\n")


def join(curves: Iterable[Curve]) -> Curve:
    """Returns the seeds of all curves as those of one, where all were measured."""
    parts = list(curves)
    steps = np.unique(np.concatenate([part.steps for part in parts]))
    first = max(part.steps[0] for part in parts)
    last = min(part.steps[-1] for part in parts)
    steps = steps[(first <= steps) & (steps <= last)]
    scores = [np.interp(steps, p.steps, row) for p in parts for row in p.scores]
    return Curve(steps, np.stack(scores))


def write_evaluations(path: Path, run: Path) -> None:
    """Writes every evaluation of every seed, one a row."""
    lines = [json.loads(line) for line in Folder(run).metrics.read_text().splitlines()]
    lines.sort(key=lambda line: (line["seed"], line["step"]))
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("seed", "step", "wall_s", *SCORES))
        for line in lines:
            scores = [f"{line[score]:.4f}" for score in SCORES]
            writer.writerow(
                (line["seed"], line["step"], f"{line['wall_s']:.0f}", *scores)
            )


def write_summary(path: Path, curves: Mapping[str, Curve]) -> None:
    """Writes the mean over seeds at each milestone that a run has reached.

    A point averages the evaluations within 100,000 steps of it.
    """
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("system", "step", "mean", "low", "high", "seeds", "paper"))
        for name, curve in curves.items():
            for step in MILESTONES:
                near = np.abs(curve.steps - step) <= 100_000
                if not near.any():
                    continue
                scores = curve.scores[:, near].mean(axis=1)
                band = mean_over_seeds(scores[:, None])
                row = [f"{x[0]:.3f}" for x in band]
                paper = PAPER.get(name, {}).get(step, "")
                writer.writerow((name, int(step), *row, len(scores), paper))


if __name__ == "__main__":
    main()
