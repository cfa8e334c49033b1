"""Names of the features of an observation, and how the features are drawn."""

from typing import Any, NamedTuple

from syntony.tasks.foraging.rules import Foraging
from syntony.tasks.particles.speaker_listener import (
    NUM_LANDMARKS,
    SPEAKER,
    VOCAB_SIZE,
    SpeakerListener,
)
from syntony.tasks.particles.spread import COMM_DIM, SimpleSpread
from syntony.tasks.task import Task
from syntony.tasks.warehouse.rules import Warehouse
from syntony.visualization.style import GREEN, PURPLE, SHELF_COLOR, agent_color


class Feature(NamedTuple):
    """Name of one feature of an observation."""

    group: str
    """The entity that it describes, e.g. `food 1`."""
    name: str
    """The attribute of that entity, e.g. `row`."""

    @property
    def label(self) -> str:
        """Entity and attribute, e.g. `food 1 row`."""
        return f"{self.group} {self.name}".strip()


CoordinateSpec = list[Any]
"""[index, offset, factor] of the coordinate offset + factor · o[index]."""
EntitySpec = dict[str, Any]
"""How an entity of an observation is drawn; the keys are those of `_entity`."""
ObsWindow = dict[str, Any]
"""`bounds`: x, y, width, height; `grid`: whether it has cells; `entities` in it."""


def obs_features(task: Task) -> list[list[Feature]]:
    """Features of each agent's observation, in order."""
    every = range(task.num_agents)
    match task:
        case Foraging():
            return [_foraging_features(task) for _ in every]
        case Warehouse():
            return [_warehouse_features(task) for _ in every]
        case SimpleSpread():
            return [_spread_features(task, agent) for agent in every]
        case SpeakerListener():
            return [_speaker_listener_features(task, agent) for agent in every]
    return [[Feature("feature", str(i + 1)) for i in range(task.obs_dim)]] * len(every)


def obs_windows(task: Task) -> list[ObsWindow] | None:
    """How each agent's observation is drawn; None if the task has no drawing."""
    every = range(task.num_agents)
    match task:
        case Foraging():
            return [_foraging_obs_window(task, agent) for agent in every]
        case Warehouse():
            return [_warehouse_obs_window(task, agent) for agent in every]
        case SimpleSpread():
            return [_spread_obs_window(task, agent) for agent in every]
        case SpeakerListener():
            return [_speaker_listener_obs_window(agent) for agent in every]
    return None


def _features_per_entity(
    entities: list[str], attributes: tuple[str, ...]
) -> list[Feature]:
    return [Feature(name, part) for name in entities for part in attributes]


def _foraging_features(task: Foraging) -> list[Feature]:
    # Only visible agents are listed, so "other 1" need not be the same agent always.
    foods = [f"food {i + 1}" for i in range(task.foods)]
    others = [f"other {i + 1}" for i in range(task.num_agents - 1)]
    return _features_per_entity([*foods, "itself", *others], ("row", "column", "level"))


def _foraging_obs_window(task: Foraging, agent: int) -> ObsWindow:
    side = min(2 * task.sight + 1, task.size)
    colors = (
        [GREEN] * task.foods
        + [agent_color(agent)]
        + [SHELF_COLOR] * (task.num_agents - 1)
    )
    entities = []
    for i, feature in enumerate(_foraging_features(task)[::3]):
        row, column, level = 3 * i, 3 * i + 1, 3 * i + 2
        entities.append(
            _entity(
                feature.group,
                colors[i],
                "square" if i < task.foods else "circle",
                x=[column, 0, 1],
                y=[row, 0, 1],
                visible_above=[row, -0.5],
                text_index=level,
            )
        )
    bounds = [-0.5, -0.5, side, side]
    return {"bounds": bounds, "grid": True, "entities": entities}


HEADINGS = ("up", "down", "left", "right")
OWN_FEATURES = ("column", "row", "loaded", *HEADINGS, "on a highway")
CELL_FEATURES = ("agent", *HEADINGS, "shelf", "requested")


def _warehouse_features(task: Warehouse) -> list[Feature]:
    own = [Feature("itself", name) for name in OWN_FEATURES]
    cells = [_cell_name(down, right) for down, right in _sensor_offsets(task)]
    return own + _features_per_entity(cells, CELL_FEATURES)


def _sensor_offsets(task: Warehouse) -> list[tuple[int, int]]:
    reach = range(-task.sensor_range, task.sensor_range + 1)
    return [(down, right) for down in reach for right in reach]


def _cell_name(row_offset: int, column_offset: int) -> str:
    if not row_offset and not column_offset:
        return "here"
    rows = (
        f"{abs(row_offset)} {'down' if row_offset > 0 else 'up'}" if row_offset else ""
    )
    columns = (
        f"{abs(column_offset)} {'right' if column_offset > 0 else 'left'}"
        if column_offset
        else ""
    )
    return " ".join(filter(None, [rows, columns]))


