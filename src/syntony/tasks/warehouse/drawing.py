"""Drawing of warehouses: scenes, and the observations' features."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from syntony.tasks.scene import (
    Circle,
    Coordinate,
    Feature,
    Line,
    ObservedEntity,
    ObsWindow,
    Role,
    Scene,
    Shape,
    Square,
    features_of_entities,
    grid_scene,
)

HEADINGS = ("up", "down", "left", "right")
"""Headings, in the order of the observations."""
OWN_FEATURES = ("column", "row", "loaded", *HEADINGS, "on a highway")
CELL_FEATURES = ("agent", *HEADINGS, "shelf", "requested")


def warehouse_scene(
    *,
    highway: Bool[np.ndarray, "H W"],
    goals: Sequence[tuple[int, int]],
    num_requests: int,
    shelf_grid: Int[np.ndarray, "H W"],
    position: Int[np.ndarray, "N 2"],
    direction: Int[np.ndarray, "N 2"],
    carried_shelf: Int[np.ndarray, " N"],
) -> Scene:
    """Scene of a warehouse: shelves, the requested ones, goals and agents.

    Args:
        highway: mask of the cells without a place for a shelf.
        goals: row and column of each goal.
        num_requests: number of requested shelves, whose labels are the lowest.
        shelf_grid: label of the shelf that stands on each cell; 0 for none.
        position: row and column of each agent.
        direction: row and column offset of each agent's next cell.
        carried_shelf: label of each agent's shelf; 0 for none.
    """
    rows, columns = highway.shape
    places = [Square(c, r, 1, Role.FLOOR) for r, c in np.argwhere(~highway).tolist()]
    goal_squares = [Square(c, r, 1, Role.GOAL, opacity=0.45) for r, c in goals]
    shapes: list[Shape] = []
    for row, column in np.argwhere(shelf_grid > 0).tolist():
        role = _shelf_role(int(shelf_grid[row, column]), num_requests)
        shapes.append(Square(column, row, 0.72, role))
    for agent, (row, column) in enumerate(position.tolist()):
        label = int(carried_shelf[agent])
        if label:
            shapes.append(Square(column, row, 0.9, _shelf_role(label, num_requests)))
        shapes.append(Circle(column, row, 0.32, agent, agent + 1))
        shapes.append(_heading_line(agent, row, column, *direction[agent].tolist()))
    return grid_scene(rows, columns, shapes, background=[*places, *goal_squares])


def _shelf_role(label: int, num_requests: int) -> Role:
    return Role.TARGET if label <= num_requests else Role.NEUTRAL


def _heading_line(agent: int, row: int, column: int, down: int, right: int) -> Line:
    start = column + 0.3 * right, row + 0.3 * down
    end = column + 0.48 * right, row + 0.48 * down
    return Line(*start, *end, agent, width=0.12)


def feature_names(sensor_range: int) -> list[Feature]:
    """Features of an agent's observation: its own, then those of each cell.

    Args:
        sensor_range: cells that an agent observes in each direction.
    """
    own = features_of_entities(["itself"], OWN_FEATURES)
    cells = [_cell_name(down, right) for down, right in _sensor_offsets(sensor_range)]
    return own + features_of_entities(cells, CELL_FEATURES)


def obs_window(sensor_range: int, agent: int) -> ObsWindow:
    """Drawing of an agent's observation: the cells around it.

    Args:
        sensor_range: cells that an agent observes in each direction.
        agent: index of the agent.
    """
    entities: list[ObservedEntity] = []
    for i, (down, right) in enumerate(_sensor_offsets(sensor_range)):
        first = len(OWN_FEATURES) + len(CELL_FEATURES) * i
        center = Coordinate(None, right, 0), Coordinate(None, down, 0)
        name = _cell_name(down, right)
        # Gray would be a shelf's color.
        occupant = Role.TEAMMATE if down or right else agent
        shelf = ObservedEntity(f"shelf {name}", Role.NEUTRAL, "square", *center)
        requested = ObservedEntity(f"requested {name}", Role.TARGET, "square", *center)
        circle = ObservedEntity(f"agent {name}", occupant, "circle", *center)
        entities += [
            entity._replace(opacity_index=first + CELL_FEATURES.index(feature))
            for entity, feature in (
                (shelf, "shelf"),
                (requested, "requested"),
                (circle, "agent"),
            )
        ]
    corner, side = -sensor_range - 0.5, 2 * sensor_range + 1
    return ObsWindow((corner, corner, side, side), True, tuple(entities))


def _sensor_offsets(sensor_range: int) -> list[tuple[int, int]]:
    reach = range(-sensor_range, sensor_range + 1)
    return [(down, right) for down in reach for right in reach]


def _cell_name(row_offset: int, column_offset: int) -> str:
    """Name of a cell by its offset from the agent, e.g. `1 up 1 left`."""
    rows = f"{abs(row_offset)} {'down' if row_offset > 0 else 'up'}"
    columns = f"{abs(column_offset)} {'right' if column_offset > 0 else 'left'}"
    parts = [rows] * (row_offset != 0) + [columns] * (column_offset != 0)
    return " ".join(parts) or "here"
