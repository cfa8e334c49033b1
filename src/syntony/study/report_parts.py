"""What a report is made of: sections of figures, tables and players.

A figure is a plain dictionary as Plotly's JavaScript draws it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from syntony.study.boards import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION

Figure = dict[str, Any]
Trace = dict[str, Any]
Width = Literal["third", "half", "wide"]
"""Of a large screen; on a small one all are as wide as it."""

COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DASHES = ("solid", "dash", "dot", "dashdot")
GREY = "#808080"
"""Seen on white as on black."""
DIGITS = 5
"""Significant digits of what is drawn: finer than any screen."""


class Style(NamedTuple):
    """How one run is told from others, the same in all figures."""

    colour: str
    dash: str


class Slides(NamedTuple):
    """Moments of a figure that a slider chooses from."""

    label: str
    """What the slider moves through."""
    names: list[str]
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
    figure: Figure
    width: Width = "third"
    least: int = 0
    """Pixels across that it needs: where there are fewer, it is scrolled."""
    slides: Slides | None = None

    kind = "plot"


class Rows(NamedTuple):
    """A table; the first column names the row."""

    title: str
    heads: list[str]
    rows: list[list[str]]
    caption: str = ""
    folded: bool = False
    width: Width = "wide"

    kind = "rows"


class Player(NamedTuple):
    """An episode to be played."""

    name: str
    title: str
    caption: str
    data: dict[str, Any]

    kind = "player"


Part = Plot | Rows | Player


class Section(NamedTuple):
    """A part of the page that its contents lists."""

    id: str
    title: str
    parts: list[Part]
    notes: list[str]


def style(number: int) -> Style:
    """Returns the look of the number-th run: six colours, then other dashes."""
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    return Style(COLOURS[number % len(COLOURS)], dash)


def line(x: ArrayLike, y: ArrayLike, name: str, look: Style, **more: Any) -> Trace:
    """Returns a line."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": np.asarray(x),
        "y": np.asarray(y),
        "name": name,
        "line": {"color": look.colour, "dash": look.dash, "width": 2},
    } | more


def faint(x: ArrayLike, y: ArrayLike, look: Style, group: str) -> Trace:
    """Returns a line behind the others, without a name of its own."""
    quiet = {"showlegend": False, "hoverinfo": "skip", "legendgroup": group}
    return line(x, y, group, look, opacity=0.35, **quiet) | {
        "line": {"color": look.colour, "dash": look.dash, "width": 0.8}
    }


def band(
    x: ArrayLike, low: ArrayLike, high: ArrayLike, look: Style, group: str
) -> Trace:
    """Returns the area between two lines."""
    there = np.concatenate([np.asarray(x), np.asarray(x)[::-1]])
    return {
        "type": "scatter",
        "x": there,
        "y": np.concatenate([np.asarray(high), np.asarray(low)[::-1]]),
        "fill": "toself",
        "fillcolor": tint(look.colour, 0.18),
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": group,
        "name": group,
    }


def tint(colour: str, alpha: float) -> str:
    """Returns `#rrggbb` as `rgba(...)`."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def literal(text: str) -> str:
    """Returns a text that Plotly shows as it is: it reads some of HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def figure(traces: Iterable[Trace], *, x: str, y: str, **layout: Any) -> Figure:
    """Returns a figure with named axes.

    Args:
        layout: Plotly's; entries of `xaxis` and `yaxis` are added to what is there.
    """
    # Tick marks of numbers near each other need room on a phone.
    axes = {
        "xaxis": {"title": {"text": x}, "automargin": True, "nticks": 6},
        "yaxis": {"title": {"text": y}, "automargin": True},
    }
    for name in axes:
        axes[name] |= layout.pop(name, {})
    return {"data": list(traces), "layout": {**axes, **layout}}


def span(values: Sequence[ArrayLike]) -> list[float]:
    """Returns the range that holds all values, with a margin of 5 %."""
    every = np.concatenate([np.ravel(np.asarray(v, float)) for v in values])
    every = every[np.isfinite(every)]
    if not every.size:
        return [0.0, 1.0]
    low, high = float(every.min()), float(every.max())
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return [low - margin, high + margin]


def decades(values: Sequence[ArrayLike], margin: float = 0.15) -> dict[str, Any]:
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


def plain(value: Any, digits: int = DIGITS) -> Any:
    """Returns a value as JSON holds it: numbers short, and null for what is none."""
    if isinstance(value, Mapping):
        return {str(k): plain(v, digits) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), digits)
    if isinstance(value, list | tuple):
        return [plain(item, digits) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return _short(value, digits)
    return value


def _short(number: float, digits: int) -> float | int | None:
    if not math.isfinite(number):
        return None
    short = float(f"{number:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
