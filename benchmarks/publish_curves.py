"""Writes the files of a published learning curve from run folders.

    python benchmarks/publish_curves.py OUT SMPE²=RUN MAA2C=RUN,RUN [--also METRIC]

Runs of one name are further seeds of the same group; their curve ends at the last step
that all of them have reached.

Writes to OUT: a CSV for each run (every evaluation of every seed, with the metrics of
--also, e.g. train/kl_loss), `summary.csv` (the mean over seeds at milestones, with its
95 % interval, beside the paper's value), and `made_by.json` (command, commit, seeds,
hardware). `syntony compare`, with the same arguments, compares the groups, and
`python benchmarks/draw_results.py` draws the figures of the documentation.
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
from syntony.comparison.figures import align_curves
from syntony.comparison.groups import TaskRuns, group_runs, parse_run_argument
from syntony.errors import InvalidInputError
from syntony.evaluation.learning_curves import DEFAULT_METRIC, LearningCurve
from syntony.evaluation.statistics import mean_over_seeds
from syntony.training import metrics_log
from syntony.training.run_folder import RunFolder

MILESTONE_WINDOW = 100_000
"""A milestone averages the evaluations within this number of steps of it."""
NUM_MILESTONES = 10
"""Milestones of a task without values of a paper."""
METRICS = (
    DEFAULT_METRIC,
    f"{DEFAULT_METRIC}_low",
    f"{DEFAULT_METRIC}_high",
    f"{DEFAULT_METRIC}_greedy",
)
RUN_SETTINGS = ("command", "commit", "seeds", "seed", "hardware", "settings")


def main() -> None:
    """Reads the named runs, and writes their files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN,RUN")
    parser.add_argument("--also", action="append", default=[], metavar="METRIC")
    args = parser.parse_args()
    try:
        tasks, _ = group_runs(args.runs, metric=DEFAULT_METRIC)
    except InvalidInputError as error:
        parser.error(str(error))
    if len(tasks) > 1:
        parser.error(f"runs of {tasks[0].task} and of {tasks[1].task}; expected one")
    runs = [run for argument in args.runs for _, run in parse_run_argument(argument)]
    publish(args.out, tasks[0], runs, (*METRICS, *args.also))


def publish(
    out: Path, task_runs: TaskRuns, runs: Sequence[Path], metrics: Sequence[str]
) -> None:
    """Writes all files of one task."""
    out.mkdir(parents=True, exist_ok=True)
    for run in runs:
        write_evaluations(out / f"{run.name}.csv", run, metrics)
    curves = {
        group.label: align_curves(group.seed_curves)._replace(
            possible=task_runs.possible
        )
        for group in task_runs.groups
    }
    write_summary(out / "summary.csv", task_runs, curves)
    settings = {run.name: RunFolder(run).read_settings() for run in runs}
    made_by = {
        name: {key: values[key] for key in RUN_SETTINGS}
        for name, values in settings.items()
    }
    (out / "made_by.json").write_text(json.dumps(made_by, indent=2) + "\n")


def write_evaluations(path: Path, run: Path, metrics: Sequence[str]) -> None:
    """Writes every evaluation of every seed, one per row."""
    rows = metrics_log.read_rows(RunFolder(run).metrics_path)
    rows.sort(key=lambda row: (row["seed"], row["step"]))
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("seed", "step", "wall_s", *metrics))
        for row in rows:
            index = (row["seed"], row["step"], f"{row['wall_s']:.0f}")
            writer.writerow((*index, *(decimals(row.get(name)) for name in metrics)))


def decimals(value: float | None, places: int = 4) -> str:
    """Text of a value; empty for None and NaN."""
    return "" if value is None or np.isnan(value) else f"{value:.{places}f}"


def write_summary(
    path: Path, task_runs: TaskRuns, curves: Mapping[str, LearningCurve]
) -> None:
    """Writes the mean over seeds at each milestone that a group has reached.

    All groups at a milestone are averaged over the same steps.
    """
    reported = {g.label: reported_curve(task_runs, g) for g in task_runs.groups}
    steps = {step for curve in reported.values() if curve for step in curve.points}
    last = max(curve.steps[-1] for curve in curves.values())
    evenly_spaced = last * np.arange(1, NUM_MILESTONES + 1) / NUM_MILESTONES
    milestones = sorted(steps) or list(evenly_spaced)
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
                paper = value_at(reported[name], step)
                writer.writerow((name, int(step), *row, len(scores), paper))


def evaluations_near(
    step: float, curve: LearningCurve, curves: Iterable[LearningCurve]
) -> Bool[np.ndarray, " points"]:
    """Mask of the evaluations of a curve that a milestone averages.

    Args:
        curves: all curves of the table, including this one.
    """
    ends = [each.steps[-1] for each in curves]
    last = min((end for end in ends if end >= step - MILESTONE_WINDOW), default=step)
    return (np.abs(curve.steps - step) <= MILESTONE_WINDOW) & (curve.steps <= last)


def value_at(curve: reported_results.ReportedCurve | None, step: float) -> float | str:
    """The paper's value at a step; empty if there is none."""
    value = None if curve is None else reported_results.interpolate(curve, step)
    return "" if value is None else value


if __name__ == "__main__":
    main()
