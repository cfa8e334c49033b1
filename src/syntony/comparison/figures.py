"""Figures of a comparison: learning curves of each task, and performance profiles."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from syntony.comparison.compare import Comparison, group_method_name, reported_curve
from syntony.comparison.groups import RunGroup, SeedCurve, TaskRuns
from syntony.comparison.results import ComparisonResults, GroupResult
from syntony.equations.statistics import (
    combined_interval,
    performance_profile,
    wilson_interval,
)
from syntony.evaluation import learning_curves
from syntony.evaluation.learning_curves import LearningCurve
from syntony.training.progress import ERROR_RATE_METRICS, metric_label
from syntony.visualization import figures, link_figures
from syntony.visualization.figures import STYLE_SHEET
from syntony.visualization.legends import add_legend_below, line_style
from syntony.visualization.print_options import DEFAULT_PRINT_OPTIONS, PrintOptions
from syntony.visualization.style import LineLook, line_looks

NUM_THRESHOLDS = 201
"""Number of thresholds of a performance profile."""
MAX_LINES = 7
"""Learning curves in one figure: further ones are in another."""


def draw_comparison(
    comparison: Comparison,
    folder: Path,
    formats: Sequence[str] = ("svg", "png"),
    options: PrintOptions = DEFAULT_PRINT_OPTIONS,
) -> list[Path]:
    """Draws learning curves and a performance profile per task, and a profile over all.

    Args:
        comparison: the result of `compare`.
        folder: folder of the figures; it is made if needed.
        formats: svg, pdf, png or csv, one or several.
        options: width, font and titles.

    Returns:
        The files.
    """
    tasks, results = comparison
    drawn = {}
    for task_runs, task in zip(tasks, results["tasks"], strict=True):
        name = slugify(task_runs.task)
        drawn |= {f"curves-{name}{n}": f for n, f in _learning_curve_figures(task_runs)}
        scores = {g["label"]: [_seed_scores(g)] for g in task["groups"]}
        drawn[f"profile-{name}"] = plot_performance_profiles(
            scores, metric=task_runs.metric, title=task_runs.task
        )
    overall = results["overall"]
    if overall["groups"]:
        drawn["profile"] = plot_performance_profiles(
            _scores_per_group(results), title=f"{len(overall['tasks'])} tasks"
        )
    return [
        path
        for name, figure in drawn.items()
        for path in figures.save_figure(figure, folder / name, formats, options)
    ]


def slugify(text: str) -> str:
    """Text for a part of a file name: letters, digits, dots and hyphens."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-") or "task"


def align_curves(seed_curves: Iterable[SeedCurve]) -> LearningCurve:
    """Curves of several seeds at common steps, as far as all of them go."""
    return learning_curves.align_curves([(c.steps, c.scores) for c in seed_curves])


def _learning_curve_figures(task_runs: TaskRuns) -> Iterable[tuple[str, Figure]]:
    """Yields figures with a suffix of their names; each has one group per color."""
    for start in range(0, len(task_runs.groups), MAX_LINES):
        groups = task_runs.groups[start : start + MAX_LINES]
        curves = {
            group.label: align_curves(group.seed_curves)._replace(
                possible=task_runs.possible
            )
            for group in groups
        }
        suffix = f"-{start // MAX_LINES + 1}" if start else ""
        if task_runs.metric in ERROR_RATE_METRICS:
            figure = link_figures.plot_bler_over_training(
                curves, title=task_runs.task, xlabel=task_runs.step_unit
            )
        else:
            ylabel = f"{metric_label(task_runs.metric)} of an episode"
            paper = reported_points(task_runs, groups, curves)
            figure = figures.plot_learning_curves(
                curves,
                title=task_runs.task,
                xlabel=f"million {task_runs.step_unit}",
                ylabel=ylabel,
                paper=paper,
            )
        yield suffix, figure


