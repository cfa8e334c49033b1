"""What a report is made of: sections of figures, tables and players.

A figure is a plain dictionary as Plotly's JavaScript draws it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from syntony.visualization.scene_drawing import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
)

PlotlyFigure = dict[str, Any]
Trace = dict[str, Any]
BlockWidth = Literal["third", "half", "wide"]
"""Of a large screen; on a small one all are as wide as it."""

COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DASHES = ("solid", "dash", "dot", "dashdot")
GRAY = "#808080"
"""Seen on white as on black."""
SIGNIFICANT_DIGITS = 5
"""Significant digits of what is drawn: finer than any screen."""


class LineStyle(NamedTuple):
    """How one run is told from others, the same in all figures."""

    color: str
    dash: str


class Slider(NamedTuple):
    """Moments of a figure that a slider chooses from."""

    label: str
    """What the slider moves through."""
    frame_labels: list[str]
    x: list[Any]
    """For each moment, x of each trace."""
    y: list[Any]


class Plot(NamedTuple):
    """A figure, in words too for who cannot see it."""

    name: str
    """What its file is called when it is downloaded."""
    title: str
    alt: str
    caption: str
    figure: PlotlyFigure
    width: BlockWidth = "third"
    min_width_px: int = 0
    """Pixels across that it needs: where there are fewer, it is scrolled."""
    slider: Slider | None = None

    kind = "plot"


class Table(NamedTuple):
    """A table; the first column names the row."""

    title: str
    header: list[str]
    rows: list[list[str]]
    caption: str = ""
    collapsed: bool = False
    width: BlockWidth = "wide"

    kind = "rows"


class EpisodePlayer(NamedTuple):
    """An episode to be played."""

    name: str
    title: str
    caption: str
    data: dict[str, Any]

    kind = "player"


SectionPart = Plot | Table | EpisodePlayer


class Section(NamedTuple):
    """A part of the page that its contents lists."""

    id: str
    title: str
    parts: list[SectionPart]
    notes: list[str]


def run_style(index: int) -> LineStyle:
    """Returns the look of the number-th run: six colours, then other dashes."""
    dash = DASHES[index // len(COLORS) % len(DASHES)]
    return LineStyle(COLORS[index % len(COLORS)], dash)


def line_trace(
    x: ArrayLike, y: ArrayLike, name: str, style: LineStyle, **overrides: Any
) -> Trace:
    """Returns a line."""
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
    """Returns a line behind the others, without a name of its own."""
    quiet = {"showlegend": False, "hoverinfo": "skip", "legendgroup": legend_group}
    return line_trace(x, y, legend_group, style, opacity=0.35, **quiet) | {
        "line": {"color": style.color, "dash": style.dash, "width": 0.8}
    }


def band_trace(
    x: ArrayLike, low: ArrayLike, high: ArrayLike, style: LineStyle, legend_group: str
) -> Trace:
    """Returns the area between two lines."""
    there = np.concatenate([np.asarray(x), np.asarray(x)[::-1]])
    return {
        "type": "scatter",
        "x": there,
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


def rgba_color(color: str, alpha: float) -> str:
    """Returns `#rrggbb` as `rgba(...)`."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def escape_html(text: str) -> str:
    """Returns a text that Plotly shows as it is: it reads some of HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plotly_figure(
    traces: Iterable[Trace], *, xlabel: str, ylabel: str, **layout: Any
) -> PlotlyFigure:
    """Returns a figure with named axes.

    Args:
        layout: Plotly's; entries of `xaxis` and `yaxis` are added to what is there.
    """
    # Tick marks of numbers near each other need room on a phone.
    axes = {
        "xaxis": {"title": {"text": xlabel}, "automargin": True, "nticks": 6},
        "yaxis": {"title": {"text": ylabel}, "automargin": True},
    }
    for name in axes:
        axes[name] |= layout.pop(name, {})
    return {"data": list(traces), "layout": {**axes, **layout}}


def axis_range(values: Sequence[ArrayLike]) -> list[float]:
    """Returns the range that holds all values, with a margin of 5 %."""
    every = np.concatenate([np.ravel(np.asarray(v, float)) for v in values])
    every = every[np.isfinite(every)]
    if not every.size:
        return [0.0, 1.0]
    low, high = float(every.min()), float(every.max())
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return [low - margin, high + margin]


def log_axis(values: Sequence[ArrayLike], margin: float = 0.15) -> dict[str, Any]:
    """Returns a logarithmic axis that holds all positive values.

    Args:
        margin: at both ends, in decades.
    """
    every = np.concatenate([np.ravel(np.asarray(v, float)) for v in values])
    every = every[np.isfinite(every) & (every > 0.0)]
    low, high = np.log10([every.min(), every.max()]) if every.size else (-3.0, 0.0)
    # Few decades are told by 2 and 5 in between.
    ticks = 1 if high - low > 1.5 else "D2"
    ends = [float(low) - margin, float(high) + margin]
    return {"type": "log", "exponentformat": "power", "dtick": ticks, "range": ends}


def to_jsonable(value: Any, digits: int = SIGNIFICANT_DIGITS) -> Any:
    """Returns a value as JSON holds it: numbers short, and null for what is none."""
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
