"""Scenes of tasks: a top view of each environment step, as plain shapes."""

from typing import Any

import numpy as np
from jaxtyping import PyTree

from syntony.tasks.foraging.rules import Foraging
from syntony.tasks.particles.speaker_listener import (
    LISTENER,
    SPEAKER,
    VOCAB_SIZE,
    SpeakerListener,
)
from syntony.tasks.particles.spread import AGENT_RADIUS, SimpleSpread
from syntony.tasks.task import Task
from syntony.tasks.warehouse.rules import HEADING_OFFSETS, Warehouse
from syntony.visualization.scene_drawing import Number, Scene, Shape
from syntony.visualization.style import (
    FLOOR_COLOR,
    GOAL_COLOR,
    GREEN,
    GRID_LINE_COLOR,
    SHELF_COLOR,
    agent_color,
)

SPEAKER_STRIP_HEIGHT = 0.45
"""Height of the strip below the plane where the speaker is drawn: its position has no
effect."""

RENDERABLE_TASKS = (Foraging, Warehouse, SimpleSpread, SpeakerListener)


def is_renderable(task: Task) -> bool:
    """Whether `episode_scene` can draw a task."""
    return isinstance(task, RENDERABLE_TASKS)


def episode_scene(
    task: Task, states: PyTree[np.ndarray], num_steps: int
) -> Scene | None:
    """Scene of an episode, seen from above; None if the task cannot be drawn.

    Args:
        task: the task of the episode.
        states: environment states, time along the first axis.
        num_steps: number of states to draw, from the first one on.
    """
    steps = range(num_steps)
    match task:
        case Foraging():
            return _grid_scene(task.size, task.size, []) | {
                "frames": [_foraging_shapes(task, states, t) for t in steps]
            }
        case Warehouse():
            return _grid_scene(*task.grid_shape, _warehouse_background(task)) | {
                "frames": [_warehouse_shapes(task, states, t) for t in steps]
            }
        case SimpleSpread():
            return _plane_scene([_spread_shapes(states, t) for t in steps])
        case SpeakerListener():
            plane = _plane_scene([_listener_shapes(states, t) for t in steps])
            return _add_speaker(plane, states)
    return None


def _grid_scene(rows: int, columns: int, background: list[Shape]) -> Scene:
    """Static layer of a grid; cell (row, column) is centered at (column, row)."""
    horizontal = [
        _line(-0.5, row - 0.5, columns - 0.5, row - 0.5) for row in range(rows + 1)
    ]
    vertical = [
        _line(column - 0.5, -0.5, column - 0.5, rows - 0.5)
        for column in range(columns + 1)
    ]
    bounds = [-0.55, -0.55, columns + 0.1, rows + 0.1]
    return {"bounds": bounds, "static": background + horizontal + vertical}


def _plane_scene(frames: list[list[Shape]]) -> Scene:
    """Scene of a plane that contains the shapes of all frames."""
    extents = [max(abs(s["x"]), abs(s["y"])) for frame in frames for s in frame]
    limit = max(1.1, *extents) + AGENT_RADIUS
    bounds = [-limit - 0.02, -limit - 0.02, 2 * limit + 0.04, 2 * limit + 0.04]
    horizontal = [_line(-limit, y, limit, y) for y in (-limit, 0, limit)]
    vertical = [_line(x, -limit, x, limit) for x in (-limit, 0, limit)]
    return {"bounds": bounds, "static": horizontal + vertical, "frames": frames}


def _foraging_shapes(task: Foraging, states: Any, t: int) -> list[Shape]:
    shapes = []
    agents = states.position[t].tolist()
    for agent, (row, column) in enumerate(agents):
        if task.sight < task.size:
            side = 2 * task.sight + 1
            shapes.append(
                _square(column, row, side, agent_color(agent))
                | {"opacity": 0.1, "agent": agent}
            )
    foods = states.food_position[t].tolist()
    for (row, column), level in zip(foods, states.food_level[t], strict=True):
        if level > 0:
            shapes.append(
                _square(column, row, 0.6, GREEN) | {"text": int(level), "round": 0.14}
            )
    for agent, (row, column) in enumerate(agents):
        level = int(states.level[t, agent])
        shapes.append(_circle(column, row, 0.34, agent_color(agent), agent, text=level))
    return shapes


