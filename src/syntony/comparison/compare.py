"""Groups of runs in numbers, at equal steps: who is better, and how sure that is."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from syntony.comparison import reported_results
from syntony.comparison.groups import RunGroup, SeedCurve, TaskRuns, group_runs
from syntony.equations import statistics
from syntony.equations.statistics import ScoresPerTask
from syntony.errors import InvalidInputError
from syntony.evaluation.statistics import mean_over_seeds
from syntony.training.progress import ERROR_RATE_METRICS

BOOTSTRAP_WARNING_SEEDS = 5
"""Of so few seeds, and of fewer, a bootstrap's interval is too narrow."""
THRESHOLD_FRACTION = 0.9
"""How much of the way to the best score is to be gone, where nothing else is asked."""
LAGGING_FRACTION = 0.8
"""A seed that has come less far than this share of the furthest is named."""
MIN_ERROR_RATE = 1e-7
"""Error rates below count as this: nobody has measured so few."""


class Comparison(NamedTuple):
    """What was compared, and what was found, as JSON can hold it."""

    tasks: list[TaskRuns]
    results: dict[str, Any]


class TruncatedCurve(NamedTuple):
    """A seed's curve up to the step at which all are compared."""

    full_curve: SeedCurve
    steps: Float[np.ndarray, " T"]
    scores: Float[np.ndarray, " T"]
    final_score: float
    """What it scores there, or on average over a window before."""


GroupedCurves = list[tuple[RunGroup, list[TruncatedCurve]]]
"""The groups of a task, each with its seeds."""


def compare(
    runs: Sequence[str],
    *,
    at_step: int | None = None,
    eval_window: int = 0,
    threshold: float | None = None,
    metric: str | None = None,
) -> Comparison:
    """Compares groups of runs at equal steps.

    Intervals are of 95 %: bootstraps, stratified over tasks, of interquartile means;
    Student's of means; Newcombe's of the probability of improvement.

    Args:
        runs: folders, or `NAME=FOLDER,FOLDER`.
        at: the step; by default, on each task, the last one that all seeds reached.
        window: a seed's score is the mean of its evaluations in so many steps up to
            there; by default that of one alone.
        reach: the score whose first step is told; by default nine tenths of the way
            from where all start to the best group's score.
        score: what is compared, e.g. `eval/return_mean_greedy`.

    Raises:
        BadInput: there is nothing to compare, or not at that step.
    """
    found, notes = group_runs(runs, metric=metric)
    if eval_window < 0:
        raise InvalidInputError(f"window is {eval_window:,}; expected 0 steps or more")
    fields = [_truncate_curves(contest, at_step, eval_window) for contest in found]
    tasks = [
        _compare_task(contest, field, threshold) | {"window": eval_window}
        for contest, field in zip(found, fields, strict=True)
    ]
    notes += [note for contest in found for note in _lagging_seed_notes(contest)]
    counts = {len(courses) for field in fields for _, courses in field}
    if 1 in counts:
        notes.append("one seed says nothing of others, and has no interval")
    if counts & set(range(2, BOOTSTRAP_WARNING_SEEDS + 1)):
        notes.append(
            "of few seeds, bootstrapped intervals are too narrow: those of 3, 5 and 10 "
            "hold the truth in about 76, 89 and 94 of 100 cases"
        )
    overall = _aggregate_over_tasks(found, fields)
    return Comparison(found, {"tasks": tasks, "overall": overall, "notes": notes})


def _truncate_curves(
    task_runs: TaskRuns, at_step: int | None, eval_window: int
) -> GroupedCurves:
    """Returns all curves, cut at the step of the comparison."""
    slowest = _shortest_curve(task_runs)
    first = max(
        seed.steps[0] for group in task_runs.groups for seed in group.seed_curves
    )
    last = float(slowest.steps[-1] if at_step is None else at_step)
    if last > slowest.steps[-1]:
        raise InvalidInputError(
            f"at is {last:,.0f}, beyond step {slowest.steps[-1]:,.0f}, where seed "
            f"{slowest.seed} of {slowest.run} ends; expected no more"
        )
    if last <= first:
        raise InvalidInputError(
            f"step {last:,.0f} is no step at which all runs of {task_runs.task} were "
            f"measured; expected more than {first:,.0f}"
        )
    return [
        (group, [_truncate(seed, last, eval_window) for seed in group.seed_curves])
        for group in task_runs.groups
    ]


def _shortest_curve(task_runs: TaskRuns) -> SeedCurve:
    seeds = [seed for group in task_runs.groups for seed in group.seed_curves]
    return min(seeds, key=lambda seed: seed.steps[-1])


def _lagging_seed_notes(task_runs: TaskRuns) -> Iterator[str]:
    """Says who holds back a comparison by much."""
    slowest = _shortest_curve(task_runs)
    furthest = max(s.steps[-1] for group in task_runs.groups for s in group.seed_curves)
    if slowest.steps[-1] < LAGGING_FRACTION * furthest:
        yield (
            f"{task_runs.task}: seed {slowest.seed} of {slowest.run} has come to step "
            f"{slowest.steps[-1]:,.0f}, others to {furthest:,.0f}"
        )


