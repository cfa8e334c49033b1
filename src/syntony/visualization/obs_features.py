"""What the numbers of an observation are, in words, and how they can be drawn."""

from typing import Any, NamedTuple

from syntony.tasks.foraging.rules import Foraging
from syntony.tasks.particles.speaker_listener import (
    NUM_LANDMARKS,
    SPEAKER,
    SpeakerListener,
)
from syntony.tasks.particles.speaker_listener import VOCAB_SIZE as SPOKEN
from syntony.tasks.particles.spread import COMM_DIM, SimpleSpread
from syntony.tasks.task import Task
from syntony.tasks.warehouse.rules import Warehouse
from syntony.visualization.scene_drawing import GREEN, PURPLE, agent_color

SHELF_COLOR = "#8C8C8C"


class Feature(NamedTuple):
    """A number of an observation."""

    group: str
    """What it is about."""
    name: str

    @property
    def label(self) -> str:
        return f"{self.group} {self.name}".strip()


CoordinateSpec = list[Any]
"""[index, offset, factor]: where a thing is, offset + factor · o[index]."""
EntitySpec = dict[str, Any]
ObsWindow = dict[str, Any]
"""`box`: x, y, width, height; `cells`: whether it is a grid; `things` in the box."""


def obs_features(task: Task) -> list[list[Feature]]:
    """Returns the features of each agent's observation, in order."""
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
    """Returns how each agent's observation is drawn; None where nobody knows."""
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
    # Only what is seen is listed, in order: the first other need not be agent 1.
    foods = [f"food {i + 1}" for i in range(task.foods)]
    others = [f"other {i + 1}" for i in range(task.num_agents - 1)]
    return _features_per_entity([*foods, "itself", *others], ("row", "column", "level"))


def _foraging_obs_window(task: Foraging, agent: int) -> ObsWindow:
    side = min(2 * task.sight + 1, task.size)
    shades = (
        [GREEN] * task.foods
        + [agent_color(agent)]
        + [SHELF_COLOR] * (task.num_agents - 1)
    )
    things = []
    for i, feature in enumerate(_foraging_features(task)[::3]):
        row, column, level = 3 * i, 3 * i + 1, 3 * i + 2
        things.append(
            _entity(
                feature.group,
                shades[i],
                "square" if i < task.foods else "disc",
                x=[column, 0, 1],
                y=[row, 0, 1],
                visible_above=[row, -0.5],
                text_index=level,
            )
        )
    box = [-0.5, -0.5, side, side]
    return {"box": box, "cells": True, "things": things}


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
    things = []
    for i, (down, right) in enumerate(_sensor_offsets(task)):
        first = len(OWN_FEATURES) + len(CELL_FEATURES) * i
        x, y = [None, right, 0], [None, down, 0]
        where = _cell_name(down, right)
        things += [
            _entity(
                f"shelf {where}", SHELF_COLOR, "square", x=x, y=y, alpha_index=first + 5
            ),
            _entity(
                f"requested {where}", GREEN, "square", x=x, y=y, alpha_index=first + 6
            ),
            _entity(
                f"agent {where}",
                PURPLE if down or right else agent_color(agent),
                "disc",
                x=x,
                y=y,
                alpha_index=first,
            ),
        ]
    corner, side = -task.sensor_range - 0.5, 2 * task.sensor_range + 1
    return {"box": [corner, corner, side, side], "cells": True, "things": things}


def _spread_features(task: SimpleSpread, agent: int) -> list[Feature]:
    others = [f"agent {i + 1}" for i in range(task.num_agents) if i != agent]
    landmarks = [f"landmark {i + 1}" for i in range(task.num_agents)]
    ways = ["velocity", "position", *[f"way to {n}" for n in landmarks + others]]
    words = [f"heard from {name}" for name in others]
    numbers = tuple(str(i + 1) for i in range(COMM_DIM))
    return _features_per_entity(ways, ("x", "y")) + _features_per_entity(words, numbers)


def _spread_obs_window(task: SimpleSpread, agent: int) -> ObsWindow:
    shades = [GREEN] * task.num_agents
    shades += [agent_color(other) for other in range(task.num_agents) if other != agent]
    names = [
        f.group.removeprefix("way to ") for f in _spread_features(task, agent)[4::2]
    ]
    things = [
        _entity("itself", agent_color(agent), "disc", x=[None, 0, 0], y=[None, 0, 0])
    ]
    for i, shade in enumerate(shades):
        shape = "square" if i < task.num_agents else "disc"
        x, y = 4 + 2 * i, 5 + 2 * i
        things.append(_entity(names[i], shade, shape, x=[x, 0, 1], y=[y, 0, -1]))
    return {"box": [-2.2, -2.2, 4.4, 4.4], "cells": False, "things": things}


def _speaker_listener_features(task: SpeakerListener, agent: int) -> list[Feature]:
    landmarks = [f"way to landmark {i + 1}" for i in range(NUM_LANDMARKS)]
    if agent == SPEAKER:
        colours = [Feature("goal's colour", str(i + 1)) for i in range(NUM_LANDMARKS)]
        rest = range(task.obs_dim - NUM_LANDMARKS)
        return colours + [Feature("nothing", str(i + 1)) for i in rest]
    words = [Feature("heard", f"word {i + 1}") for i in range(SPOKEN)]
    return _features_per_entity(["velocity", *landmarks], ("x", "y")) + words


def _speaker_listener_obs_window(agent: int) -> ObsWindow:
    names = [f"landmark {i + 1}" for i in range(NUM_LANDMARKS)]
    if agent == SPEAKER:
        things = [
            _entity(n, GREEN, "square", x=[None, i, 0], y=[None, 1, 0], alpha_index=i)
            for i, n in enumerate(names)
        ]
        return {"box": [-0.5, -0.5, 3, 3], "cells": True, "things": things}
    things = [
        _entity("itself", agent_color(agent), "disc", x=[None, 0, 0], y=[None, 0, 0])
    ]
    things += [
        _entity(n, GREEN, "square", x=[2 + 2 * i, 0, 1], y=[3 + 2 * i, 0, -1])
        for i, n in enumerate(names)
    ]
    return {"box": [-2.2, -2.2, 4.4, 4.4], "cells": False, "things": things}


def _entity(
    name: str,
    color: str,
    shape: str,
    *,
    x: CoordinateSpec,
    y: CoordinateSpec,
    visible_above: CoordinateSpec | None = None,
    alpha_index: int | None = None,
    text_index: int | None = None,
) -> EntitySpec:
    """Returns a thing in a lens.

    Args:
        seen: [index, least]: it is there where o[index] is above that.
        alpha: the index of how much of it is there, from 0 to 1.
        text: the index of a number to be written on it.
    """
    return {
        "name": name,
        "fill": color,
        "shape": shape,
        "x": x,
        "y": y,
        "seen": visible_above,
        "alpha": alpha_index,
        "text": text_index,
    }
