"""Legends of the figures for print, which are below the axes and never on data."""

from collections.abc import Collection
from typing import Any, TypedDict

from matplotlib import style
from matplotlib.figure import Figure

from syntony.visualization.style import STYLE_SHEET, LineLook

HANDLE_INCHES, LETTER_INCHES, ROW_INCHES = 0.45, 0.048, 0.15
"""Width of a line with its gaps, of a letter, and height of a row, in 7 pt."""


class LineStyle(TypedDict):
    """Matplotlib's keywords of a line."""

    color: str
    ls: str
    marker: str
    ms: float
    markevery: float


def line_style(look: LineLook) -> LineStyle:
    """Keywords of a line with a look."""
    return LineStyle(
        color=look.color, ls=look.dash, marker=look.marker, ms=3.0, markevery=0.1
    )


@style.context(STYLE_SHEET)
def add_legend_below(figure: Figure, title: str = "") -> Figure:
    """Adds a legend of everything that is named, below the axes.

    The figure becomes higher by the legend, so that the axes keep their size. A legend
    that it has is replaced: after a change of the width, columns may not fit any more.

    Args:
        figure: a figure with constrained layout.
        title: title of the legend; that of the legend that is replaced stays.
    """
    width, height = figure.get_size_inches()
    for legend in figure.legends[:]:
        title = title or legend.get_title().get_text()
        height -= _legend_inches(figure, legend.get_title().get_text(), width)
        legend.remove()
    by_name = _named(figure)
    if not by_name:
        return figure
    figure.legend(
        [*by_name.values()],
        [*by_name],
        title=title or None,
        ncols=_columns(by_name, width),
        loc="outside lower left",
        alignment="left",
        title_fontsize=7,
        columnspacing=1.2,
    )
    figure.set_size_inches(width, height + _legend_inches(figure, title, width))
    return figure


# Legends take a container of bars, which is no Artist.
def _named(figure: Figure) -> dict[str, Any]:
    """Lines, points and groups of bars with a name, by it."""
    return {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }


def _columns(names: Collection[str], width: float) -> int:
    """Columns of a legend that fit a width in inches."""
    column = HANDLE_INCHES + LETTER_INCHES * max(map(len, names))
    return max(1, min(len(names), int(width / column)))


def _legend_inches(figure: Figure, title: str, width: float) -> float:
    """Height of the legend of a figure with a width in inches."""
    names = _named(figure)
    rows = -(-len(names) // _columns(names, width))
    return ROW_INCHES * (rows + bool(title))