def _truncate(
    full_curve: SeedCurve, last_step: float, eval_window: int
) -> TruncatedCurve:
    before = full_curve.steps < last_step
    steps = np.append(full_curve.steps[before], last_step)
    scores = np.interp(steps, full_curve.steps, full_curve.scores)
    return TruncatedCurve(
        full_curve,
        steps,
        scores,
        float(scores[steps >= last_step - eval_window].mean()),
    )


def score_range(task_runs: TaskRuns) -> list[float] | None:
    """Returns the worst and the best score of a task, where they are known."""
    returns = task_runs.metric.startswith("eval/return_mean")
    plain = task_runs.task.startswith("Foraging-") and "penalty" not in task_runs.task
    return [0.0, 1.0] if returns and plain else None


def to_comparison_scale(
    scores: ArrayLike | float, metric: str
) -> Float[np.ndarray, "..."]:
    """Returns how good scores are: themselves; of error rates, minus their log₁₀.

    Error rates go by factors: from 1 to 0.1 is as far as from 0.01 to 0.001.
    """
    if metric not in ERROR_RATE_METRICS:
        return np.asarray(scores, float)
    return np.asarray(-np.log10(np.maximum(scores, MIN_ERROR_RATE)))


def from_comparison_scale(value: float, metric: str) -> float:
    """Returns the score of a height."""
    return 10.0**-value if metric in ERROR_RATE_METRICS else value


def _compare_task(
    task_runs: TaskRuns, grouped_curves: GroupedCurves, threshold: float | None
) -> dict[str, Any]:
    slowest, score = _shortest_curve(task_runs), task_runs.metric
    target = (
        _default_threshold(grouped_curves, score)
        if threshold is None
        else float(to_comparison_scale(threshold, score))
    )
    finals = {
        group.label: to_comparison_scale(_final_scores(each), score)
        for group, each in grouped_curves
    }
    return {
        "task": task_runs.task,
        "score": score,
        "better": "lower" if score in ERROR_RATE_METRICS else "higher",
        "step": int(grouped_curves[0][1][0].steps[-1]),
        "slowest": {
            "run": str(slowest.run),
            "seed": slowest.seed,
            "step": int(slowest.steps[-1]),
        },
        "reach": None if target is None else from_comparison_scale(target, score),
        "scale": score_range(task_runs),
        "groups": [
            _summarize_group(task_runs, *group, target) for group in grouped_curves
        ],
        "improvement": [
            {
                **{"x": x, "y": y},
                **_probability_of_improvement([(finals[x], finals[y])]),
                **_mean_difference(finals[x], finals[y], score),
            }
            for x, y in itertools.combinations(finals, 2)
        ],
    }


def _default_threshold(grouped_curves: GroupedCurves, metric: str) -> float | None:
    """Returns a height well on the way to the best; nothing if none learned anything.

    The way starts where all did on average.
    """
    starts = [course.scores[0] for _, courses in grouped_curves for course in courses]
    ends = [
        statistics.interquartile_mean([_final_scores(each)])
        for _, each in grouped_curves
    ]
    start, best = (
        float(to_comparison_scale(np.mean(starts), metric)),
        float(to_comparison_scale(ends, metric).max()),
    )
    return start + THRESHOLD_FRACTION * (best - start) if best > start else None


def _summarize_group(
    task_runs: TaskRuns,
    group: RunGroup,
    truncated_curves: list[TruncatedCurve],
    threshold: float | None,
) -> dict[str, Any]:
    """Returns the numbers of a group on a task."""
    finals, score = _final_scores(truncated_curves), task_runs.metric
    curves = [
        (course.steps, to_comparison_scale(course.scores, score))
        for course in truncated_curves
    ]
    areas = [
        from_comparison_scale(statistics.area_under_curve(*c), score) for c in curves
    ]
    goal = math.inf if threshold is None else threshold
    reached = [statistics.steps_to_threshold(*curve, goal) for curve in curves]
    paper, step = reported_curve(task_runs, group), truncated_curves[0].steps[-1]
    each = [
        {
            "run": str(course.full_curve.run),
            "seed": course.full_curve.seed,
            "score": course.final_score,
            "area": area,
            "steps_to_reach": _finite_or_none(steps),
        }
        for course, area, steps in zip(truncated_curves, areas, reached, strict=True)
    ]
    iqm = statistics.interquartile_mean
    return {
        "label": group.label,
        "system": group.system,
        "seeds": len(truncated_curves),
        **_aggregate_scores([finals]),
        "optimality_gap": score_range(task_runs)
        and statistics.optimality_gap([finals]),
        **_with_interval("area", [np.array(areas)], iqm),
        "reached": sum(map(math.isfinite, reached)),
        "steps_to_reach": _finite_or_none(float(np.median(reached))),
        "paper": paper and reported_results.interpolate(paper, step),
        "paper_error": paper and paper.reading_error,
        "scores": each,
    }


