"""Options of figures for print: width, font, titles, and the data behind a figure."""

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from syntony.visualization.legends import add_legend_below

WIDTHS_INCHES = {"icml": 3.25, "ieee": 3.5, "full": 6.75}
"""Width of a column of ICML and of IEEE, and of a page, in inches."""


class PrintOptions(NamedTuple):
    """How figures are printed; the default is as they were designed."""

    width: str = ""
    """A name of `WIDTHS_INCHES`; empty: the figure's own."""
    font: str = "sans"
    """serif or sans."""
    titles: bool = True
    """Whether figures have titles; captions of a paper replace them."""

    @property
    def font_family(self) -> str:
        return "serif" if self.font == "serif" else "sans-serif"


DEFAULT_PRINT_OPTIONS = PrintOptions()


def apply_print_options(figure: Figure, options: PrintOptions) -> None:
    """Gives a figure the width, font and titles that are asked for.

    Text keeps its size in points; the height changes with the width.

    Args:
        figure: the figure, which is changed.
        options: what is asked for.
    """
    if options.width:
        width, height = figure.get_size_inches()
        scale = WIDTHS_INCHES[options.width] / width
        # Labels keep their size: a narrow figure is not as low as it is narrow.
        figure.set_size_inches(width * scale, height * max(scale, scale**0.5))
        if figure.legends:
            add_legend_below(figure)
    if not options.titles:
        _remove_titles(figure)
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_fontfamily(options.font_family)


def _remove_titles(figure: Figure) -> None:
    """Removes the title of the figure; those of several panels name the panels."""
    if figure.get_suptitle():
        figure.suptitle("")
    if len(figure.axes) == 1:
        figure.axes[0].set_title("")


def figure_data(figure: Figure) -> str:
    """Lines and points of a figure as CSV: panel, curve, x, y; empty without any.

    Args:
        figure: the figure.
    """
    rows = [row for axes in figure.axes for row in _axes_data(axes)]
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["panel", "curve", "x", "y"])
    writer.writerows(rows)
    return text.getvalue()


def _axes_data(axes: Axes) -> Iterator[tuple[str, str, float, float]]:
    """Yields the points of everything that the legend names, and of scatter plots."""
    panel = axes.get_title() or axes.get_ylabel()
    for line in axes.lines:
        name = str(line.get_label())
        if not name.startswith("_"):
            yield from _points(panel, name, np.asarray(line.get_xydata()))
    for number, points in enumerate(axes.collections):
        if isinstance(points, PathCollection):
            name = str(points.get_label())
            name = f"points {number + 1}" if name.startswith("_") else name
            yield from _points(panel, name, np.asarray(points.get_offsets()))


def _points(
    panel: str, name: str, points: np.ndarray
) -> Iterator[tuple[str, str, float, float]]:
    for x, y in points:
        yield panel, name, float(f"{x:.7g}"), float(f"{y:.7g}")