def reported_points(
    task_runs: TaskRuns, groups: Sequence[RunGroup], curves: Mapping[str, LearningCurve]
) -> dict[str, figures.ReportedPoints]:
    """Reported points up to the last step of our curves, by label.

    A label of ours gives the points the color of that group. If several groups have the
    same reported curve, its label is the paper's.

    Args:
        task_runs: the groups of a task.
        groups: groups of the figure.
        curves: our curves, by label.
    """
    last = max(curve.steps[-1] for curve in curves.values())
    reported = [(group, reported_curve(task_runs, group)) for group in groups]
    points: dict[str, figures.ReportedPoints] = {}
    for group, curve in reported:
        in_range = (
            [(x / 1e6, y) for x, y in curve.points.items() if x <= last]
            if curve
            else []
        )
        num_equal = sum(curve is other for _, other in reported)
        if in_range:
            label = group.label if num_equal == 1 else group_method_name(group)
            points[label] = in_range
    return points


def _seed_scores(group: GroupResult) -> Float[np.ndarray, " S"]:
    return np.array([seed["score"] for seed in group["scores"]])


def _scores_per_group(results: ComparisonResults) -> dict[str, list[np.ndarray]]:
    """Scores of each group on the tasks that all groups have run."""
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
    """Draws performance profiles: the fraction of seeds better than each threshold.

    The fraction is the mean over tasks; the bands combine the tasks' Wilson intervals,
    of 95 %.

    Args:
        scores: scores of each group, one sample per task.
        metric: name of the metric; lower is better for error rates.
        title: title of the figure.
    """
    figure = Figure(figsize=(4.2, 2.6), layout="constrained")
    axes = figure.subplots()
    lower_is_better = metric in ERROR_RATE_METRICS
    all_scores = np.concatenate([x for samples in scores.values() for x in samples])
    thresholds = _profile_thresholds(all_scores, lower_is_better)
    looks = line_looks([*scores])
    for (name, samples), look in zip(scores.items(), looks, strict=True):
        _plot_profile(axes, name, samples, thresholds, lower_is_better, look)
    if lower_is_better:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0e}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.invert_xaxis()
    quantity = "block error rate" if lower_is_better else "return of an episode"
    side = "below" if lower_is_better else "above"
    axes.set(title=title, xlabel=f"τ, {quantity}", ylabel=f"fraction of seeds {side} τ")
    axes.set_ylim(-0.02, 1.02)
    return add_legend_below(figure, "fraction, 95 % interval")


def _profile_thresholds(
    all_scores: Float[np.ndarray, " S"], lower_is_better: bool
) -> Float[np.ndarray, " K"]:
    """Thresholds from below the worst score to above the best."""
    low, high = float(all_scores.min()), float(all_scores.max())
    if lower_is_better:
        low = max(low, link_figures.MIN_PLOTTED_RATE)
        return np.geomspace(low / 1.3, max(high, low) * 1.3, NUM_THRESHOLDS)
    margin = 0.05 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, NUM_THRESHOLDS)


def _plot_profile(
    axes: Axes,
    name: str,
    samples: Sequence[Float[np.ndarray, " S"]],
    thresholds: Float[np.ndarray, " K"],
    lower_is_better: bool,
    look: LineLook,
) -> None:
    """Draws the mean fraction over tasks as a line, and its interval as a band."""
    sign = -1.0 if lower_is_better else 1.0
    fractions = [performance_profile(sign * x, sign * thresholds) for x in samples]
    intervals = [
        _wilson_intervals(fraction, len(x))
        for fraction, x in zip(fractions, samples, strict=True)
    ]
    combined = [
        combined_interval([f[k] for f in fractions], [i[k] for i in intervals])
        for k in range(len(thresholds))
    ]
    low, high = np.clip(np.transpose(combined), 0.0, 1.0)
    seeds = sum(map(len, samples))
    label = f"{name} ({seeds} seed{'s' if seeds > 1 else ''})"
    mean, band = np.mean(fractions, axis=0), {"color": look.color, "alpha": 0.12}
    keywords = line_style(look)
    axes.plot(thresholds, mean, label=label, ds="steps-mid", zorder=3, **keywords)
    axes.fill_between(thresholds, low, high, step="mid", lw=0, **band)


def _wilson_intervals(
    fractions: Float[np.ndarray, " K"], seeds: int
) -> list[tuple[float, float]]:
    """Wilson's interval of each fraction of seeds."""
    by_count = [wilson_interval(count, seeds) for count in range(seeds + 1)]
    return [by_count[round(fraction * seeds)] for fraction in fractions]
