"""Drawing of scenes on Matplotlib axes.

Shapes are in the scene's own units. Text is measured in these units as well, so a scene
looks the same at every size.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TypedDict

import numpy as np
from matplotlib import patches
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from syntony.tasks.scene import Circle, Line, Number, Role, Shape, Square
from syntony.visualization.scenes import EpisodeScene
from syntony.visualization.style import agent_color, agent_name, role_color

STATIC_ZORDER, PATH_ZORDER, DYNAMIC_ZORDER = 1, 2, 3
"""Matplotlib z-orders, lowest first."""


class Fill(TypedDict):
    """Matplotlib's keywords of a filled shape."""

    facecolor: str
    alpha: float | None
    """Opacity; None: that of the color itself."""


def draw_scene(axes: Axes, scene: EpisodeScene, step: int) -> None:
    """Draws one frame of a scene."""
    draw_static_layer(axes, scene)
    draw_shapes(axes, scene.frames[step])


def draw_static_layer(axes: Axes, scene: EpisodeScene) -> None:
    """Draws the shapes of every frame, and sets the limits of the axes."""
    left, top, width, height = scene.bounds
    axes.set(xlim=(left, left + width), ylim=(top + height, top), aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=False)
    draw_shapes(axes, scene.static, zorder=STATIC_ZORDER)


def draw_shapes(
    axes: Axes, shapes: Iterable[Shape], *, zorder: int = DYNAMIC_ZORDER
) -> list[Artist]:
    """Draws shapes, later ones above earlier ones; returns the added artists."""
    artists = [artist for shape in shapes for artist in _shape_artists(shape)]
    for artist in artists:
        artist.set_zorder(zorder)
        axes.add_artist(artist)
    return artists


def draw_paths(axes: Axes, frames: Sequence[Sequence[Shape]]) -> None:
    """Draws the path of each agent over frames."""
    paths: dict[int, list[tuple[float, float]]] = {}
    for shapes in frames:
        for shape in shapes:
            if isinstance(shape, Circle) and not isinstance(shape.role, Role):
                paths.setdefault(shape.role, []).append((shape.x, shape.y))
    for agent, path in paths.items():
        points = np.array(path, float)
        if np.array_equal(points, points.round()):
            # Off the center of the cell, so that paths do not cover each other.
            points += 0.12 * (agent - (len(paths) - 1) / 2)
        line_style = {
            "color": agent_color(agent),
            "lw": 1.2,
            "alpha": 0.55,
            "zorder": PATH_ZORDER,
        }
        axes.plot(*points.T, **line_style)


def add_agent_legend(axes: Axes, num_agents: int) -> None:
    """Adds a legend of the agents' colors below the scene."""
    handles = [
        axes.scatter([], [], color=agent_color(agent), label=agent_name(agent))
        for agent in range(num_agents)
    ]
    position = {"loc": "upper center", "bbox_to_anchor": (0.5, 0)}
    axes.legend(
        handles=handles, **position, ncols=3, handletextpad=0, columnspacing=0.8
    )


def _shape_artists(shape: Shape) -> list[Artist]:
    if isinstance(shape, Line):
        return [_line_artist(shape)]
    alpha = None if shape.opacity == 1.0 else shape.opacity
    fill: Fill = {"facecolor": role_color(shape.role), "alpha": alpha}
    is_circle = isinstance(shape, Circle)
    patch = _circle_patch(shape, fill) if is_circle else _square_patch(shape, fill)
    if shape.text == "":
        return [patch]
    size = shape.radius if is_circle else shape.side / 2
    return [patch, _text_patch(str(shape.text), shape.x, shape.y, size)]


def _line_artist(line: Line) -> Artist:
    ends = np.array([[line.x, line.y], [line.x2, line.y2]], float)
    color = role_color(line.role)
    if not line.width:
        return Line2D(*ends.T, color=color, lw=0.5)
    along = ends[1] - ends[0]
    across = np.array([-along[1], along[0]]) / np.hypot(*along) * line.width / 2
    corners = [ends[0] - across, ends[1] - across, ends[1] + across, ends[0] + across]
    return patches.Polygon(corners, facecolor=color, lw=0)


def _circle_patch(circle: Circle, fill: Fill) -> patches.Patch:
    center = circle.x, circle.y
    return patches.Circle(
        center, circle.radius, **fill, edgecolor="white", linewidth=0.6
    )


def _square_patch(square: Square, fill: Fill) -> patches.Patch:
    side = square.side
    corner = square.x - side / 2, square.y - side / 2
    boxstyle = f"round,pad=0,rounding_size={square.corner_radius}"
    return patches.FancyBboxPatch(
        corner, side, side, **fill, boxstyle=boxstyle, linewidth=0
    )


def _text_patch(text: str, x: Number, y: Number, size: Number) -> patches.Patch:
    transform = Affine2D().scale(1.15 * size).translate(x, y)
    path = transform.transform_path(_text_path(text))
    return patches.PathPatch(path, facecolor="white", linewidth=0)


@cache
def _text_path(text: str) -> Path:
    """Outline of a text of size 1 centered at (0, 0), upright where y points down."""
    letters = TextPath((0, 0), text, size=1, prop=FontProperties(weight="bold"))
    extents = letters.get_extents()
    center = (extents.x0 + extents.x1) / 2, (extents.y0 + extents.y1) / 2
    transform = Affine2D().translate(-center[0], -center[1]).scale(1, -1)
    return transform.transform_path(letters)
