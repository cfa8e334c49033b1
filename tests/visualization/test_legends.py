"""Legends are below the axes, and lines are told apart in color and in gray."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from syntony.comparison.figures import plot_performance_profiles
from syntony.evaluation.learning_curves import LearningCurve
from syntony.visualization import figures, link_figures, style
from syntony.visualization.print_options import WIDTHS_INCHES, PrintOptions

NAMES = ["SMPE²", "MAA2C", "SMPE², to 10 M steps", "no filtered critic", "MAPPO"]


def curve(scale: float = 1.0) -> LearningCurve:
    steps = np.linspace(0.0, 2e6, 31)
    rise = steps / 2e6 * scale
    return LearningCurve(steps, np.array([[0.8], [0.9], [1.0]]) * rise)


def learning_curves() -> Figure:
    curves = {name: curve(1 / (1 + i)) for i, name in enumerate(NAMES)}
    return figures.plot_learning_curves(
        curves, title="a task", paper={"SMPE²": [(0.5, 0.3), (2.0, 1.0)]}
    )


def bler_over_training() -> Figure:
    rates = np.array([[0.9, 0.01, 1e-4], [0.8, 0.02, 2e-4], [0.9, 0.03, 1e-4]])
    falling = LearningCurve(np.array([0.0, 50.0, 100.0]), rates)
    return link_figures.plot_bler_over_training(dict.fromkeys(NAMES, falling))


def profiles() -> Figure:
    return plot_performance_profiles({name: [np.array([0.1, 0.5])] for name in NAMES})


@pytest.mark.parametrize("draw", [learning_curves, bler_over_training, profiles])
@pytest.mark.parametrize("width", ["", *WIDTHS_INCHES])
def test_no_legend_is_on_data_or_cut_off(
    draw: Callable[[], Figure], width: str, tmp_path
):
    figure = draw()
    figures.save_figure(figure, tmp_path / "figure", ["svg"], PrintOptions(width=width))
    FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert not [axes for axes in figure.axes if axes.get_legend()]
    for axes in figure.axes:
        around = axes.get_tightbbox()
        assert around is not None
        assert not box.overlaps(around)
        assert axes.get_window_extent().height > 0.35 * figure.bbox.height
    assert figure.bbox.x0 - 1 <= box.x0 < box.x1 <= figure.bbox.x1 + 1
    assert figure.bbox.y0 - 1 <= box.y0


def named_lines(figure: Figure) -> list[Line2D]:
    (axes,) = figure.axes
    return [x for x in axes.lines if not str(x.get_label()).startswith("_")]


@pytest.mark.parametrize("draw", [learning_curves, bler_over_training, profiles])
def test_lines_differ_without_color(draw: Callable[[], Figure]):
    lines = named_lines(draw())
    assert len(lines) >= len(NAMES)
    looks = [(x.get_linestyle(), x.get_marker()) for x in lines]
    for first, second in combinations(looks, 2):
        assert first != second


def test_an_algorithm_has_one_color_in_every_figure():
    names = ["MAA2C", "SMPE² (5 seeds)"]
    looks = [
        dict(zip(x, style.line_looks(x), strict=True)) for x in (names, names[::-1])
    ]
    assert [look["MAA2C"].color for look in looks] == [style.VERMILLION] * 2
    assert [look["SMPE² (5 seeds)"].color for look in looks] == [style.BLUE] * 2
    assert style.line_looks(["maa2c"])[0].color == style.VERMILLION


def test_other_lines_have_colors_of_their_own():
    names = ["smpe", "smpe gamma=0.9", "smpe gamma=0.8", "no critic", "", "runs/maa2c"]
    colors = [look.color for look in style.line_looks(names)]
    assert colors[0] == colors[1] == style.BLUE
    assert len({*colors[1:]}) == 5


@pytest.mark.parametrize("count", [1, 7, 24])
def test_any_number_of_lines_has_looks(count: int):
    looks = style.line_looks([f"run {i}" for i in range(count)])
    assert len({(look.dash, look.marker) for look in looks}) == count


def test_colors_of_algorithms_are_visible_on_white_and_on_black():
    for color in style.SYSTEM_COLORS.values():
        luminance = np.dot([0.2126, 0.7152, 0.0722], np.power(to_rgb(color), 2.2))
        contrasts = 1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05
        assert min(contrasts) > 2
