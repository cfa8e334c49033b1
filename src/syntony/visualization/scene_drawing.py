"""A scene, seen from above, drawn on a pair of axes; and the colours of all pictures.

All of a scene, its letters too, is measured in its own units: it looks the same in any
size.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch, Patch, PathPatch, Polygon
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

# Okabe & Ito (2008): told apart by colour-blind readers, and in grey.
BLACK = "#000000"
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY = "#CC79A7", "#E69F00", "#56B4E9"
AGENT_COLORS = (BLUE, VERMILLION, PURPLE, SKY, ORANGE)

Number = float | int
Shape = dict[str, Any]
"""`kind`: disc, rect or line; where; `fill`; and `agent`, if it is one."""
Scene = dict[str, Any]
"""`box`: x, y, width, height; `still`: shapes; `moments`: shapes of each step."""

STATIC_ZORDER, PATH_ZORDER, DYNAMIC_ZORDER = 1, 2, 3
"""What lies above what."""


def agent_color(agent: int) -> str:
    """Returns the colour of an agent, the same in every picture."""
    return AGENT_COLORS[agent % len(AGENT_COLORS)]


def draw_scene(axes: Axes, scene: Scene, step: int) -> None:
    """Draws one moment of a scene."""
    draw_static_layer(axes, scene)
    draw_shapes(axes, scene["moments"][step])


def draw_static_layer(axes: Axes, scene: Scene) -> None:
    """Draws what never moves, and makes room for the rest."""
    left, top, width, height = scene["box"]
    # As on a page, y points down.
    axes.set(xlim=(left, left + width), ylim=(top + height, top), aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=False)
    draw_shapes(axes, scene["still"], zorder=STATIC_ZORDER)


def draw_shapes(
    axes: Axes, shapes: Iterable[Shape], *, zorder: int = DYNAMIC_ZORDER
) -> list[Artist]:
    """Draws shapes, the first one lowest; returns what was added to the axes."""
    drawn = [artist for shape in shapes for artist in _shape_artists(shape)]
    for artist in drawn:
        artist.set_zorder(zorder)
        axes.add_artist(artist)
    return drawn


def draw_paths(axes: Axes, frames: Sequence[Sequence[Shape]]) -> None:
    """Draws the way that each agent has come."""
    ways: dict[int, list[tuple[float, float]]] = {}
    for shapes in frames:
        for shape in shapes:
            if shape["kind"] == "disc":
                ways.setdefault(shape["agent"], []).append((shape["x"], shape["y"]))
    for agent, way in ways.items():
        places = np.array(way, float)
        if np.array_equal(places, places.round()):
            # Aside from the cell's middle, so that crossing ways stay apart.
            places += 0.12 * (agent - (len(ways) - 1) / 2)
        look = {
            "color": agent_color(agent),
            "lw": 1.2,
            "alpha": 0.55,
            "zorder": PATH_ZORDER,
        }
        axes.plot(*places.T, **look)


def add_agent_legend(axes: Axes, num_agents: int) -> None:
    """Writes below the board which colour is which agent."""
    discs = [
        axes.scatter([], [], color=agent_color(agent), label=f"agent {agent + 1}")
        for agent in range(num_agents)
    ]
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, 0)}
    axes.legend(handles=discs, **below, ncols=3, handletextpad=0, columnspacing=0.8)


def _shape_artists(shape: Shape) -> list[Artist]:
    if shape["kind"] == "line":
        return [_line_artist(shape)]
    paint = {"facecolor": shape["fill"], "alpha": shape.get("opacity")}
    disc = shape["kind"] == "disc"
    made = [_circle_patch(shape, paint) if disc else _square_patch(shape, paint)]
    if "text" in shape:
        size = shape["r"] if disc else shape["side"] / 2
        made.append(_text_patch(str(shape["text"]), shape["x"], shape["y"], size))
    return [*made]


def _line_artist(shape: Shape) -> Artist:
    ends = np.array([[shape["x"], shape["y"]], [shape["x2"], shape["y2"]]], float)
    if "width" not in shape:
        return Line2D(*ends.T, color=shape["fill"], lw=0.5)
    along = ends[1] - ends[0]
    across = np.array([-along[1], along[0]]) / np.hypot(*along) * shape["width"] / 2
    corners = [ends[0] - across, ends[1] - across, ends[1] + across, ends[0] + across]
    return Polygon(corners, facecolor=shape["fill"], lw=0)


def _circle_patch(shape: Shape, patch_kwargs: dict[str, Any]) -> Patch:
    place = shape["x"], shape["y"]
    return Circle(place, shape["r"], **patch_kwargs, edgecolor="white", linewidth=0.6)


def _square_patch(shape: Shape, patch_kwargs: dict[str, Any]) -> Patch:
    side = shape["side"]
    corner = shape["x"] - side / 2, shape["y"] - side / 2
    round = f"round,pad=0,rounding_size={shape.get('round', 0.0)}"
    return FancyBboxPatch(
        corner, side, side, **patch_kwargs, boxstyle=round, linewidth=0
    )


def _text_patch(text: str, x: Number, y: Number, size: Number) -> Patch:
    place = Affine2D().scale(1.15 * size).translate(x, y)
    path = place.transform_path(_text_path(text))
    return PathPatch(path, facecolor="white", linewidth=0)


@cache
def _text_path(text: str) -> Path:
    """Returns a text of size 1 around (0, 0), upright where y points down."""
    letters = TextPath((0, 0), text, size=1, prop=FontProperties(weight="bold"))
    box = letters.get_extents()
    middle = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    centre = Affine2D().translate(-middle[0], -middle[1]).scale(1, -1)
    return centre.transform_path(letters)
