"""Turns run folders into the small files behind a published learning curve.

    python benchmarks/publish_curves.py OUT SMPE²=RUN MAA2C=RUN,ANOTHER [--also SCORE]

Runs of one name are further seeds of the same; they are drawn as far as all of them go.

Writes to OUT: a CSV for each run (every evaluation of every seed, with what --also
names, e.g. train/kl_loss), `summary.csv` (the mean over seeds at milestones, with its
95 % interval, beside the paper's value), `curves.svg` and `.png`, and `made_by.json`
(command, commit, seeds, hardware). Who is better than whom: `syntony compare`, with the
same words.
"""

import argparse
import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from syntony.comparison import reported_results
from syntony.comparison.compare import reported_curve
from syntony.comparison.figures import align_curves, reported_points
from syntony.comparison.groups import TaskRuns, group_runs, parse_run_argument
from syntony.errors import InvalidInputError
from syntony.evaluation.learning_curves import DEFAULT_METRIC, LearningCurve
from syntony.evaluation.statistics import mean_over_seeds
from syntony.training import metrics_log
from syntony.training.run_folder import RunFolder
from syntony.visualization import figures

NEAR = 100_000
"""A milestone averages the evaluations within so many steps of it."""
PARTS = 10
"""Milestones where no paper has any."""
SCORES = (
    DEFAULT_METRIC,
    f"{DEFAULT_METRIC}_low",
    f"{DEFAULT_METRIC}_high",
    f"{DEFAULT_METRIC}_greedy",
)
FACTS = ("command", "commit", "seeds", "seed", "hardware", "settings")


def main() -> None:
    """Reads the runs that are named, and writes what is published of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN,RUN")
    parser.add_argument("--also", action="append", default=[], metavar="SCORE")
    asked = parser.parse_args()
    try:
        found, _ = group_runs(asked.runs, metric=DEFAULT_METRIC)
    except InvalidInputError as failure:
        parser.error(str(failure))
    if len(found) > 1:
        parser.error(f"runs of {found[0].task} and of {found[1].task}; expected one")
    runs = [run for word in asked.runs for _, run in parse_run_argument(word)]
    publish(asked.out, found[0], runs, (*SCORES, *asked.also))


def publish(
    out: Path, contest: TaskRuns, runs: Sequence[Path], scores: Sequence[str]
) -> None:
    """Writes all files of one task."""
    out.mkdir(parents=True, exist_ok=True)
    for run in runs:
        write_evaluations(out / f"{run.name}.csv", run, scores)
    curves = {group.label: align_curves(group.seed_curves) for group in contest.groups}
    write_summary(out / "summary.csv", contest, curves)
    paper = reported_points(contest, contest.groups, curves)
    figure = figures.plot_learning_curves(curves, title=contest.task, paper=paper)
    if len(curves) > 2:
        figure = figures.move_legend_outside(figure)
    figures.save_figure(figure, out / "curves")
    settings = {run.name: RunFolder(run).read_settings() for run in runs}
    made_by = {n: {key: made[key] for key in FACTS} for n, made in settings.items()}
    (out / "made_by.json").write_text(json.dumps(made_by, indent=2) + "\n")


def write_evaluations(path: Path, run: Path, scores: Sequence[str]) -> None:
    """Writes every evaluation of every seed, one a row."""
    lines = metrics_log.read_rows(RunFolder(run).metrics_path)
    lines.sort(key=lambda line: (line["seed"], line["step"]))
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("seed", "step", "wall_s", *scores))
        for line in lines:
            place = (line["seed"], line["step"], f"{line['wall_s']:.0f}")
            writer.writerow((*place, *(decimals(line.get(name)) for name in scores)))


def decimals(value: float | None, places: int = 4) -> str:
    """Returns a score; nothing of one that is no number."""
    return "" if value is None or np.isnan(value) else f"{value:.{places}f}"


def write_summary(
    path: Path, contest: TaskRuns, curves: Mapping[str, LearningCurve]
) -> None:
    """Writes the mean over seeds at each milestone that a group has reached.

    All groups that are there are averaged over the same steps, none further than the
    one that ended first.
    """
    known = {group.label: reported_curve(contest, group) for group in contest.groups}
    steps = {step for curve in known.values() if curve for step in curve.points}
    last = max(curve.steps[-1] for curve in curves.values())
    milestones = sorted(steps) or [last * n / PARTS for n in range(1, PARTS + 1)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("system", "step", "mean", "low", "high", "seeds", "paper"))
        for name, curve in curves.items():
            for step in milestones:
                near = evaluations_near(step, curve, curves.values())
                if not near.any():
                    continue
                scores = curve.scores[:, near].mean(axis=1)
                row = [decimals(x[0], 3) for x in mean_over_seeds(scores[:, None])]
                paper = value_at(known[name], step)
                writer.writerow((name, int(step), *row, len(scores), paper))


def evaluations_near(
    step: float, curve: LearningCurve, curves: Iterable[LearningCurve]
) -> Bool[np.ndarray, " points"]:
    """Returns which evaluations of a curve count for a milestone.

    Args:
        curves: all that stand in the same table, this one too.
    """
    ends = [each.steps[-1] for each in curves]
    last = min((end for end in ends if end >= step - NEAR), default=step)
    return (np.abs(curve.steps - step) <= NEAR) & (curve.steps <= last)


def value_at(curve: reported_results.ReportedCurve | None, step: float) -> float | str:
    """Returns the paper's value at a step; nothing where it has none."""
    value = None if curve is None else reported_results.interpolate(curve, step)
    return "" if value is None else value


if __name__ == "__main__":
    main()
