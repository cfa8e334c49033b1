"""Components of a report: sections of figures, tables and episode players.

A figure is a plain dictionary with `data` and `layout`, as Plotly's JavaScript expects.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from syntony.training.safe_io import JsonObject
from syntony.visualization.style import line_looks

# Nested dictionaries whose keys and values only Plotly's JavaScript defines.
PlotlyObject = dict[str, Any]
PlotlyFigure = PlotlyObject
Trace = PlotlyObject
BlockWidth = Literal["third", "half", "wide"]
"""Share of a large screen's width; on a small screen all blocks have full width."""

PLOTLY_DASHES = {
    "solid": "solid",
    "dashed": "dash",
    "dashdot": "dashdot",
    "dotted": "dot",
}
"""Plotly's names of `style.DASHES`."""
SIGNIFICANT_DIGITS = 5
"""Significant digits of plotted values: finer than the pixels of any screen."""


class LineStyle(NamedTuple):
    """Color and dash of a line; those of a run are the same in all figures."""

    color: str
    dash: str


class Slider(NamedTuple):
    """Frames of a figure, of which a slider selects one."""

    label: str
    """Name of the quantity that the slider changes, e.g. `iteration`."""
    frame_labels: list[str]
    """Value of that quantity in each frame."""
    x: Sequence[object]
    """Coordinates x of each trace, one entry per frame."""
    y: Sequence[object]
    """Coordinates y of each trace, one entry per frame."""


class Plot(NamedTuple):
    """A figure with a title, a caption and a text alternative."""

    name: str
    """Name of the downloaded file, without its ending."""
    title: str
    alt: str
    """Text alternative for screen readers."""
    caption: str
    figure: PlotlyFigure
    width: BlockWidth = "third"
    min_width_px: int = 0
    """Minimal width in pixels; on narrower screens the figure scrolls."""
    slider: Slider | None = None
    """Slider through the frames of the figure, if it has several."""

    kind = "plot"


class Table(NamedTuple):
    """A table; the first column holds the name of the row."""

    title: str
    header: list[str]
    rows: list[list[str]]
    caption: str = ""
    collapsed: bool = False
    """Whether only the title is visible until a click opens the table."""
    width: BlockWidth = "wide"

    kind = "table"


class EpisodePlayer(NamedTuple):
    """An interactive player of one episode."""

    name: str
    """Name of downloaded files, without their ending."""
    title: str
    caption: str
    data: JsonObject
    """The episode as `player.js` takes it; see `build_episode_player`."""

    kind = "player"


SectionPart = Plot | Table | EpisodePlayer


class Section(NamedTuple):
    """A section of the page, with an entry in the table of contents."""

    id: str
    title: str
    parts: list[SectionPart]
    notes: list[str]
    """Paragraphs above the parts: what is missing, and why."""
    collapsed: bool = False
    """Whether only the title is visible until a click opens the section."""


def run_styles(systems: Sequence[str]) -> list[LineStyle]:
    """Line styles of runs: the color of their algorithm, as in figures, and dashes.

    Args:
        systems: names of the runs' systems.
    """
    return [LineStyle(x.color, PLOTLY_DASHES[x.dash]) for x in line_looks(systems)]


def line_trace(
    x: ArrayLike, y: ArrayLike, name: str, style: LineStyle, **overrides: object
) -> Trace:
    """Line trace.

    Args:
        x: coordinates.
        y: coordinates; NaN leaves a gap.
        name: name in the legend.
        style: color and dash.
        overrides: further entries of the trace.
    """
    return {
        "type": "scatter",
        "mode": "lines",
        "x": np.asarray(x),
        "y": np.asarray(y),
        "name": name,
        "line": {"color": style.color, "dash": style.dash, "width": 2},
    } | overrides


def background_line_trace(
    x: ArrayLike, y: ArrayLike, style: LineStyle, legend_group: str
) -> Trace:
    """Thin line trace without an entry in the legend, e.g. of one of several seeds."""
    unlabeled = {"showlegend": False, "hoverinfo": "skip", "legendgroup": legend_group}
    return line_trace(x, y, legend_group, style, opacity=0.35, **unlabeled) | {
        "line": {"color": style.color, "dash": style.dash, "width": 0.8}
    }


