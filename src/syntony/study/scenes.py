"""A task seen from above, moment by moment, as shapes that a page can draw."""

from typing import Any

import numpy as np
from jaxtyping import PyTree

from syntony.study.boards import GREEN, Number, Scene, Shape, colour
from syntony.study.features import SHELF
from syntony.tasks.foraging import Foraging
from syntony.tasks.speaker import LISTENER, SPEAKER, WORDS, SpeakerListener
from syntony.tasks.spread import RADIUS, SimpleSpread
from syntony.tasks.task import Task
from syntony.tasks.warehouse import AHEAD, Warehouse

LINE = "#80808055"
GOAL = "#E69F00"
SPEECH = 0.45
"""Room for the speaker below its plane: where it stands is of no matter."""

DRAWN = (Foraging, Warehouse, SimpleSpread, SpeakerListener)


def is_drawn(task: Task) -> bool:
    """Returns whether somebody knows how to draw a task."""
    return isinstance(task, DRAWN)


def scene(task: Task, states: PyTree[np.ndarray], steps: int) -> Scene | None:
    """Returns an episode seen from above; None where nobody knows how to draw it.

    Args:
        states: of the task, time along the first axis.
        steps: how many of them are drawn.
    """
    moments = range(steps)
    match task:
        case Foraging():
            return _on_cells(task.size, task.size, []) | {
                "moments": [_foraging(task, states, t) for t in moments]
            }
        case Warehouse():
            return _on_cells(*task.shape, _floor(task)) | {
                "moments": [_warehouse(task, states, t) for t in moments]
            }
        case SimpleSpread():
            return _on_plane([_spread(states, t) for t in moments])
        case SpeakerListener():
            plane = _on_plane([_listener(states, t) for t in moments])
            return _with_speaker(plane, states)
    return None


def _on_cells(rows: int, columns: int, floor: list[Shape]) -> Scene:
    """Returns an empty board; cell (row, column) has its middle at (column, row)."""
    across = [
        _line(-0.5, row - 0.5, columns - 0.5, row - 0.5) for row in range(rows + 1)
    ]
    down = [
        _line(column - 0.5, -0.5, column - 0.5, rows - 0.5)
        for column in range(columns + 1)
    ]
    box = [-0.55, -0.55, columns + 0.1, rows + 0.1]
    return {"box": box, "still": floor + across + down}


def _on_plane(moments: list[list[Shape]]) -> Scene:
    """Returns a plane, wide enough for all that is ever on it; y points up."""
    places = [max(abs(s["x"]), abs(s["y"])) for m in moments for s in m]
    reach = max(1.1, *places) + RADIUS
    box = [-reach - 0.02, -reach - 0.02, 2 * reach + 0.04, 2 * reach + 0.04]
    across = [_line(-reach, y, reach, y) for y in (-reach, 0, reach)]
    down = [_line(x, -reach, x, reach) for x in (-reach, 0, reach)]
    return {"box": box, "still": across + down, "moments": moments}


def _foraging(task: Foraging, states: Any, t: int) -> list[Shape]:
    shapes = []
    agents = states.position[t].tolist()
    for agent, (row, column) in enumerate(agents):
        if task.sight < task.size:
            side = 2 * task.sight + 1
            shapes.append(
                _square(column, row, side, colour(agent))
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
        shapes.append(_disc(column, row, 0.34, colour(agent), agent, text=level))
    return shapes


def _floor(task: Warehouse) -> list[Shape]:
    shelves = [
        _square(c, r, 1, "#8080801A") for r, c in np.argwhere(~task.highway).tolist()
    ]
    goals = [_square(column, row, 1, GOAL) for row, column in task.goals]
    return shelves + [goal | {"opacity": 0.45} for goal in goals]


def _warehouse(task: Warehouse, states: Any, t: int) -> list[Shape]:
    shapes = []
    for row, column in np.argwhere(states.standing[t] > 0).tolist():
        asked = states.standing[t, row, column] <= task.requests
        shapes.append(_square(column, row, 0.72, GREEN if asked else SHELF))
    for agent, (row, column) in enumerate(states.position[t].tolist()):
        load = int(states.load[t, agent])
        if load:
            shade = GREEN if load <= task.requests else SHELF
            shapes.append(_square(column, row, 0.9, shade))
        down, right = AHEAD[int(states.heading[t, agent])]
        shapes.append(_disc(column, row, 0.32, colour(agent), agent, text=agent + 1))
        nose = _line(
            column + 0.3 * right,
            row + 0.3 * down,
            column + 0.48 * right,
            row + 0.48 * down,
        )
        shapes.append(nose | {"fill": colour(agent), "width": 0.12})
    return shapes


def _spread(states: Any, t: int) -> list[Shape]:
    shapes = [_square(x, -y, 0.1, GREEN) for x, y in states.landmark[t].tolist()]
    for agent, (x, y) in enumerate(states.body.position[t].tolist()):
        shapes.append(_disc(x, -y, RADIUS, colour(agent), agent, text=agent + 1))
    return shapes


def _listener(states: Any, t: int) -> list[Shape]:
    goal = int(states.goal[t])
    shapes = [
        _square(x, -y, 0.16, GREEN)
        | {"text": i + 1, "opacity": 1.0 if i == goal else 0.4}
        for i, (x, y) in enumerate(states.landmark[t].tolist())
    ]
    x, y = states.body.position[t, 0].tolist()
    return [*shapes, _disc(x, -y, 0.075, colour(LISTENER), LISTENER, text=2)]


def _with_speaker(plane: Scene, states: Any) -> Scene:
    """Adds the speaker below the plane, and beside it the word that it has said."""
    left, top, width, height = plane["box"]
    y = top + height + SPEECH / 2
    moments = [
        [*shapes, *_speaker(states.word[t].tolist(), y)]
        for t, shapes in enumerate(plane["moments"])
    ]
    return plane | {"box": [left, top, width, height + SPEECH], "moments": moments}


def _speaker(said: list[float], y: float) -> list[Shape]:
    words = [
        _square(0.3 * (1 + word) - 0.45, y, 0.2, colour(SPEAKER))
        | {"text": "abc"[word], "round": 0.05, "opacity": 1.0 if said[word] else 0.2}
        for word in range(WORDS)
    ]
    speaker = _disc(-0.55, y, 0.1, colour(SPEAKER), SPEAKER, text=1)
    return [speaker, *words]


def _line(x: Number, y: Number, x2: Number, y2: Number) -> Shape:
    return {"kind": "line", "x": x, "y": y, "x2": x2, "y2": y2, "fill": LINE}


def _square(x: Number, y: Number, side: Number, fill: str) -> Shape:
    return {"kind": "rect", "x": x, "y": y, "side": side, "fill": fill}


def _disc(
    x: Number, y: Number, radius: Number, fill: str, agent: int, *, text: int
) -> Shape:
    place = {"kind": "disc", "x": x, "y": y, "r": radius, "fill": fill}
    return place | {"agent": agent, "text": text}
