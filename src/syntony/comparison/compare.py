"""Statistics of groups of runs at equal steps: scores, intervals and differences."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from syntony.comparison import reported_results
from syntony.comparison.groups import RunGroup, SeedCurve, TaskRuns, group_runs
from syntony.comparison.results import (
    ComparisonResults,
    GroupResult,
    GroupScores,
    MeanDifference,
    OverallGroup,
    OverallPair,
    OverallResult,
    Probability,
    SeedResult,
    TaskResult,
)
from syntony.equations import statistics
from syntony.equations.statistics import FloatOrArray, ScoresPerTask
from syntony.errors import InvalidInputError
from syntony.evaluation.statistics import mean_over_seeds
from syntony.jax_settings import standard_jax_settings
from syntony.training.progress import ERROR_RATE_METRICS

BOOTSTRAP_WARNING_SEEDS = 5
"""Number of seeds up to which the bootstrap's intervals are too narrow."""
THRESHOLD_FRACTION = 0.9
"""Default threshold, as a fraction of the way from the initial to the best score."""
LAGGING_FRACTION = 0.8
"""Fraction of the longest curve's steps below which a note names the shortest one."""
MAX_PAIRED_GROUPS = 20
"""Groups of which each pair is compared; of more, the best one with each other."""
MIN_ERROR_RATE = 1e-7
"""Floor of error rates; smaller ones are not measured."""


class Comparison(NamedTuple):
    """Compared runs, and the results as JSON can hold them."""

    tasks: list[TaskRuns]
    results: ComparisonResults


class TruncatedCurve(NamedTuple):
    """Curve of a seed up to the step of the comparison."""

    full_curve: SeedCurve
    steps: Float[np.ndarray, " T"]
    scores: Float[np.ndarray, " T"]
    final_score: float
    """Score at the last step, or its mean over a window before."""


GroupedCurves = list[tuple[RunGroup, list[TruncatedCurve]]]
"""The groups of a task, each with the curves of its seeds."""


