"""Scenes on axes: everything lies where it is, the later above the earlier."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from syntony.visualization import scene_drawing

DISC = {"kind": "disc", "x": 1, "y": 2, "r": 0.5, "fill": "#ff0000", "agent": 0}
SQUARE = {"kind": "rect", "x": 2, "y": 1, "side": 1, "fill": "#00ff00"}
LINE = {"kind": "line", "x": 0, "y": 3, "x2": 2, "y2": 3, "fill": "#0000ff"}


def scene(*shapes: dict[str, Any]) -> scene_drawing.Scene:
    return {"box": [0, 0, 4, 3.5], "still": [], "moments": [list(shapes)]}


def pixels(drawn: scene_drawing.Scene) -> np.ndarray:
    """Returns a scene's colours, 40 pixels a unit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = Figure(figsize=(4, 3.5), dpi=40)
    canvas = FigureCanvasAgg(figure)
    scene_drawing.draw_scene(figure.add_axes((0, 0, 1, 1)), drawn, 0)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def at(image: np.ndarray, x: float, y: float) -> list[int]:
    return image[int(40 * y), int(40 * x)].tolist()


def test_shapes_lie_where_they_are_and_y_points_down():
    image = pixels(scene(DISC, SQUARE, LINE | {"width": 0.2}))
    assert at(image, 1, 2) == [255, 0, 0]
    assert at(image, 1.4, 2.4) == [255, 255, 255], "a disc has no corners"
    assert at(image, 2.4, 1.4) == [0, 255, 0]
    assert at(image, 1, 3.05) == at(image, 1, 2.95) == [0, 0, 255]
    assert at(image, 1, 2.85) == [255, 255, 255]


def test_the_last_shape_lies_on_top_and_may_be_seen_through():
    over = SQUARE | {"x": 1, "y": 2, "side": 2, "opacity": 0.5}
    assert at(pixels(scene(DISC, over)), 1, 2) == pytest.approx([127, 127, 0], abs=1)
    assert at(pixels(scene(over, DISC)), 1, 2) == [255, 0, 0]


def test_letters_are_as_large_as_what_they_stand_on():
    """A 1 in a disc twice as wide is twice as high, upright and in the middle."""
    heights = []
    for radius in (0.6, 1.2):
        image = pixels(scene(DISC | {"x": 2, "y": 1.75, "r": radius, "text": "1"}))
        inside = image[
            int(40 * (1.75 - 0.8 * radius)) : int(40 * (1.75 + 0.8 * radius))
        ]
        white = inside[:, 70:91].min(axis=-1) > 200
        rows = np.flatnonzero(white.any(axis=1))
        heights.append(len(rows))
        assert abs(rows.mean() - (len(inside) - 1) / 2) <= 1.5
        # The foot of a 1 is wider than its head.
        assert white[rows[-2]].sum() > white[rows[1]].sum()
    assert heights[1] == pytest.approx(2 * heights[0], abs=2)


def test_ways_on_cells_stay_apart_and_on_a_plane_are_true():
    def ways(x: float) -> list[np.ndarray]:
        axes = Figure().add_subplot()
        two = [DISC | {"x": x}, DISC | {"x": x, "agent": 1}]
        scene_drawing.draw_paths(axes, [two, [shape | {"x": x + 1} for shape in two]])
        return [np.asarray(line.get_xydata()) for line in axes.lines]

    one, other = ways(1.0)
    np.testing.assert_allclose(other - one, 0.12, atol=1e-12)
    one, other = ways(0.5)
    np.testing.assert_allclose(one, [[0.5, 2], [1.5, 2]])
    np.testing.assert_array_equal(one, other)


def test_what_was_drawn_can_be_taken_away():
    axes = Figure().add_subplot()
    drawn = scene_drawing.draw_shapes(axes, [DISC | {"text": "7"}, SQUARE, LINE])
    assert len(drawn) == 4
    assert isinstance(drawn[0], Circle)
    for artist in drawn:
        artist.remove()
    assert not axes.patches
    assert not axes.lines
