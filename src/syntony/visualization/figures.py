"""Figures for print; the same arrays give the same files, byte for byte."""

import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from syntony.evaluation.learning_curves import LearningCurve
from syntony.tasks.scene import Feature
from syntony.training.atomic_io import atomic_write_bytes
from syntony.visualization import scene_drawing
from syntony.visualization.legends import add_legend_below, line_style
from syntony.visualization.print_options import (
    DEFAULT_PRINT_OPTIONS,
    PrintOptions,
    apply_print_options,
    figure_data,
)
from syntony.visualization.scenes import EpisodeScene
from syntony.visualization.style import (
    BLACK,
    BLUE,
    DASHES,
    GRAY,
    MARKERS,
    ORANGE,
    SKY,
    STYLE_SHEET,
    LineLook,
    TextStyle,
    agent_color,
    agent_name,
    line_looks,
    seeds_label,
)

REPRODUCIBLE_METADATA: dict[str, dict[str, None]] = {
    ".svg": {"Date": None},
    ".png": {"Software": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}
"""Metadata to leave out: the date and Matplotlib's version."""

FEATURE_INCHES = 0.19
"""Width of a feature in a figure of beliefs."""
LETTER_INCHES = 0.05
"""Mean width of a letter in 6 pt."""
MAX_BELIEF_FEATURES = 80
"""Features in a figure of beliefs: those of as many teammates as fit, at least one."""

PAPER_MARKERS = ("o", "D", "s", "^")
"""Markers of the points of a paper, of one curve each."""

ReportedPoints = Sequence[tuple[float, float]]
"""(million steps, score) pairs."""


def save_figure(
    figure: Figure,
    path: Path,
    formats: Sequence[str] = ("svg", "png"),
    options: PrintOptions = DEFAULT_PRINT_OPTIONS,
) -> list[Path]:
    """Writes a figure as `path`.svg, `path`.png, ...; returns the files.

    Args:
        figure: the figure; titles, font and size are changed as the options say.
        path: the file without its ending; missing folders are created.
        formats: svg, png, pdf or csv (the data), one or several.
        options: width, font and titles.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = figure_data(figure) if "csv" in formats else ""
    formats = [suffix for suffix in formats if suffix != "csv"]
    _disable_mathtext(figure)
    apply_print_options(figure, options)
    # No `with_suffix`: a name may contain a dot.
    files = [path.with_name(f"{path.name}.{suffix}") for suffix in formats]
    if data:
        atomic_write_bytes(path.with_name(f"{path.name}.csv"), data.encode())
    font = {"font.family": options.font_family}
    with style.context([STYLE_SHEET, font]):
        for file in files:
            content, metadata = io.BytesIO(), REPRODUCIBLE_METADATA[file.suffix]
            figure.savefig(content, format=file.suffix[1:], metadata=metadata)
            atomic_write_bytes(file, content.getvalue())
    return [*files, path.with_name(f"{path.name}.csv")] if data else files


def _disable_mathtext(figure: Figure) -> None:
    """Keeps Matplotlib from parsing TeX in the users' names in titles and legends."""
    legends = [text for legend in figure.findobj(Legend) for text in legend.get_texts()]
    titles = [axes.title for axes in figure.axes]
    for text in [*figure.texts, *titles, *legends]:
        text.set_parse_math(False)


@style.context(STYLE_SHEET)
def plot_learning_curves(
    curves: Mapping[str, LearningCurve],
    *,
    title: str = "",
    xlabel: str = "million environment steps",
    steps_per_unit: float = 1e6,
    ylabel: str = "return of an episode",
    paper: Mapping[str, ReportedPoints] | None = None,
) -> Figure:
    """Plots means over seeds, with 95 % intervals from three seeds on.

    Args:
        curves: learning curves by their name in the legend.
        title: title of the figure, e.g. the task.
        xlabel: unit of the steps.
        steps_per_unit: steps in one such unit.
        ylabel: the metric.
        paper: points read off a paper's figure, by the name of the curve that has the
            same color.
    """
    figure = Figure(figsize=(4.2, 2.6), layout="constrained")
    axes = figure.subplots()
    looks = dict(zip(curves, line_looks([*curves]), strict=True))
    for name, curve in curves.items():
        _plot_curve(axes, name, curve, looks[name], steps_per_unit=steps_per_unit)
    markers = itertools.cycle(PAPER_MARKERS)
    for name, points in (paper or {}).items():
        color = looks[name].color if name in looks else BLACK
        _plot_reported_points(axes, name, points, color, next(markers))
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.margins(x=0.02)
    axes.set_xlim(left=0)
    axes.set_ylim(_axis_limits([line.get_ydata() for line in axes.lines]))
    has_interval = any(len(curve.scores) > 2 for curve in curves.values())
    content = (
        "mean, its 95 % interval, each seed" if has_interval else "mean, each seed"
    )
    return add_legend_below(figure, content)


def _axis_limits(lines: Sequence[ArrayLike]) -> tuple[float, float]:
    """Limits that contain the lines with a margin of 5 %; intervals may exceed them."""
    values = np.concatenate([np.ravel(line) for line in lines])
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _plot_curve(
    axes: Axes,
    name: str,
    curve: LearningCurve,
    look: LineLook,
    *,
    steps_per_unit: float,
) -> None:
    """Plots each seed, the mean over seeds, and its interval from three seeds on."""
    band, steps = curve.over_seeds(), curve.steps / steps_per_unit
    seeds = len(curve.scores)
    label = seeds_label(name, seeds)
    axes.plot(steps, curve.scores.T, color=look.color, lw=0.5, alpha=0.4)
    axes.plot(steps, band.mean, label=label, zorder=3, **line_style(look))
    if seeds > 2:
        edges = (steps, band.low, band.high)
        axes.fill_between(*edges, color=look.color, alpha=0.15, linewidth=0)


def _plot_reported_points(
    axes: Axes, name: str, points: ReportedPoints, color: str, marker: str
) -> None:
    x, y = zip(*points, strict=True)
    label = f"{name}, paper (read off its figure)"
    axes.plot(
        *(x, y),
        marker,
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
    """Plots metrics over the same steps, each in a panel of its own.

    Args:
        curves: curves by the title of their panel.
        title: title of the figure.
        xlabel: unit of the steps.
        steps_per_unit: steps in one such unit.
        log: whether curves of positive values get logarithmic axes.
    """
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    size = 2.2 * columns + 0.2, 1.5 * rows + 0.5
    figure = Figure(figsize=size, layout="constrained")
    for index, (name, curve) in enumerate(curves.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        look = LineLook(BLUE, DASHES[0], MARKERS[0])
        _plot_curve(axes, name, curve, look, steps_per_unit=steps_per_unit)
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
    scene: EpisodeScene,
    returns: Float[np.ndarray, " T"],
    *,
    max_frames: int = 6,
    title: str = "",
) -> Figure:
    """Draws key frames of an episode, with the agents' paths between them.

    Args:
        scene: the episode's scene.
        returns: cumulative team reward at each step, 0 at the start.
        max_frames: number of frames at most.
        title: title of the figure.
    """
    chosen = select_keyframes(returns, max_frames)
    *_, width, height = scene.bounds
    size = 1.15 * len(chosen), 1.15 * height / width + 0.47
    figure = Figure(figsize=size, layout="constrained")
    strip = figure.subplots(1, len(chosen), squeeze=False)[0]
    previous = 0
    for axes, step in zip(strip, chosen, strict=True):
        scene_drawing.draw_scene(axes, scene, step)
        scene_drawing.draw_paths(axes, scene.frames[previous : step + 1])
        label = "start" if step == 0 else f"step {step}"
        axes.set_xlabel(f"{label}\nreturn {returns[step]:.2f}", fontsize=7)
        previous = step
    figure.suptitle(title, fontsize=8)
    return figure


def select_keyframes(returns: Float[np.ndarray, " T"], max_frames: int) -> list[int]:
    """Steps of the key frames: start, end and rewards first, then the widest gaps.

    Args:
        returns: cumulative team reward at each step.
        max_frames: number of steps at most.
    """
    last = len(returns) - 1
    rewarded = np.flatnonzero(np.diff(returns) > 0) + 1
    chosen = {0, last, *rewarded[: max_frames - 2].tolist()}
    while len(chosen) < min(max_frames, last + 1):
        steps = sorted(chosen)
        gaps = np.diff(steps)
        widest = int(np.argmax(gaps))
        chosen.add(steps[widest] + int(gaps[widest]) // 2)
    return sorted(chosen)


@style.context(STYLE_SHEET)
def plot_beliefs(
    others: Float[np.ndarray, " F"],
    belief: Float[np.ndarray, " F"],
    weights: Float[np.ndarray, " F"],
    *,
    features: Sequence[Sequence[Feature]],
    scene: EpisodeScene,
    step: int,
    agent: int,
    title: str = "",
) -> Figure:
    """Plots an agent's decoded belief beside its teammates' true observations.

    Of many teammates only the first ones are shown, with `MAX_BELIEF_FEATURES` at most.

    Args:
        others: o_-i, the teammates' observations, unnormalized, in agent order.
        belief: ô_-i, decoded from agent i's belief, in the same units.
        weights: w_i, the filter weight of each feature, in (0, 1).
        features: names of the features of each agent's observation.
        scene: the episode's scene.
        step: the step of the episode.
        agent: index i.
        title: title of the figure.
    """
    shown = {i: features[i] for i in _shown_teammates(features, agent)}
    count = sum(map(len, shown.values()))
    labels = _feature_labels(shown)
    widths = [2.0, max(1.5, FEATURE_INCHES * count)]
    size = sum(widths) + 0.5, 2.3 + LETTER_INCHES * max(map(len, labels))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=widths, height_ratios=[2.2, 1])
    scene_axes = figure.add_subplot(grid[:, 0])
    scene_drawing.draw_scene(scene_axes, scene, step)
    scene_drawing.add_agent_legend(scene_axes, len(features))
    value_axes = figure.add_subplot(grid[0, 1])
    weight_axes = figure.add_subplot(grid[1, 1], sharex=value_axes)
    _plot_belief_values(value_axes, others[:count], belief[:count])
    _plot_filter_weights(weight_axes, weights[:count])
    weight_axes.set_xticks(np.arange(count), labels, rotation=90, fontsize=6)
    weight_axes.set_xlim(-0.6, count - 0.4)
    _label_entities(value_axes, weight_axes, shown)
    figure.suptitle(title, fontsize=8)
    return figure


def _shown_teammates(features: Sequence[Sequence[Feature]], agent: int) -> list[int]:
    """The first teammates, at least one, as many as have their place."""
    teammates = [other for other in range(len(features)) if other != agent]
    ends = np.cumsum([len(features[other]) for other in teammates])
    return teammates[: max(1, int((ends <= MAX_BELIEF_FEATURES).sum()))]


def _plot_belief_values(
    axes: Axes, others: Float[np.ndarray, " F"], belief: Float[np.ndarray, " F"]
) -> None:
    feature = np.arange(len(others))
    axes.vlines(feature, others, belief, color=GRAY, lw=0.8, zorder=2)
    dash = {"color": BLACK, "marker": "_", "s": 45, "linewidths": 1.8}
    axes.scatter(feature, others, label="true", zorder=3, **dash)
    axes.scatter(feature, belief, color=ORANGE, s=16, label="decoded", zorder=4)
    axes.set_ylabel("value")
    whole_numbers = bool(np.all(others == np.round(others)))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=whole_numbers))
    axes.tick_params(bottom=False, labelbottom=False)
    # Above the line with the teammates' names.
    position = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 2.2}
    axes.legend(
        **position, borderpad=0, ncols=2, handletextpad=0.1, columnspacing=1, fontsize=7
    )