def _warehouse_background(task: Warehouse) -> list[Shape]:
    shelves = [
        _square(c, r, 1, FLOOR_COLOR) for r, c in np.argwhere(~task.highway).tolist()
    ]
    goals = [_square(column, row, 1, GOAL_COLOR) for row, column in task.goals]
    return shelves + [goal | {"opacity": 0.45} for goal in goals]


def _warehouse_shapes(task: Warehouse, states: Any, t: int) -> list[Shape]:
    shapes = []
    for row, column in np.argwhere(states.shelf_grid[t] > 0).tolist():
        requested = states.shelf_grid[t, row, column] <= task.num_requests
        shapes.append(_square(column, row, 0.72, GREEN if requested else SHELF_COLOR))
    for agent, (row, column) in enumerate(states.position[t].tolist()):
        load = int(states.carried_shelf[t, agent])
        if load:
            color = GREEN if load <= task.num_requests else SHELF_COLOR
            shapes.append(_square(column, row, 0.9, color))
        down, right = HEADING_OFFSETS[int(states.heading[t, agent])]
        shapes.append(
            _circle(column, row, 0.32, agent_color(agent), agent, text=agent + 1)
        )
        heading = _line(
            column + 0.3 * right,
            row + 0.3 * down,
            column + 0.48 * right,
            row + 0.48 * down,
        )
        shapes.append(heading | {"fill": agent_color(agent), "width": 0.12})
    return shapes


def _spread_shapes(states: Any, t: int) -> list[Shape]:
    shapes = [
        _square(x, -y, 0.1, GREEN) for x, y in states.landmark_position[t].tolist()
    ]
    for agent, (x, y) in enumerate(states.agents.position[t].tolist()):
        shapes.append(
            _circle(x, -y, AGENT_RADIUS, agent_color(agent), agent, text=agent + 1)
        )
    return shapes


def _listener_shapes(states: Any, t: int) -> list[Shape]:
    goal = int(states.goal[t])
    shapes = [
        _square(x, -y, 0.16, GREEN)
        | {"text": i + 1, "opacity": 1.0 if i == goal else 0.4}
        for i, (x, y) in enumerate(states.landmark_position[t].tolist())
    ]
    x, y = states.listener.position[t, 0].tolist()
    return [*shapes, _circle(x, -y, 0.075, agent_color(LISTENER), LISTENER, text=2)]


def _add_speaker(scene: Scene, states: Any) -> Scene:
    """Adds the speaker below the plane, and beside it the message that it sent."""
    left, top, width, height = scene["bounds"]
    y = top + height + SPEAKER_STRIP_HEIGHT / 2
    frames = [
        [*shapes, *_speaker_shapes(states.message[t].tolist(), y)]
        for t, shapes in enumerate(scene["frames"])
    ]
    return scene | {
        "bounds": [left, top, width, height + SPEAKER_STRIP_HEIGHT],
        "frames": frames,
    }


def _speaker_shapes(message: list[float], y: float) -> list[Shape]:
    words = [
        _square(0.3 * (1 + word) - 0.45, y, 0.2, agent_color(SPEAKER))
        | {"text": "abc"[word], "round": 0.05, "opacity": 1.0 if message[word] else 0.2}
        for word in range(VOCAB_SIZE)
    ]
    speaker = _circle(-0.55, y, 0.1, agent_color(SPEAKER), SPEAKER, text=1)
    return [speaker, *words]


def _line(x: Number, y: Number, x2: Number, y2: Number) -> Shape:
    return {"kind": "line", "x": x, "y": y, "x2": x2, "y2": y2, "fill": GRID_LINE_COLOR}


def _square(x: Number, y: Number, side: Number, fill: str) -> Shape:
    return {"kind": "rect", "x": x, "y": y, "side": side, "fill": fill}


def _circle(
    x: Number, y: Number, radius: Number, fill: str, agent: int, *, text: int
) -> Shape:
    circle = {"kind": "circle", "x": x, "y": y, "r": radius, "fill": fill}
    return circle | {"agent": agent, "text": text}