def band_trace(
    x: ArrayLike, low: ArrayLike, high: ArrayLike, style: LineStyle, legend_group: str
) -> Trace:
    """Filled area between two lines, without an entry in the legend."""
    outline_x = np.concatenate([np.asarray(x), np.asarray(x)[::-1]])
    return {
        "type": "scatter",
        "x": outline_x,
        "y": np.concatenate([np.asarray(high), np.asarray(low)[::-1]]),
        "fill": "toself",
        "fillcolor": rgba_color(style.color, 0.18),
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": legend_group,
        "name": legend_group,
    }


def step_histogram_trace(
    edges: Float[np.ndarray, " edges"],
    heights: Float[np.ndarray, " bins"],
    name: str,
    style: LineStyle,
) -> Trace:
    """Outline of a histogram as a line with steps; NaN leaves a gap."""
    centers = (edges[1:] + edges[:-1]) / 2
    trace = line_trace(centers, heights, name, style)
    return trace | {"line": trace["line"] | {"shape": "hvh"}}


def rgba_color(color: str, alpha: float) -> str:
    """CSS color `rgba(...)` of `#rrggbb` with an opacity."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def escape_html(text: str) -> str:
    """Text with HTML characters escaped: Plotly interprets some HTML in labels."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plotly_figure(
    traces: Iterable[Trace],
    *,
    xlabel: str,
    ylabel: str,
    xaxis: PlotlyObject | None = None,
    yaxis: PlotlyObject | None = None,
    **layout: object,
) -> PlotlyFigure:
    """Plotly figure with labeled axes.

    Args:
        traces: its traces.
        xlabel: label of the x axis; HTML in it is shown as text.
        ylabel: label of the y axis; likewise.
        xaxis: further entries of the x axis.
        yaxis: further entries of the y axis.
        layout: further entries of Plotly's layout.
    """
    # Few ticks: labels of close values would overlap on a phone.
    axes = {
        "xaxis": {
            "title": {"text": escape_html(xlabel)},
            "automargin": True,
            "nticks": 6,
        }
        | (xaxis or {}),
        "yaxis": {"title": {"text": escape_html(ylabel)}, "automargin": True}
        | (yaxis or {}),
    }
    return {"data": list(traces), "layout": {**axes, **layout}}


def _axis(label: str) -> PlotlyObject:
    return {"title": {"text": escape_html(label)}, "automargin": True}


def axis_range(values: Sequence[ArrayLike]) -> list[float]:
    """Range of an axis that contains all finite values, with a margin of 5 %."""
    flat = np.concatenate([np.ravel(np.asarray(v, float)) for v in values])
    finite = flat[np.isfinite(flat)]
    if not finite.size:
        return [0.0, 1.0]
    low, high = float(finite.min()), float(finite.max())
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return [low - margin, high + margin]


def log_axis(values: Sequence[ArrayLike], margin: float = 0.15) -> PlotlyObject:
    """Logarithmic axis that contains all positive values.

    Args:
        values: arrays of values.
        margin: margin at both ends, in decades.
    """
    flat = np.concatenate([np.ravel(np.asarray(v, float)) for v in values])
    positive = flat[np.isfinite(flat) & (flat > 0.0)]
    low, high = (
        np.log10([positive.min(), positive.max()]) if positive.size else (-3.0, 0.0)
    )
    # "D2" adds ticks at 2 and 5 within a decade.
    ticks = 1 if high - low > 1.5 else "D2"
    ends = [float(low) - margin, float(high) + margin]
    return {"type": "log", "exponentformat": "power", "dtick": ticks, "range": ends}


def to_jsonable(value: object, digits: int = SIGNIFICANT_DIGITS) -> object:
    """Value that JSON can represent: arrays as lists, floats rounded, NaN as None."""
    if isinstance(value, Mapping):
        return {str(k): to_jsonable(v, digits) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return to_jsonable(value.tolist(), digits)
    if isinstance(value, list | tuple):
        return [to_jsonable(item, digits) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return _round_significant(value, digits)
    return value


def _round_significant(number: float, digits: int) -> float | int | None:
    if not math.isfinite(number):
        return None
    short = float(f"{number:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
