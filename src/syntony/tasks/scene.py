"""Scenes of tasks as plain data: what to draw of a state and of an observation.

A `Drawable` task (`tasks.task`) returns a `Scene` of each state. Shapes have roles, not
colors; whoever draws them chooses a color for each role. The x axis points right and
the y axis down, as on a page.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, NamedTuple

Number = float | int
Bounds = tuple[Number, Number, Number, Number]
"""x and y of the top left corner, width and height."""


class Role(StrEnum):
    """Meaning of a shape that is no agent's; each role has its color."""

    TARGET = "target"
    """Sought by the agents: a food, a landmark, a requested shelf."""
    GOAL = "goal"
    """Place where something is brought to."""
    NEUTRAL = "neutral"
    """Anything else, such as a shelf that is not requested."""
    TEAMMATE = "teammate"
    """An agent whose index is not observed."""
    MESSAGE = "message"
    """Sent by an agent."""
    FLOOR = "floor"
    """Part of the floor, hardly visible."""
    GRID = "grid"
    """Line between cells, or at the border."""


AgentOrRole = int | Role
"""Index of the agent that a shape shows, or the shape's role."""


class Circle(NamedTuple):
    """A circle. That of an agent is where the agent is: its path is drawn."""

    x: Number
    y: Number
    radius: Number
    role: AgentOrRole
    text: str | int = ""
    """Text in its center."""
    opacity: Number = 1.0


class Square(NamedTuple):
    """A square around a center."""

    x: Number
    y: Number
    side: Number
    role: AgentOrRole
    text: str | int = ""
    """Text in its center."""
    opacity: Number = 1.0
    corner_radius: Number = 0.0


class Line(NamedTuple):
    """A line between two points; an infinite coordinate is an edge of the scene."""

    x: Number
    y: Number
    x2: Number
    y2: Number
    role: AgentOrRole = Role.GRID
    width: Number = 0.0
    """Width in units of the scene; 0 is a thin line at every scale."""


Shape = Circle | Square | Line


class Strip(NamedTuple):
    """A strip below a scene, for what has no position in it."""

    height: Number
    shapes: tuple[Shape, ...]
    """Shapes; y counts from the top of the strip."""


class Scene(NamedTuple):
    """Shapes of one state, seen from above; later shapes are above earlier ones."""

    bounds: Bounds
    """Area that contains the shapes; an episode's contains those of all states."""
    static: tuple[Shape, ...]
    """Shapes that are the same in every state of an episode."""
    shapes: tuple[Shape, ...]
    """Shapes of this state."""
    margin: Number = 0.05
    """Width of an empty margin around the bounds."""
    strip: Strip | None = None
    note: str = ""
    """What numbers and marks of the shapes mean, as a sentence."""


def grid_scene(
    rows: int,
    columns: int,
    shapes: Sequence[Shape],
    *,
    background: Sequence[Shape] = (),
) -> Scene:
    """Scene of a grid of unit cells; cell (row, column) is centered at (column, row).

    Args:
        rows: number of rows.
        columns: number of columns.
        shapes: shapes of this state.
        background: shapes of every state, below the lines of the grid.
    """
    right, bottom = columns - 0.5, rows - 0.5
    horizontal = [Line(-0.5, row - 0.5, right, row - 0.5) for row in range(rows + 1)]
    vertical = [Line(c - 0.5, -0.5, c - 0.5, bottom) for c in range(columns + 1)]
    static = (*background, *horizontal, *vertical)
    return Scene((-0.5, -0.5, columns, rows), static, tuple(shapes))


def plane_scene(
    limit: Number, shapes: Sequence[Shape], *, strip: Strip | None = None
) -> Scene:
    """Scene of the square |x|, |y| ≤ limit, with its border and both axes.

    Args:
        limit: half the side of the square.
        shapes: shapes of this state.
        strip: strip below the square.
    """
    stops = (-math.inf, 0, math.inf)
    horizontal = [Line(-math.inf, y, math.inf, y) for y in stops]
    vertical = [Line(x, -math.inf, x, math.inf) for x in stops]
    bounds = (-limit, -limit, 2 * limit, 2 * limit)
    static = (*horizontal, *vertical)
    return Scene(bounds, static, tuple(shapes), margin=0.02, strip=strip)


class Feature(NamedTuple):
    """Name of one feature of an observation."""

    entity: str
    """The entity that it describes, e.g. `food 1`."""
    attribute: str
    """The attribute of that entity, e.g. `row`."""

    @property
    def label(self) -> str:
        """Entity and attribute, e.g. `food 1 row`."""
        return f"{self.entity} {self.attribute}".strip()


def features_of_entities(
    entities: Sequence[str], attributes: Sequence[str]
) -> list[Feature]:
    """Features of entities that all have the same attributes, entity by entity."""
    return [Feature(entity, name) for entity in entities for name in attributes]


class Coordinate(NamedTuple):
    """Coordinate offset + factor · o[feature], from an agent's observation o."""

    feature: int | None
    """Index of a feature; None for a constant coordinate."""
    offset: Number = 0
    factor: Number = 1


class ObservedEntity(NamedTuple):
    """How an entity of an observation is drawn."""

    name: str
    """Its name, shown as a tooltip."""
    role: AgentOrRole
    shape: Literal["square", "circle"]
    x: Coordinate
    y: Coordinate
    visible_above: tuple[int, float] | None = None
    """(index, threshold): it is drawn only where o[index] > threshold."""
    opacity_index: int | None = None
    """Index of the feature that is its opacity, in [0, 1]."""
    text_index: int | None = None
    """Index of the feature that is printed on it."""


class ObsWindow(NamedTuple):
    """How an agent's observation is drawn, beside the scene."""

    bounds: Bounds
    has_cells: bool
    """Whether it is a grid of unit cells."""
    entities: tuple[ObservedEntity, ...]


class Benchmark(NamedTuple):
    """Benchmark that a task belongs to: what the papers' constants depend on."""

    name: str
    """`foraging`, `particles`, `warehouse`, `probes`, or another; empty for none."""
    scenario: str = ""
    """Name of the task in a benchmark of different tasks, e.g. `simple_spread`."""
    rows: int = 0
    """Rows of a foraging board."""