def reported_curve(
    task_runs: TaskRuns, group: RunGroup
) -> reported_results.ReportedCurve | None:
    """Returns what the paper reports of a group's method on a task, if anything."""
    if task_runs.metric != "eval/return_mean":
        return None
    return reported_results.find_reported_curve(
        task_runs.task, group_method_name(group)
    )


def group_method_name(group: RunGroup) -> str:
    """Returns the paper's name for what a group is; nothing if it has none."""
    own = {place.rpartition(".")[2]: value for place, value in group.overrides.items()}
    return reported_results.method_name(group.system, own)


def _aggregate_scores(strata: ScoresPerTask) -> dict[str, Any]:
    """Returns the middle of scores, in three ways, with the intervals of two."""
    low = high = None
    pooled = statistics.pool_scores(strata)
    if len(strata) == 1:
        band = mean_over_seeds(np.asarray(strata[0])[:, None])
        low, high = (
            _finite_or_none(float(band.low[0])),
            _finite_or_none(float(band.high[0])),
        )
    return {
        **_with_interval("iqm", strata, statistics.interquartile_mean),
        "mean": float(pooled.mean()),
        "mean_low": low,
        "mean_high": high,
        "median": float(np.median(pooled)),
    }


def _with_interval(
    name: str, strata: ScoresPerTask, statistic: Callable[[ScoresPerTask], float]
) -> dict[str, Any]:
    """Returns a statistic and its bootstrapped interval; of one seed it has none."""
    low = high = None
    if min(map(len, strata)) > 1:
        low, high = statistics.stratified_bootstrap_interval(strata, statistic)
    return {name: statistic(strata), f"{name}_low": low, f"{name}_high": high}


def _probability_of_improvement(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
) -> dict[str, float]:
    """Returns P(X > Y), the mean over tasks, with its interval."""
    chances = [statistics.probability_of_improvement(x, y) for x, y in pairs]
    intervals = [
        statistics.probability_of_improvement_interval(chance, len(x), len(y))
        for chance, (x, y) in zip(chances, pairs, strict=True)
    ]
    low, high = statistics.combined_interval(chances, intervals)
    return {"probability": float(np.mean(chances)), "low": low, "high": high}


def _mean_difference(
    x: np.ndarray, y: np.ndarray, metric: str
) -> dict[str, float | None]:
    """Returns by how much the mean of X is above that of Y; nothing of error rates."""
    names = ("difference", "difference_low", "difference_high")
    if metric in ERROR_RATE_METRICS:
        return dict.fromkeys(names)
    ends = (None, None)
    if min(len(x), len(y)) > 1:
        ends = statistics.welch_interval(x, y)
    return dict(zip(names, (float(x.mean() - y.mean()), *ends), strict=True))


def _aggregate_over_tasks(
    tasks: Sequence[TaskRuns], curves_per_task: Sequence[GroupedCurves]
) -> dict[str, Any]:
    """Returns what holds over several tasks.

    Scores are averaged over the tasks that all groups have run, where their scales are
    known; probabilities of two groups, which need no scale, over those that both have.
    """
    heights: dict[str, dict[int, np.ndarray]] = {}
    for number, (contest, field) in enumerate(zip(tasks, curves_per_task, strict=True)):
        for group, courses in field:
            finals = to_comparison_scale(_final_scores(courses), contest.metric)
            heights.setdefault(group.label, {})[number] = finals
    scaled = [n for n, contest in enumerate(tasks) if score_range(contest)]
    shared = [n for n in scaled if all(n in each for each in heights.values())]
    averaged = shared if len(shared) > 1 else []
    rows = [
        _summarize_over_tasks(label, [each[n] for n in averaged])
        for label, each in heights.items()
        if averaged
    ]
    pairs = []
    for x, y in itertools.combinations(heights, 2):
        both = [n for n in heights[x] if n in heights[y]]
        if len(both) > 1:
            of = [(heights[x][n], heights[y][n]) for n in both]
            pairs.append(
                {"x": x, "y": y, "tasks": len(both), **_probability_of_improvement(of)}
            )
    names = [tasks[n].task for n in averaged]
    return {"tasks": names, "groups": rows, "improvement": pairs}


def _summarize_over_tasks(label: str, strata: ScoresPerTask) -> dict[str, Any]:
    gap = statistics.optimality_gap(strata)
    seeds = sum(map(len, strata))
    return {
        "label": label,
        "seeds": seeds,
        **_aggregate_scores(strata),
        "optimality_gap": gap,
    }


def _final_scores(
    truncated_curves: Sequence[TruncatedCurve],
) -> Float[np.ndarray, " S"]:
    return np.array([course.final_score for course in truncated_curves])


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
