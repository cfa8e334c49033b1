"""Drawing of particle tasks: scenes of the plane, and observation windows.

Tasks measure y upward, scenes downward.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from syntony.tasks.scene import (
    Circle,
    Coordinate,
    ObservedEntity,
    ObsWindow,
    Role,
    Scene,
    Square,
    Strip,
    plane_scene,
)

MIN_EXTENT = 1.1
"""Extent of the drawn plane at least; initial positions are within 1."""
MARGIN = 0.15
"""Space between the outermost position and the border: the largest agent's radius."""
WINDOW_BOUNDS = (-2.2, -2.2, 4.4, 4.4)
"""Offsets from the observing agent that are drawn."""


def positions_scene(
    shapes: Sequence[Circle | Square], *, strip: Strip | None = None
) -> Scene:
    """Scene of a plane that contains the centers of all shapes.

    Args:
        shapes: shapes, with y pointing down.
        strip: strip below the plane.
    """
    extents = [max(abs(shape.x), abs(shape.y)) for shape in shapes]
    return plane_scene(max(MIN_EXTENT, *extents) + MARGIN, shapes, strip=strip)


def page_positions(position: Float[np.ndarray, "K 2"]) -> list[tuple[float, float]]:
    """X and y of positions, with y pointing down."""
    return [(x, -y) for x, y in position.tolist()]


def own_entity(agent: int) -> ObservedEntity:
    """The observing agent, in the middle of its window."""
    center = Coordinate(None, 0, 0)
    return ObservedEntity("itself", agent, "circle", center, center)


def landmark_entity(landmark: int, first: int) -> ObservedEntity:
    """A landmark, at its offset from the observing agent.

    Args:
        landmark: index of the landmark.
        first: index of the first feature of the offset.
    """
    name = f"landmark {landmark + 1}"
    return ObservedEntity(name, Role.TARGET, "square", *offset_coordinates(first))


def offset_coordinates(first: int) -> tuple[Coordinate, Coordinate]:
    """X and y of an offset whose features begin at an index."""
    return Coordinate(first), Coordinate(first + 1, 0, -1)


def plane_window(entities: Sequence[ObservedEntity]) -> ObsWindow:
    """Observation window of a plane, with the observing agent in the middle."""
    return ObsWindow(WINDOW_BOUNDS, False, tuple(entities))