@standard_jax_settings()
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
        runs: folders of runs or studies, or `NAME=FOLDER,FOLDER`.
        at_step: step of the comparison; None: on each task the last one that all seeds
            have reached.
        eval_window: a seed's score is the mean of its evaluations in this many steps
            before the step of the comparison; 0: of the last one alone.
        threshold: score whose first step is given; None: nine tenths of the way from
            the mean initial score to the best group's.
        metric: metric to compare, e.g. `eval/return_mean_greedy`; None: the primary
            metric of each task.

    Raises:
        InvalidInputError: there is nothing to compare, or not at that step.
    """
    tasks, notes = group_runs(runs, metric=metric)
    if eval_window < 0:
        raise InvalidInputError(
            f"eval_window is {eval_window:,}; expected 0 steps or more"
        )
    curves = [_truncate_curves(task_runs, at_step, eval_window) for task_runs in tasks]
    results = [
        _compare_task(task_runs, grouped, threshold, eval_window)
        for task_runs, grouped in zip(tasks, curves, strict=True)
    ]
    notes += [note for task_runs in tasks for note in _lagging_seed_notes(task_runs)]
    num_seeds = {len(seeds) for grouped in curves for _, seeds in grouped}
    if 1 in num_seeds:
        notes.append("groups of one seed have no interval")
    if num_seeds & set(range(2, BOOTSTRAP_WARNING_SEEDS + 1)):
        notes.append(
            "of few seeds, bootstrapped intervals are too narrow: those of 3, 5 and 10 "
            "hold the true value in about 76, 89 and 94 of 100 cases"
        )
    if max(map(len, curves)) > MAX_PAIRED_GROUPS:
        notes.append(
            f"of more than {MAX_PAIRED_GROUPS} groups on a task, only the best one is "
            "compared with each other"
        )
    overall = _aggregate_over_tasks(tasks, curves)
    return Comparison(tasks, {"tasks": results, "overall": overall, "notes": notes})


def _truncate_curves(
    task_runs: TaskRuns, at_step: int | None, eval_window: int
) -> GroupedCurves:
    """Curves of all seeds, truncated at the step of the comparison."""
    shortest = _shortest_curve(task_runs)
    first = max(c.steps[0] for group in task_runs.groups for c in group.seed_curves)
    last = float(shortest.steps[-1] if at_step is None else at_step)
    if last > shortest.steps[-1]:
        raise InvalidInputError(
            f"at_step is {last:,.0f}, beyond step {shortest.steps[-1]:,.0f}, where "
            f"seed {shortest.seed} of {shortest.run} ends; expected no more"
        )
    if last <= first:
        raise InvalidInputError(
            f"step {last:,.0f} is no step at which all runs of {task_runs.task} were "
            f"evaluated; expected more than {first:,.0f}"
        )
    return [
        (group, [_truncate(curve, last, eval_window) for curve in group.seed_curves])
        for group in task_runs.groups
    ]


def _shortest_curve(task_runs: TaskRuns) -> SeedCurve:
    curves = [curve for group in task_runs.groups for curve in group.seed_curves]
    return min(curves, key=lambda curve: curve.steps[-1])


def _lagging_seed_notes(task_runs: TaskRuns) -> Iterator[str]:
    """Yields a note if one seed's curve is much shorter than others."""
    shortest = _shortest_curve(task_runs)
    longest = max(c.steps[-1] for group in task_runs.groups for c in group.seed_curves)
    if shortest.steps[-1] < LAGGING_FRACTION * longest:
        yield (
            f"{task_runs.task}: seed {shortest.seed} of {shortest.run} has reached "
            f"step {shortest.steps[-1]:,.0f}, others {longest:,.0f}"
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


def to_comparison_scale(
    scores: ArrayLike | float, metric: str
) -> Float[np.ndarray, "..."]:
    """Scores on a scale where higher is better: error rates become −log₁₀ of them."""
    if metric not in ERROR_RATE_METRICS:
        return np.asarray(scores, float)
    return np.asarray(-np.log10(np.maximum(scores, MIN_ERROR_RATE)))


def to_unit_range(
    scores: Float[np.ndarray, " S"], score_range: tuple[float, float]
) -> Float[np.ndarray, " S"]:
    """Scores from 0, the worst of the range, to 1, the best."""
    low, high = score_range
    return (scores - low) / (high - low)


def from_comparison_scale(value: float, metric: str) -> float:
    """Score of a value on the comparison scale."""
    return 10.0**-value if metric in ERROR_RATE_METRICS else value


def _compare_task(
    task_runs: TaskRuns,
    grouped_curves: GroupedCurves,
    threshold: float | None,
    eval_window: int,
) -> TaskResult:
    shortest, metric = _shortest_curve(task_runs), task_runs.metric
    target = _default_threshold(grouped_curves, metric)
    if threshold is not None:
        target = float(to_comparison_scale(threshold, metric))
    finals = {
        group.label: to_comparison_scale(_final_scores(curves), metric)
        for group, curves in grouped_curves
    }
    return {
        "task": task_runs.task,
        "metric": metric,
        "lower_is_better": metric in ERROR_RATE_METRICS,
        "step": int(grouped_curves[0][1][0].steps[-1]),
        "shortest_run": {
            "run": str(shortest.run),
            "seed": shortest.seed,
            "step": int(shortest.steps[-1]),
        },
        "threshold": None if target is None else from_comparison_scale(target, metric),
        "score_range": task_runs.score_range and [*task_runs.score_range],
        "groups": [
            _summarize_group(task_runs, *group, target) for group in grouped_curves
        ],
        "probability_of_improvement": [
            {
                "x": x,
                "y": y,
                **_probability_of_improvement([(finals[x], finals[y])]),
                **_mean_difference(finals[x], finals[y], metric),
            }
            for x, y in _compared_pairs(finals)
        ],
        "eval_window": eval_window,
    }


def _compared_pairs(
    finals: Mapping[str, Float[np.ndarray, " S"]],
) -> Iterator[tuple[str, str]]:
    """Yields the pairs of labels that are compared.

    Args:
        finals: scores of each group on the comparison scale.
    """
    if len(finals) <= MAX_PAIRED_GROUPS:
        yield from itertools.combinations(finals, 2)
        return
    best = max(finals, key=lambda label: float(finals[label].mean()))
    yield from ((best, label) for label in finals if label != best)


def _default_threshold(grouped_curves: GroupedCurves, metric: str) -> float | None:
    """Threshold between the mean initial score and the best group's, to be compared.

    None if no group is better than the mean initial score.
    """
    starts = [curve.scores[0] for _, curves in grouped_curves for curve in curves]
    ends = [
        float(statistics.interquartile_mean([_final_scores(curves)]))
        for _, curves in grouped_curves
    ]
    start = float(to_comparison_scale(np.mean(starts), metric))
    best = float(to_comparison_scale(ends, metric).max())
    return start + THRESHOLD_FRACTION * (best - start) if best > start else None


def _summarize_group(
    task_runs: TaskRuns,
    group: RunGroup,
    truncated_curves: list[TruncatedCurve],
    threshold: float | None,
) -> GroupResult:
    """Statistics of a group on a task."""
    finals, metric = _final_scores(truncated_curves), task_runs.metric
    curves = [
        (curve.steps, to_comparison_scale(curve.scores, metric))
        for curve in truncated_curves
    ]
    areas = [
        from_comparison_scale(statistics.area_under_curve(*c), metric) for c in curves
    ]
    target = math.inf if threshold is None else threshold
    steps = [statistics.steps_to_threshold(*curve, target) for curve in curves]
    reported, last = reported_curve(task_runs, group), truncated_curves[0].steps[-1]
    seeds = list(map(_summarize_seed, truncated_curves, areas, steps))
    area = _with_interval([np.array(areas)], statistics.interquartile_mean)
    return {
        "label": group.label,
        "system": group.system,
        "seeds": len(truncated_curves),
        **_aggregate_scores([finals], task_runs.possible),
        "optimality_gap": task_runs.score_range
        and statistics.optimality_gap([to_unit_range(finals, task_runs.score_range)]),
        "area_under_curve": area.value,
        "area_under_curve_low": area.low,
        "area_under_curve_high": area.high,
        "seeds_reached": sum(map(math.isfinite, steps)),
        "steps_to_threshold": _finite_or_none(float(np.median(steps))),
        "reported": reported and reported_results.interpolate(reported, last),
        "reported_error": reported and reported.reading_error,
        "scores": seeds,
    }


def _summarize_seed(curve: TruncatedCurve, area: float, step: float) -> SeedResult:
    return {
        "run": str(curve.full_curve.run),
        "seed": curve.full_curve.seed,
        "score": curve.final_score,
        "area_under_curve": area,
        "steps_to_threshold": _finite_or_none(step),
    }


def reported_curve(
    task_runs: TaskRuns, group: RunGroup
) -> reported_results.ReportedCurve | None:
    """Curve that the paper reports for a group's method on a task; None without one."""
    if task_runs.metric != "eval/return_mean":
        return None
    return reported_results.find_reported_curve(
        task_runs.task, group_method_name(group)
    )


def group_method_name(group: RunGroup) -> str:
    """Name of a group's method in the paper; empty if the paper has none."""
    settings = {path.rpartition(".")[2]: v for path, v in group.overrides.items()}
    return reported_results.method_name(group.system, settings)


def _aggregate_scores(
    scores_per_task: ScoresPerTask, possible: tuple[float, float] | None = None
) -> GroupScores:
    """IQM, mean and median of scores, with intervals of the first two."""
    low = high = None
    pooled = statistics.pool_scores(scores_per_task)
    if len(scores_per_task) == 1:
        scores = np.asarray(scores_per_task[0])[:, None]
        band = mean_over_seeds(scores, possible=possible)
        low = _finite_or_none(float(band.low[0]))
        high = _finite_or_none(float(band.high[0]))
    iqm = _with_interval(scores_per_task, statistics.interquartile_mean)
    return {
        "iqm": iqm.value,
        "iqm_low": iqm.low,
        "iqm_high": iqm.high,
        "mean": float(pooled.mean()),
        "mean_low": low,
        "mean_high": high,
        "median": float(np.median(pooled)),
    }


class Estimate(NamedTuple):
    """Value of a statistic, with its interval."""

    value: float
    low: float | None
    high: float | None


def _with_interval(
    scores_per_task: ScoresPerTask, statistic: Callable[[ScoresPerTask], FloatOrArray]
) -> Estimate:
    """Statistic with its bootstrap interval; the interval is None for one seed."""
    low = high = None
    if min(map(len, scores_per_task)) > 1:
        low, high = statistics.stratified_bootstrap_interval(scores_per_task, statistic)
    return Estimate(float(statistic(scores_per_task)), low, high)


def _probability_of_improvement(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
) -> Probability:
    """Mean over tasks of P(X > Y), with its interval, from the scores on each task."""
    probabilities = [statistics.probability_of_improvement(x, y) for x, y in pairs]
    intervals = [
        statistics.probability_of_improvement_interval(probability, len(x), len(y))
        for probability, (x, y) in zip(probabilities, pairs, strict=True)
    ]
    low, high = statistics.combined_interval(probabilities, intervals)
    return {"probability": float(np.mean(probabilities)), "low": low, "high": high}


def _mean_difference(x: np.ndarray, y: np.ndarray, metric: str) -> MeanDifference:
    """Mean of X minus mean of Y, with Welch's interval; None for error rates."""
    difference = low = high = None
    if metric not in ERROR_RATE_METRICS:
        difference = float(x.mean() - y.mean())
        if min(len(x), len(y)) > 1:
            low, high = statistics.welch_interval(x, y)
    return {
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
    }


def _aggregate_over_tasks(
    tasks: Sequence[TaskRuns], curves_per_task: Sequence[GroupedCurves]
) -> OverallResult:
    """Statistics over several tasks.

    Scores, scaled to 0 to 1, are averaged over the tasks that all groups have run and
    whose score ranges are known. Probabilities of improvement, which need no range, are
    averaged over the tasks that both groups have run.
    """
    finals: dict[str, dict[int, np.ndarray]] = {}
    for i, (task_runs, grouped) in enumerate(zip(tasks, curves_per_task, strict=True)):
        for group, curves in grouped:
            scores = to_comparison_scale(_final_scores(curves), task_runs.metric)
            finals.setdefault(group.label, {})[i] = scores
    ranges = {i: x.score_range for i, x in enumerate(tasks) if x.score_range}
    shared = [i for i in ranges if all(i in by_task for by_task in finals.values())]
    averaged = shared if len(shared) > 1 else []
    groups = [
        _summarize_over_tasks(
            label, [to_unit_range(by_task[i], ranges[i]) for i in averaged]
        )
        for label, by_task in finals.items()
        if averaged
    ]
    pairs: list[OverallPair] = []
    # Of many groups, those with the highest mean rank are too many to be paired.
    labels = list(finals) if len(finals) <= MAX_PAIRED_GROUPS else []
    for x, y in itertools.combinations(labels, 2):
        both = [i for i in finals[x] if i in finals[y]]
        if len(both) > 1:
            probability = _probability_of_improvement(
                [(finals[x][i], finals[y][i]) for i in both]
            )
            pairs.append({"x": x, "y": y, "tasks": len(both), **probability})
    return {
        "tasks": [tasks[i].task for i in averaged],
        "groups": groups,
        "probability_of_improvement": pairs,
    }


def _summarize_over_tasks(label: str, scores_per_task: ScoresPerTask) -> OverallGroup:
    return {
        "label": label,
        "seeds": sum(map(len, scores_per_task)),
        **_aggregate_scores(scores_per_task),
        "optimality_gap": statistics.optimality_gap(scores_per_task),
    }


def _final_scores(
    truncated_curves: Sequence[TruncatedCurve],
) -> Float[np.ndarray, " S"]:
    return np.array([curve.final_score for curve in truncated_curves])


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
