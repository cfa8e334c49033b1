"""Pictures of a comparison for print: curves of each task, and performance profiles."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from syntony.comparison.compare import Comparison, group_method_name, reported_curve
from syntony.comparison.groups import RunGroup, SeedCurve, TaskRuns
from syntony.equations.statistics import (
    combined_interval,
    performance_profile,
    wilson_interval,
)
from syntony.evaluation.learning_curves import LearningCurve
from syntony.training.progress import ERROR_RATE_METRICS, metric_label
from syntony.visualization import figures, link_figures
from syntony.visualization.figures import LINE_COLORS, STYLE_SHEET

NUM_THRESHOLDS = 201
"""Thresholds at which a profile is drawn."""
LINE_STYLES = ("-", "--", ":", "-.")
"""More groups than colours are told apart by these."""


def draw_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Draws the curves and the profile of each task, and that of all; returns files."""
    contests, found = comparison
    drawn = {}
    for contest, task in zip(contests, found["tasks"], strict=True):
        name = slugify(contest.task)
        drawn |= {f"curves-{name}{n}": f for n, f in _learning_curve_figures(contest)}
        scores = {g["label"]: [_seed_scores(g)] for g in task["groups"]}
        drawn[f"profile-{name}"] = plot_performance_profiles(
            scores, metric=contest.metric, title=contest.task
        )
    overall = found["overall"]
    if overall["groups"]:
        drawn["profile"] = plot_performance_profiles(
            _scores_per_group(found), title=f"{len(overall['tasks'])} tasks"
        )
    return [
        path
        for name, f in drawn.items()
        for path in figures.save_figure(f, folder / name)
    ]


