"""Pictures for print: arrays in, figure out; the same arrays give the same files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from syntony.evaluation.learning_curves import LearningCurve
from syntony.evaluation.statistics import mean_over_seeds
from syntony.tasks.foraging.rules import Foraging
from syntony.visualization import scene_drawing
from syntony.visualization.scene_drawing import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
)

LINE_COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
GRAY = "#737373"
STYLE_SHEET = Path(__file__).parent / "print.mplstyle"
"""How every figure for print looks."""
REPRODUCIBLE_METADATA: dict[str, dict[str, None]] = {
    ".svg": {"Date": None},
    ".png": {"Software": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}
"""What files would say of the day and of Matplotlib's version."""

ReportedPoints = Sequence[tuple[float, float]]
"""(million steps, score) pairs."""


def save_figure(
    figure: Figure, path: Path, formats: Sequence[str] = ("svg", "png")
) -> list[Path]:
    """Writes `path`.svg and so on, without date or version; returns the files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _disable_mathtext(figure)
    # No `with_suffix`: a name may hold a point.
    files = [path.with_name(f"{path.name}.{form}") for form in formats]
    with style.context(STYLE_SHEET):
        for file in files:
            figure.savefig(file, metadata=REPRODUCIBLE_METADATA[file.suffix])
    return files


def _disable_mathtext(figure: Figure) -> None:
    """Keeps Matplotlib from reading TeX where users' names are: titles, legends."""
    legends = [text for legend in figure.findobj(Legend) for text in legend.get_texts()]
    titles = [axes.title for axes in figure.axes]
    for text in [*figure.texts, *titles, *legends]:
        text.set_parse_math(False)


@style.context(STYLE_SHEET)
def plot_learning_curves(
    curves: Mapping[str, LearningCurve],
    *,
    title: str = "",
    ylabel: str = "return of an episode",
    paper: Mapping[str, ReportedPoints] | None = None,
) -> Figure:
    """Draws the mean over seeds, and the 95 % interval of that mean where there is one.

    Args:
        curves: a curve for each name in the legend.
        title: what was learned.
        ylabel: the score.
        paper: points read off a paper's figure, by the name of the curve that they are
            to be compared with.
    """
    figure = Figure(figsize=(4.2, 2.6), layout="constrained")
    axes = figure.subplots()
    colours = dict(zip(curves, LINE_COLORS, strict=False))
    for name, curve in curves.items():
        _plot_curve(axes, name, curve, colours[name], steps_per_unit=1e6)
    for name, points in (paper or {}).items():
        _plot_reported_points(axes, name, points, colours.get(name, BLACK))
    axes.set(title=title, xlabel="million environment steps", ylabel=ylabel)
    axes.margins(x=0.02)
    axes.set_xlim(left=0)
    axes.set_ylim(_axis_limits([line.get_ydata() for line in axes.lines]))
    known = any(len(curve.scores) > 2 for curve in curves.values())
    what = "mean, its 95 % interval, each seed" if known else "mean, each seed"
    axes.legend(loc="best", title=what, title_fontsize=7, alignment="left")
    return figure


@style.context(STYLE_SHEET)
def move_legend_outside(figure: Figure) -> Figure:
    """Moves the legend beside the picture: many names would lie on the curves."""
    (axes,) = figure.axes
    handles, labels = axes.get_legend_handles_labels()
    old = axes.get_legend()
    assert old is not None
    head = old.get_title().get_text()
    old.remove()
    width, height = figure.get_size_inches()
    # An inch, and as much as the longest name needs at seven points.
    figure.set_size_inches(width + 0.9 + 0.052 * max(map(len, labels)), height)
    place = {"loc": "outside right upper", "alignment": "left", "title_fontsize": 7}
    figure.legend(handles, labels, title=head or None, **place)
    return figure


