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

from syntony.equations.statistics import mean_interval, share_above, wilson_interval
from syntony.run.progress import RATES, title
from syntony.study import figures, link_figures
from syntony.study.compare import Comparison, method, paper_curve
from syntony.study.curves import Curve
from syntony.study.figures import LINES, STYLE
from syntony.study.groups import Contest, Group, Seed

POINTS = 201
"""Thresholds at which a profile is drawn."""
DASHES = ("-", "--", ":", "-.")
"""More groups than colours are told apart by these."""


def draw(comparison: Comparison, folder: Path) -> list[Path]:
    """Draws the curves and the profile of each task, and that of all; returns files."""
    contests, found = comparison
    drawn = {}
    for contest, task in zip(contests, found["tasks"], strict=True):
        name = slug(contest.task)
        drawn |= {f"curves-{name}{n}": f for n, f in _curves(contest)}
        scores = {g["label"]: [_scores(g)] for g in task["groups"]}
        drawn[f"profile-{name}"] = profiles(
            scores, score=contest.score, title=contest.task
        )
    overall = found["overall"]
    if overall["groups"]:
        drawn["profile"] = profiles(
            _over(found), title=f"{len(overall['tasks'])} tasks"
        )
    return [
        path for name, f in drawn.items() for path in figures.save(f, folder / name)
    ]


def slug(text: str) -> str:
    """Returns a text as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-") or "task"


def join(seeds: Iterable[Seed]) -> Curve:
    """Returns the curves of seeds on the steps of all, as far as all of them go."""
    every = list(seeds)
    steps = np.unique(np.concatenate([seed.steps for seed in every]))
    first = max(seed.steps[0] for seed in every)
    last = min(seed.steps[-1] for seed in every)
    steps = steps[(first <= steps) & (steps <= last)]
    scores = [np.interp(steps, seed.steps, seed.scores) for seed in every]
    return Curve(steps, np.stack(scores))


def _curves(contest: Contest) -> Iterable[tuple[str, Figure]]:
    """Yields pictures of all groups, as many in each as there are colours."""
    for start in range(0, len(contest.groups), len(LINES)):
        groups = contest.groups[start : start + len(LINES)]
        curves = {group.label: join(group.seeds) for group in groups}
        number = f"-{start // len(LINES) + 1}" if start else ""
        if contest.score in RATES:
            drawn = link_figures.convergence(curves, title=contest.task)
        else:
            ylabel = f"{title(contest.score)} of an episode"
            paper = paper_points(contest, groups, curves)
            drawn = figures.learning_curves(
                curves, title=contest.task, ylabel=ylabel, paper=paper
            )
        yield number, figures.with_legend_aside(drawn)


def paper_points(
    contest: Contest, groups: Sequence[Group], curves: Mapping[str, Curve]
) -> dict[str, figures.Points]:
    """Returns the paper's points as far as ours go, in a colour of ours if it is one's.

    Of several groups that the paper does not tell apart, none has its colour.
    """
    last = max(curve.steps[-1] for curve in curves.values())
    known = [(group, paper_curve(contest, group)) for group in groups]
    points: dict[str, figures.Points] = {}
    for group, curve in known:
        near = (
            [(x / 1e6, y) for x, y in curve.points.items() if x <= last]
            if curve
            else []
        )
        alike = sum(curve is other for _, other in known)
        if near:
            points[group.label if alike == 1 else method(group)] = near
    return points


def _scores(group: Mapping[str, Any]) -> Float[np.ndarray, " S"]:
    return np.array([line["score"] for line in group["scores"]])


def _over(found: Mapping[str, Any]) -> dict[str, list[np.ndarray]]:
    """Returns the scores of each group on the tasks that all have run."""
    tasks = found["overall"]["tasks"]
    scores: dict[str, list[np.ndarray]] = {}
    for task in found["tasks"]:
        for group in task["groups"] if task["task"] in tasks else ():
            scores.setdefault(group["label"], []).append(_scores(group))
    return scores


@style.context(STYLE)
def profiles(
    scores: Mapping[str, Sequence[Float[np.ndarray, " S"]]],
    *,
    score: str = "eval/return_mean",
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
    lower = score in RATES
    every = np.concatenate([x for strata in scores.values() for x in strata])
    thresholds = _thresholds(every, lower)
    for number, (name, strata) in enumerate(scores.items()):
        look = {"color": LINES[number % len(LINES)], "ls": DASHES[number // len(LINES)]}
        _draw_profile(axes, name, strata, thresholds, lower, look)
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
    return figures.with_legend_aside(figure)


def _thresholds(every: Float[np.ndarray, " S"], lower: bool) -> Float[np.ndarray, " τ"]:
    """Returns scores from below the worst to above the best."""
    low, high = float(every.min()), float(every.max())
    if lower:
        seen = max(low, link_figures.SEEN)
        return np.geomspace(seen / 1.3, max(high, seen) * 1.3, POINTS)
    margin = 0.05 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, POINTS)


def _draw_profile(
    axes: Axes,
    name: str,
    strata: Sequence[Float[np.ndarray, " S"]],
    thresholds: Float[np.ndarray, " τ"],
    lower: bool,
    look: Mapping[str, Any],
) -> None:
    """Draws the mean share over tasks as a line, and its interval as a band."""
    sign = -1.0 if lower else 1.0
    shares = [share_above(sign * sample, sign * thresholds) for sample in strata]
    known = [_intervals(share, len(x)) for share, x in zip(shares, strata, strict=True)]
    ends = [
        mean_interval([share[n] for share in shares], [of[n] for of in known])
        for n in range(len(thresholds))
    ]
    low, high = np.clip(np.transpose(ends), 0.0, 1.0)
    seeds = sum(map(len, strata))
    label = f"{name} ({seeds} seed{'s' if seeds > 1 else ''})"
    mean, shade = np.mean(shares, axis=0), {"color": look["color"], "alpha": 0.12}
    axes.plot(thresholds, mean, label=label, ds="steps-mid", zorder=3, **look)
    axes.fill_between(thresholds, low, high, step="mid", lw=0, **shade)


def _intervals(
    shares: Float[np.ndarray, " τ"], seeds: int
) -> list[tuple[float, float]]:
    """Returns Wilson's interval of each share."""
    known = [wilson_interval(count, seeds) for count in range(seeds + 1)]
    return [known[round(share * seeds)] for share in shares]
