"""Drawing of scenes: positions, order and sizes of shapes, texts and paths."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from syntony.visualization import scene_drawing

CIRCLE = {"kind": "circle", "x": 1, "y": 2, "r": 0.5, "fill": "#ff0000", "agent": 0}
SQUARE = {"kind": "rect", "x": 2, "y": 1, "side": 1, "fill": "#00ff00"}
LINE = {"kind": "line", "x": 0, "y": 3, "x2": 2, "y2": 3, "fill": "#0000ff"}


def scene_of(*shapes: dict[str, Any]) -> scene_drawing.Scene:
    return {"bounds": [0, 0, 4, 3.5], "static": [], "frames": [list(shapes)]}


def pixels(scene: scene_drawing.Scene) -> np.ndarray:
    """Colors of a scene, drawn with 40 pixels per unit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = Figure(figsize=(4, 3.5), dpi=40)
    canvas = FigureCanvasAgg(figure)
    scene_drawing.draw_scene(figure.add_axes((0, 0, 1, 1)), scene, 0)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def color_at(image: np.ndarray, x: float, y: float) -> list[int]:
    return image[int(40 * y), int(40 * x)].tolist()


def test_shapes_have_their_positions_and_y_points_down():
    image = pixels(scene_of(CIRCLE, SQUARE, LINE | {"width": 0.2}))
    assert color_at(image, 1, 2) == [255, 0, 0]
    assert color_at(image, 1.4, 2.4) == [255, 255, 255], "a circle has no corners"
    assert color_at(image, 2.4, 1.4) == [0, 255, 0]
    assert color_at(image, 1, 3.05) == color_at(image, 1, 2.95) == [0, 0, 255]
    assert color_at(image, 1, 2.85) == [255, 255, 255]


def test_the_last_shape_is_on_top_and_may_be_transparent():
    over = SQUARE | {"x": 1, "y": 2, "side": 2, "opacity": 0.5}
    assert color_at(pixels(scene_of(CIRCLE, over)), 1, 2) == pytest.approx(
        [127, 127, 0], abs=1
    )
    assert color_at(pixels(scene_of(over, CIRCLE)), 1, 2) == [255, 0, 0]


def test_text_scales_with_its_shape():
    """A 1 on a circle of twice the size is twice as high, upright and centered."""
    heights = []
    for radius in (0.6, 1.2):
        image = pixels(scene_of(CIRCLE | {"x": 2, "y": 1.75, "r": radius, "text": "1"}))
        inside = image[
            int(40 * (1.75 - 0.8 * radius)) : int(40 * (1.75 + 0.8 * radius))
        ]
        white = inside[:, 70:91].min(axis=-1) > 200
        rows = np.flatnonzero(white.any(axis=1))
        heights.append(len(rows))
        assert abs(rows.mean() - (len(inside) - 1) / 2) <= 1.5
        # The base of a 1 is wider than its top.
        assert white[rows[-2]].sum() > white[rows[1]].sum()
    assert heights[1] == pytest.approx(2 * heights[0], abs=2)


def test_paths_on_cells_are_separated_and_on_a_plane_exact():
    def paths(x: float) -> list[np.ndarray]:
        axes = Figure().add_subplot()
        shapes = [CIRCLE | {"x": x}, CIRCLE | {"x": x, "agent": 1}]
        scene_drawing.draw_paths(axes, [shapes, [s | {"x": x + 1} for s in shapes]])
        return [np.asarray(line.get_xydata()) for line in axes.lines]

    one, other = paths(1.0)
    np.testing.assert_allclose(other - one, 0.12, atol=1e-12)
    one, other = paths(0.5)
    np.testing.assert_allclose(one, [[0.5, 2], [1.5, 2]])
    np.testing.assert_array_equal(one, other)


def test_drawn_shapes_can_be_removed():
    axes = Figure().add_subplot()
    artists = scene_drawing.draw_shapes(axes, [CIRCLE | {"text": "7"}, SQUARE, LINE])
    assert len(artists) == 4
    assert isinstance(artists[0], Circle)
    for artist in artists:
        artist.remove()
    assert not axes.patches
    assert not axes.lines