def _axis_limits(lines: Sequence[ArrayLike]) -> tuple[float, float]:
    """Returns limits that hold the lines; a wide interval may leave the picture."""
    values = np.concatenate([np.ravel(line) for line in lines])
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _plot_curve(
    axes: Axes, name: str, curve: LearningCurve, color: str, *, steps_per_unit: float
) -> None:
    """Draws every seed thinly, and from three seeds on the interval of their mean."""
    band, steps = mean_over_seeds(curve.scores), curve.steps / steps_per_unit
    seeds = len(curve.scores)
    label = f"{name} ({seeds} seed{'s' if seeds > 1 else ''})"
    axes.plot(steps, curve.scores.T, color=color, lw=0.5, alpha=0.4)
    axes.plot(steps, band.mean, color=color, label=label, zorder=3)
    if seeds > 2:
        edges = (steps, band.low, band.high)
        axes.fill_between(*edges, color=color, alpha=0.15, linewidth=0)


def _plot_reported_points(
    axes: Axes, name: str, points: ReportedPoints, color: str
) -> None:
    x, y = zip(*points, strict=True)
    label = f"{name}, paper (read off its figure)"
    axes.plot(
        *(x, y),
        "o",
        mfc="white",
        mec=color,
        ms=4,
        label=label,
        clip_on=False,
        zorder=4,
    )