def slugify(text: str) -> str:
    """Returns a text as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-") or "task"


def align_curves(seed_curves: Iterable[SeedCurve]) -> LearningCurve:
    """Returns the curves of seeds on the steps of all, as far as all of them go."""
    every = list(seed_curves)
    steps = np.unique(np.concatenate([seed.steps for seed in every]))
    first = max(seed.steps[0] for seed in every)
    last = min(seed.steps[-1] for seed in every)
    steps = steps[(first <= steps) & (steps <= last)]
    scores = [np.interp(steps, seed.steps, seed.scores) for seed in every]
    return LearningCurve(steps, np.stack(scores))


def _learning_curve_figures(task_runs: TaskRuns) -> Iterable[tuple[str, Figure]]:
    """Yields pictures of all groups, as many in each as there are colours."""
    for start in range(0, len(task_runs.groups), len(LINE_COLORS)):
        groups = task_runs.groups[start : start + len(LINE_COLORS)]
        curves = {group.label: align_curves(group.seed_curves) for group in groups}
        number = f"-{start // len(LINE_COLORS) + 1}" if start else ""
        if task_runs.metric in ERROR_RATE_METRICS:
            drawn = link_figures.plot_bler_over_training(curves, title=task_runs.task)
        else:
            ylabel = f"{metric_label(task_runs.metric)} of an episode"
            paper = reported_points(task_runs, groups, curves)
            drawn = figures.plot_learning_curves(
                curves, title=task_runs.task, ylabel=ylabel, paper=paper
            )
        yield number, figures.move_legend_outside(drawn)


def reported_points(
    task_runs: TaskRuns, groups: Sequence[RunGroup], curves: Mapping[str, LearningCurve]
) -> dict[str, figures.ReportedPoints]:
    """Returns the paper's points as far as ours go, in a colour of ours if it is one's.

    Of several groups that the paper does not tell apart, none has its colour.
    """
    last = max(curve.steps[-1] for curve in curves.values())
    known = [(group, reported_curve(task_runs, group)) for group in groups]
    points: dict[str, figures.ReportedPoints] = {}
    for group, curve in known:
        near = (
            [(x / 1e6, y) for x, y in curve.points.items() if x <= last]
            if curve
            else []
        )
        alike = sum(curve is other for _, other in known)
        if near:
            points[group.label if alike == 1 else group_method_name(group)] = near
    return points


def _seed_scores(group: Mapping[str, Any]) -> Float[np.ndarray, " S"]:
    return np.array([line["score"] for line in group["scores"]])


def _scores_per_group(results: Mapping[str, Any]) -> dict[str, list[np.ndarray]]:
    """Returns the scores of each group on the tasks that all have run."""
    tasks = results["overall"]["tasks"]
    scores: dict[str, list[np.ndarray]] = {}
    for task in results["tasks"]:
        for group in task["groups"] if task["task"] in tasks else ():
            scores.setdefault(group["label"], []).append(_seed_scores(group))
    return scores


@style.context(STYLE_SHEET)
def plot_performance_profiles(
    scores: Mapping[str, Sequence[Float[np.ndarray, " S"]]],
    *,
    metric: str = "eval/return_mean",
    title: str = "",
) -> Figure:
    """Draws the share of runs that do better than each score, with its 95 % interval.

    The share is the mean over tasks; intervals are Wilson's, of each task.

    Args:
        scores: those of each group, a sample for each task.
        score: what they are; of error rates, better is lower.
        title: what was learned.
    """
    figure = Figure(figsize=(4.2, 2.6), layout="constrained")
    axes = figure.subplots()
    lower = metric in ERROR_RATE_METRICS
    every = np.concatenate([x for strata in scores.values() for x in strata])
    thresholds = _profile_thresholds(every, lower)
    for number, (name, strata) in enumerate(scores.items()):
        look = {
            "color": LINE_COLORS[number % len(LINE_COLORS)],
            "ls": LINE_STYLES[number // len(LINE_COLORS)],
        }
        _plot_profile(axes, name, strata, thresholds, lower, look)
    if lower:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0e}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.invert_xaxis()
    what = "block error rate" if lower else "return of an episode"
    share = "below" if lower else "above"
    axes.set(title=title, xlabel=f"τ, {what}", ylabel=f"share of seeds {share} τ")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(title="share, its 95 % interval")
    return figures.move_legend_outside(figure)


def _profile_thresholds(
    all_scores: Float[np.ndarray, " S"], lower_is_better: bool
) -> Float[np.ndarray, " τ"]:
    """Returns scores from below the worst to above the best."""
    low, high = float(all_scores.min()), float(all_scores.max())
    if lower_is_better:
        seen = max(low, link_figures.MIN_PLOTTED_RATE)
        return np.geomspace(seen / 1.3, max(high, seen) * 1.3, NUM_THRESHOLDS)
    margin = 0.05 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, NUM_THRESHOLDS)


def _plot_profile(
    axes: Axes,
    name: str,
    strata: Sequence[Float[np.ndarray, " S"]],
    thresholds: Float[np.ndarray, " τ"],
    lower_is_better: bool,
    line_style: Mapping[str, Any],
) -> None:
    """Draws the mean share over tasks as a line, and its interval as a band."""
    sign = -1.0 if lower_is_better else 1.0
    shares = [
        performance_profile(sign * sample, sign * thresholds) for sample in strata
    ]
    known = [
        _wilson_intervals(share, len(x))
        for share, x in zip(shares, strata, strict=True)
    ]
    ends = [
        combined_interval([share[n] for share in shares], [of[n] for of in known])
        for n in range(len(thresholds))
    ]
    low, high = np.clip(np.transpose(ends), 0.0, 1.0)
    seeds = sum(map(len, strata))
    label = f"{name} ({seeds} seed{'s' if seeds > 1 else ''})"
    mean, shade = np.mean(shares, axis=0), {"color": line_style["color"], "alpha": 0.12}
    axes.plot(thresholds, mean, label=label, ds="steps-mid", zorder=3, **line_style)
    axes.fill_between(thresholds, low, high, step="mid", lw=0, **shade)


def _wilson_intervals(
    fractions: Float[np.ndarray, " τ"], seeds: int
) -> list[tuple[float, float]]:
    """Returns Wilson's interval of each share."""
    known = [wilson_interval(count, seeds) for count in range(seeds + 1)]
    return [known[round(share * seeds)] for share in fractions]
