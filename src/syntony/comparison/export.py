"""Export of compared runs: to marl-eval's JSON, and to a table with a row a score.

marl-eval (Gorsane et al. 2022) wants as many evaluations, at the same steps, of all
runs of a task: here each curve is interpolated at the steps of the shortest one. Its
"absolute metric" is another evaluation of the best weights; here it is the best
evaluation during training, which is biased upwards.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from syntony.comparison.groups import RunGroup, SeedCurve, TaskRuns
from syntony.errors import InvalidInputError
from syntony.training.atomic_io import atomic_write_bytes
from syntony.training.primary_metrics import ERROR_RATE_METRICS

CSV_COLUMNS = ("task", "algorithm", "run", "seed", "metric", "step", "score")
BENCHMARKS = {"Foraging": "lbf", "rware": "rware", "SimpleSpread": "mpe"}
BENCHMARKS |= {"SpeakerListener": "mpe"}
"""marl-eval's name of the environment, by the first word of a task's id."""


def write_export(tasks: Sequence[TaskRuns], path: Path) -> Path:
    """Writes the learning curves of all seeds; returns the file.

    Args:
        tasks: compared runs.
        path: a file `.json`, in marl-eval's format; or `.csv`, with a row for each
            evaluation of a seed.

    Raises:
        InvalidInputError: the file has another ending, or cannot be written.
    """
    if path.suffix not in (".json", ".csv"):
        raise InvalidInputError(
            f"{path} ends in {path.suffix!r}; expected a file .json (marl-eval) or .csv"
        )
    is_json = path.suffix == ".json"
    text = json.dumps(to_marl_eval(tasks), indent=1) if is_json else to_csv(tasks)
    try:
        atomic_write_bytes(path, text.encode())
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}") from None
    return path


def to_marl_eval(tasks: Sequence[TaskRuns]) -> dict[str, object]:
    """The curves in the structure of marl-eval: environment, task, algorithm, run."""
    exported: dict[str, dict[str, object]] = {}
    for task in tasks:
        steps = _common_steps(task)
        algorithms = {
            group.label: dict(_exported_runs(task, group, steps))
            for group in task.groups
        }
        exported.setdefault(_environment(task.task), {})[task.task] = algorithms
    return {**exported}


def to_csv(tasks: Sequence[TaskRuns]) -> str:
    """The curves as a table with one row for each evaluation of a seed."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for task in tasks:
        for group in task.groups:
            for curve in group.seed_curves:
                first = task.task, group.label, curve.run, curve.seed, task.metric
                for step, score in zip(curve.steps, curve.scores, strict=True):
                    writer.writerow([*first, int(step), float(score)])
    return stream.getvalue()


def _exported_runs(
    task: TaskRuns, group: RunGroup, steps: Float[np.ndarray, " T"]
) -> Iterator[tuple[str, dict[str, object]]]:
    """Yields the name of each seed, and its evaluations."""
    # marl-eval calls it `return`, and the mean over episodes `mean_return`.
    name = task.metric.rpartition("/")[2].removesuffix("_mean")
    best = min if task.metric in ERROR_RATE_METRICS else max
    for curve in group.seed_curves:
        scores = np.interp(steps, curve.steps, curve.scores)
        run: dict[str, object] = {
            f"step_{index}": {"step_count": int(step), name: [float(score)]}
            for index, (step, score) in enumerate(zip(steps, scores, strict=True))
        }
        run["absolute_metrics"] = {name: [float(best(scores))]}
        yield f"seed_{curve.seed}", run


def _common_steps(task: TaskRuns) -> Float[np.ndarray, " T"]:
    """Steps of the seed with the fewest evaluations, up to where all seeds have been.

    Raises:
        InvalidInputError: the seeds have no steps in common.
    """
    curves: list[SeedCurve] = [x for group in task.groups for x in group.seed_curves]
    first = max(curve.steps[0] for curve in curves)
    last = min(curve.steps[-1] for curve in curves)
    steps = min((curve.steps for curve in curves), key=len)
    steps = steps[(first <= steps) & (steps <= last)]
    if not len(steps):
        raise InvalidInputError(
            f"the runs of {task.task} have no steps in common; expected runs of the "
            "same length"
        )
    return steps


def _environment(task: str) -> str:
    return BENCHMARKS.get(task.partition("-")[0], task.partition("-")[0])