def _warehouse_obs_window(task: Warehouse, agent: int) -> ObsWindow:
    entities = []
    for i, (down, right) in enumerate(_sensor_offsets(task)):
        first = len(OWN_FEATURES) + len(CELL_FEATURES) * i
        x, y = [None, right, 0], [None, down, 0]
        cell = _cell_name(down, right)
        entities += [
            _entity(
                f"shelf {cell}", SHELF_COLOR, "square", x=x, y=y, alpha_index=first + 5
            ),
            _entity(
                f"requested {cell}", GREEN, "square", x=x, y=y, alpha_index=first + 6
            ),
            _entity(
                f"agent {cell}",
                PURPLE if down or right else agent_color(agent),
                "circle",
                x=x,
                y=y,
                alpha_index=first,
            ),
        ]
    corner, side = -task.sensor_range - 0.5, 2 * task.sensor_range + 1
    return {"bounds": [corner, corner, side, side], "grid": True, "entities": entities}


def _spread_features(task: SimpleSpread, agent: int) -> list[Feature]:
    others = [f"agent {i + 1}" for i in range(task.num_agents) if i != agent]
    landmarks = [f"landmark {i + 1}" for i in range(task.num_agents)]
    offsets = [f"offset to {name}" for name in landmarks + others]
    vectors = ["velocity", "position", *offsets]
    messages = [f"message from {name}" for name in others]
    symbols = tuple(str(i + 1) for i in range(COMM_DIM))
    return [
        *_features_per_entity(vectors, ("x", "y")),
        *_features_per_entity(messages, symbols),
    ]


def _spread_obs_window(task: SimpleSpread, agent: int) -> ObsWindow:
    colors = [GREEN] * task.num_agents
    colors += [agent_color(other) for other in range(task.num_agents) if other != agent]
    # The first two vectors are the agent's own velocity and position.
    names = [
        f.group.removeprefix("offset to ") for f in _spread_features(task, agent)[4::2]
    ]
    entities = [
        _entity("itself", agent_color(agent), "circle", x=[None, 0, 0], y=[None, 0, 0])
    ]
    for i, color in enumerate(colors):
        shape = "square" if i < task.num_agents else "circle"
        x, y = 4 + 2 * i, 5 + 2 * i
        entities.append(_entity(names[i], color, shape, x=[x, 0, 1], y=[y, 0, -1]))
    return {"bounds": [-2.2, -2.2, 4.4, 4.4], "grid": False, "entities": entities}


def _speaker_listener_features(task: SpeakerListener, agent: int) -> list[Feature]:
    landmarks = [f"offset to landmark {i + 1}" for i in range(NUM_LANDMARKS)]
    if agent == SPEAKER:
        color = [Feature("goal color", str(i + 1)) for i in range(NUM_LANDMARKS)]
        rest = range(task.obs_dim - NUM_LANDMARKS)
        return color + [Feature("padding", str(i + 1)) for i in rest]
    words = [Feature("message", f"word {i + 1}") for i in range(VOCAB_SIZE)]
    return _features_per_entity(["velocity", *landmarks], ("x", "y")) + words


def _speaker_listener_obs_window(agent: int) -> ObsWindow:
    names = [f"landmark {i + 1}" for i in range(NUM_LANDMARKS)]
    if agent == SPEAKER:
        entities = [
            _entity(n, GREEN, "square", x=[None, i, 0], y=[None, 1, 0], alpha_index=i)
            for i, n in enumerate(names)
        ]
        return {"bounds": [-0.5, -0.5, 3, 3], "grid": True, "entities": entities}
    entities = [
        _entity("itself", agent_color(agent), "circle", x=[None, 0, 0], y=[None, 0, 0])
    ]
    entities += [
        _entity(n, GREEN, "square", x=[2 + 2 * i, 0, 1], y=[3 + 2 * i, 0, -1])
        for i, n in enumerate(names)
    ]
    return {"bounds": [-2.2, -2.2, 4.4, 4.4], "grid": False, "entities": entities}


def _entity(
    name: str,
    color: str,
    shape: str,
    *,
    x: CoordinateSpec,
    y: CoordinateSpec,
    visible_above: list[Any] | None = None,
    alpha_index: int | None = None,
    text_index: int | None = None,
) -> EntitySpec:
    """How one entity is drawn.

    Args:
        name: its name, shown as a tooltip.
        color: its fill color.
        shape: `square` or `circle`.
        x: its x coordinate.
        y: its y coordinate, pointing down.
        visible_above: [index, threshold]: drawn only where o[index] > threshold.
        alpha_index: index of the feature that is its opacity, in [0, 1].
        text_index: index of the feature that is printed on it.
    """
    return {
        "name": name,
        "fill": color,
        "shape": shape,
        "x": x,
        "y": y,
        "visible_above": visible_above,
        "alpha_index": alpha_index,
        "text_index": text_index,
    }