@style.context(STYLE_SHEET)
def plot_metric_panels(
    curves: Mapping[str, LearningCurve],
    *,
    title: str = "",
    xlabel: str = "million environment steps",
    steps_per_unit: float = 1e6,
    log: bool = False,
) -> Figure:
    """Draws numbers of different kinds over the same steps, each on axes of its own.

    Args:
        curves: a curve for each title of a panel.
        title: what was learned.
        xlabel: what the steps are.
        unit: steps that count as 1 there.
        log: whether numbers that are never below zero are drawn on logarithmic axes.
    """
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    size = 2.2 * columns + 0.2, 1.5 * rows + 0.5
    figure = Figure(figsize=size, layout="constrained")
    for place, (name, curve) in enumerate(curves.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        _plot_curve(axes, name, curve, LINE_COLORS[0], steps_per_unit=steps_per_unit)
        axes.set_title(name)
        axes.margins(x=0.02)
        axes.set_xlim(left=0)
        if log and curve.scores.min() > 0.0:
            axes.set_yscale("log")
        else:
            axes.set_ylim(_axis_limits([line.get_ydata() for line in axes.lines]))
    figure.suptitle(title, fontsize=8)
    figure.supxlabel(xlabel, fontsize=8)
    return figure


@style.context(STYLE_SHEET)
def plot_episode_frames(
    scene: scene_drawing.Scene,
    returns: Float[np.ndarray, " T"],
    *,
    max_frames: int = 6,
    title: str = "",
) -> Figure:
    """Draws an episode: the moments that matter, and the ways between them.

    Args:
        scene: the episode, seen from above.
        returns: what the team had earned by then.
        frames: most moments to draw.
        title: whose episode it is.
    """
    chosen = select_keyframes(returns, max_frames)
    *_, wide, high = scene["box"]
    size = 1.15 * len(chosen), 1.15 * high / wide + 0.47
    figure = Figure(figsize=size, layout="constrained")
    strip = figure.subplots(1, len(chosen), squeeze=False)[0]
    before = 0
    for axes, moment in zip(strip, chosen, strict=True):
        scene_drawing.draw_scene(axes, scene, moment)
        scene_drawing.draw_paths(axes, scene["moments"][before : moment + 1])
        label = "start" if moment == 0 else f"step {moment}"
        axes.set_xlabel(f"{label}\nreturn {returns[moment]:.2f}", fontsize=7)
        before = moment
    figure.suptitle(title, fontsize=8)
    return figure


def select_keyframes(returns: Float[np.ndarray, " T"], max_frames: int) -> list[int]:
    """Picks the start, the end and what was earned on the way, then fills the gaps."""
    last = len(returns) - 1
    earned = np.flatnonzero(np.diff(returns) > 0) + 1
    chosen = {0, last, *earned[: max_frames - 2].tolist()}
    while len(chosen) < min(max_frames, last + 1):
        bounds = sorted(chosen)
        gaps = np.diff(bounds)
        widest = int(np.argmax(gaps))
        chosen.add(bounds[widest] + int(gaps[widest]) // 2)
    return sorted(chosen)


@style.context(STYLE_SHEET)
def plot_beliefs(
    others: Float[np.ndarray, " F"],
    belief: Float[np.ndarray, " F"],
    weights: Float[np.ndarray, " F"],
    *,
    task: Foraging,
    scene: scene_drawing.Scene,
    step: int,
    agent: int,
    title: str = "",
) -> Figure:
    """Draws what an agent of Foraging believes its teammates see, and what they do see.

    Args:
        others: o_-i, the teammates' observations, raw, in agent-index order.
        belief: ô_-i, in the same units.
        weights: w_i, how much each feature counts, in (0, 1).
        task: whose features they are.
        scene: the episode, seen from above.
        moment: of it.
        agent: i.
        title: a line above the panel.
    """
    teammates = [other for other in range(task.num_agents) if other != agent]
    widths = [2.0, 0.19 * len(others)]
    figure = Figure(figsize=(sum(widths) + 0.5, 2.4), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=widths, height_ratios=[2.2, 1])
    board = figure.add_subplot(grid[:, 0])
    scene_drawing.draw_scene(board, scene, step)
    scene_drawing.add_agent_legend(board, task.num_agents)
    values = figure.add_subplot(grid[0, 1])
    shares = figure.add_subplot(grid[1, 1], sharex=values)
    _plot_belief_values(values, others, belief)
    _plot_filter_weights(shares, weights)
    _label_features(values, shares, task, teammates)
    figure.suptitle(title, fontsize=8)
    return figure


def _plot_belief_values(
    axes: Axes, others: Float[np.ndarray, " F"], belief: Float[np.ndarray, " F"]
) -> None:
    feature = np.arange(len(others))
    axes.vlines(feature, others, belief, color=GRAY, lw=0.8, zorder=2)
    truth = {"color": BLACK, "marker": "_", "s": 45, "linewidths": 1.8}
    axes.scatter(feature, others, label="true", zorder=3, **truth)
    axes.scatter(feature, belief, color=ORANGE, s=16, label="believed", zorder=4)
    axes.set_ylabel("value (−1: unseen)")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(bottom=False, labelbottom=False)
    corner = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderpad": 0}
    axes.legend(**corner, ncols=2, handletextpad=0.1, columnspacing=1)


def _plot_filter_weights(axes: Axes, weights: Float[np.ndarray, " F"]) -> None:
    axes.bar(np.arange(len(weights)), weights, width=0.7, color=SKY, zorder=2)
    axes.set(ylim=(0, 1), ylabel="weight $w$", yticks=[0, 0.5, 1])
    axes.tick_params(bottom=False)


def _label_features(
    value_axes: Axes, weight_axes: Axes, task: Foraging, teammates: list[int]
) -> None:
    """Names the features: three to each thing seen, a block to each teammate."""
    names = ["row", "col", "level"] * (task.obs_dim // 3) * len(teammates)
    weight_axes.set_xticks(np.arange(len(names)), names, rotation=90, fontsize=6)
    weight_axes.set_xlim(-0.6, len(names) - 0.4)
    for block, teammate in enumerate(teammates):
        start, shade = task.obs_dim * block, scene_drawing.agent_color(teammate)
        note = {"fontsize": 7, "color": shade, "va": "bottom"}
        _annotate_feature(
            value_axes, start - 0.5, 1.03, f"agent {teammate + 1} sees", note
        )
        for place, label in enumerate(_entity_names(task, teammate)):
            left = start + 3 * place - 0.5
            for axes in (value_axes, weight_axes):
                tint = 0.05 + 0.08 * (place % 2)
                axes.axvspan(left, left + 3, color=shade, alpha=tint, lw=0, zorder=0)
            note = {"fontsize": 6, "ha": "center", "va": "top"}
            _annotate_feature(value_axes, left + 1.5, -0.03, label, note)


def _entity_names(task: Foraging, agent: int) -> list[str]:
    """Returns the things in an agent's observation, in order."""
    foods = [f"food {food + 1}" for food in range(task.foods)]
    rest = [f"agent {other + 1}" for other in range(task.num_agents) if other != agent]
    return [*foods, "itself", *rest]


def _annotate_feature(
    axes: Axes, x: float, y: float, text: str, text_kwargs: dict[str, Any]
) -> None:
    """Writes at a feature's x, at a fraction y of the axes' height."""
    axes.text(x, y, text, transform=axes.get_xaxis_transform(), **text_kwargs)