def _plot_filter_weights(axes: Axes, weights: Float[np.ndarray, " F"]) -> None:
    axes.bar(np.arange(len(weights)), weights, width=0.7, color=SKY, zorder=2)
    axes.set(ylim=(0, 1), ylabel="weight $w$", yticks=[0, 0.5, 1])
    axes.tick_params(bottom=False)


def _feature_labels(features: Mapping[int, Sequence[Feature]]) -> list[str]:
    """Labels of all features: attributes, with their entities where these do not fit.

    An entity's name has a line of its own above its attributes, unless one is too long
    for its few features.
    """
    names = [feature for of_agent in features.values() for feature in of_agent]
    return [f.attribute if _entities_fit(features) else f.label for f in names]


def _entities_fit(features: Mapping[int, Sequence[Feature]]) -> bool:
    """Whether the name of each entity is no wider than its features."""
    blocks = [block for names in features.values() for block in _entity_blocks(names)]
    return all(LETTER_INCHES * len(e) <= FEATURE_INCHES * n for e, n in blocks)


def _label_entities(
    value_axes: Axes, weight_axes: Axes, features: Mapping[int, Sequence[Feature]]
) -> None:
    """Marks the features of each teammate, and of each entity that it observes."""
    fits, left = _entities_fit(features), -0.5
    for teammate, names in features.items():
        color = agent_color(teammate)
        _annotate_feature(
            *(value_axes, left, 2.0, f"{agent_name(teammate)} sees"),
            {"fontsize": 7, "color": color, "va": "bottom"},
        )
        for index, (entity, count) in enumerate(_entity_blocks(names)):
            for axes in (value_axes, weight_axes):
                alpha = 0.05 + 0.08 * (index % 2)
                axes.axvspan(
                    left, left + count, color=color, alpha=alpha, lw=0, zorder=0
                )
            if fits:
                centered: TextStyle = {"fontsize": 6, "ha": "center", "va": "top"}
                _annotate_feature(value_axes, left + count / 2, -2.0, entity, centered)
            left += count


def _entity_blocks(features: Sequence[Feature]) -> list[tuple[str, int]]:
    """Entities in order, each with its number of successive features."""
    blocks = itertools.groupby(features, key=lambda feature: feature.entity)
    return [(entity, len(list(block))) for entity, block in blocks]


def _annotate_feature(
    axes: Axes, x: float, points: float, text: str, text_style: TextStyle
) -> None:
    """Adds a text at a feature's x, some points above the axes, or below if < 0."""
    position = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
    y = 1 if points > 0 else 0
    axes.annotate(text, (x, y), (0, points), **position, **text_style)
