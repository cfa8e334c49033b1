"""Drawing of scenes: positions, order and sizes of shapes, texts and paths."""

import numpy as np
import pytest
from matplotlib import patches
from matplotlib.figure import Figure

from syntony.tasks.scene import Circle, Line, Role, Shape, Square
from syntony.visualization import scene_drawing
from syntony.visualization.scenes import EpisodeScene

CIRCLE = Circle(1, 2, 0.5, 0)
SQUARE = Square(2, 1, 1, Role.TARGET)
LINE = Line(0, 3, 2, 3, 1)
BLUE, GREEN, VERMILLION = [0, 114, 178], [0, 158, 115], [213, 94, 0]


def scene_of(*shapes: Shape) -> EpisodeScene:
    return EpisodeScene((0, 0, 4, 3.5), (), [shapes])


def pixels(scene: EpisodeScene) -> np.ndarray:
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
    image = pixels(scene_of(CIRCLE, SQUARE, LINE._replace(width=0.2)))
    assert color_at(image, 1, 2) == BLUE
    assert color_at(image, 1.4, 2.4) == [255, 255, 255], "a circle has no corners"
    assert color_at(image, 2.4, 1.4) == GREEN
    assert color_at(image, 1, 3.05) == color_at(image, 1, 2.95) == VERMILLION
    assert color_at(image, 1, 2.85) == [255, 255, 255]


def test_the_last_shape_is_on_top_and_may_be_transparent():
    over = SQUARE._replace(x=1, y=2, side=2, opacity=0.5)
    assert color_at(pixels(scene_of(CIRCLE, over)), 1, 2) == pytest.approx(
        [0, 136, 146.5], abs=1
    )
    assert color_at(pixels(scene_of(over, CIRCLE)), 1, 2) == BLUE


def test_text_scales_with_its_shape():
    """A 1 on a circle of twice the size is twice as high, upright and centered."""
    heights = []
    for radius in (0.6, 1.2):
        image = pixels(scene_of(CIRCLE._replace(x=2, y=1.75, radius=radius, text="1")))
        inside = image[
            int(40 * (1.75 - 0.8 * radius)) : int(40 * (1.75 + 0.8 * radius))
        ]
        white = inside[:, 70:91].min(axis=-1) > 215
        rows = np.flatnonzero(white.any(axis=1))
        heights.append(len(rows))
        assert abs(rows.mean() - (len(inside) - 1) / 2) <= 1.5
        # The base of a 1 is wider than its top.
        assert white[rows[-2]].sum() > white[rows[1]].sum()
    assert heights[1] == pytest.approx(2 * heights[0], abs=2)


def test_paths_on_cells_are_separated_and_on_a_plane_exact():
    def paths(x: float) -> list[np.ndarray]:
        axes = Figure().add_subplot()
        shapes = [CIRCLE._replace(x=x), CIRCLE._replace(x=x, role=1)]
        scene_drawing.draw_paths(axes, [shapes, [s._replace(x=x + 1) for s in shapes]])
        return [np.asarray(line.get_xydata()) for line in axes.lines]

    one, other = paths(1.0)
    np.testing.assert_allclose(other - one, 0.12, atol=1e-12)
    one, other = paths(0.5)
    np.testing.assert_allclose(one, [[0.5, 2], [1.5, 2]])
    np.testing.assert_array_equal(one, other)


def test_drawn_shapes_can_be_removed():
    axes = Figure().add_subplot()
    artists = scene_drawing.draw_shapes(axes, [CIRCLE._replace(text="7"), SQUARE, LINE])
    assert len(artists) == 4
    assert isinstance(artists[0], patches.Circle)
    for artist in artists:
        artist.remove()
    assert not axes.patches
    assert not axes.lines
