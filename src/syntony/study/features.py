"""What the numbers of an observation are, in words, and how they can be drawn."""

from typing import Any, NamedTuple

from syntony.study.boards import GREEN, PURPLE, colour
from syntony.tasks.foraging import Foraging
from syntony.tasks.speaker import LANDMARKS, SPEAKER, SpeakerListener
from syntony.tasks.speaker import WORDS as SPOKEN
from syntony.tasks.spread import WORDS, SimpleSpread
from syntony.tasks.task import Task
from syntony.tasks.warehouse import Warehouse

SHELF = "#8C8C8C"


class Feature(NamedTuple):
    """A number of an observation."""

    group: str
    """What it is about."""
    name: str

    @property
    def words(self) -> str:
        return f"{self.group} {self.name}".strip()


Place = list[Any]
"""[index, offset, factor]: where a thing is, offset + factor · o[index]."""
Thing = dict[str, Any]
Lens = dict[str, Any]
"""`box`: x, y, width, height; `cells`: whether it is a grid; `things` in the box."""


def features(task: Task) -> list[list[Feature]]:
    """Returns the features of each agent's observation, in order."""
    every = range(task.agents)
    match task:
        case Foraging():
            return [_foraging(task) for _ in every]
        case Warehouse():
            return [_warehouse(task) for _ in every]
        case SimpleSpread():
            return [_spread(task, agent) for agent in every]
        case SpeakerListener():
            return [_speaker(task, agent) for agent in every]
    return [[Feature("feature", str(i + 1)) for i in range(task.obs_size)]] * len(every)


def lenses(task: Task) -> list[Lens] | None:
    """Returns how each agent's observation is drawn; None where nobody knows."""
    every = range(task.agents)
    match task:
        case Foraging():
            return [_foraging_lens(task, agent) for agent in every]
        case Warehouse():
            return [_warehouse_lens(task, agent) for agent in every]
        case SimpleSpread():
            return [_spread_lens(task, agent) for agent in every]
        case SpeakerListener():
            return [_speaker_lens(agent) for agent in every]
    return None


def _triples(names: list[str], parts: tuple[str, ...]) -> list[Feature]:
    return [Feature(name, part) for name in names for part in parts]


def _foraging(task: Foraging) -> list[Feature]:
    # Only what is seen is listed, in order: the first other need not be agent 1.
    foods = [f"food {i + 1}" for i in range(task.foods)]
    others = [f"other {i + 1}" for i in range(task.agents - 1)]
    return _triples([*foods, "itself", *others], ("row", "column", "level"))


def _foraging_lens(task: Foraging, agent: int) -> Lens:
    side = min(2 * task.sight + 1, task.size)
    shades = [GREEN] * task.foods + [colour(agent)] + [SHELF] * (task.agents - 1)
    things = []
    for i, feature in enumerate(_foraging(task)[::3]):
        row, column, level = 3 * i, 3 * i + 1, 3 * i + 2
        things.append(
            _thing(
                feature.group,
                shades[i],
                "square" if i < task.foods else "disc",
                x=[column, 0, 1],
                y=[row, 0, 1],
                seen=[row, -0.5],
                text=level,
            )
        )
    box = [-0.5, -0.5, side, side]
    return {"box": box, "cells": True, "things": things}


HEADINGS = ("up", "down", "left", "right")
OWN = ("column", "row", "loaded", *HEADINGS, "on a highway")
CELL = ("agent", *HEADINGS, "shelf", "requested")


def _warehouse(task: Warehouse) -> list[Feature]:
    own = [Feature("itself", name) for name in OWN]
    cells = [_cell(down, right) for down, right in _window(task)]
    return own + _triples(cells, CELL)


def _window(task: Warehouse) -> list[tuple[int, int]]:
    reach = range(-task.sensor_range, task.sensor_range + 1)
    return [(down, right) for down in reach for right in reach]


def _cell(down: int, right: int) -> str:
    if not down and not right:
        return "here"
    rows = f"{abs(down)} {'down' if down > 0 else 'up'}" if down else ""
    columns = f"{abs(right)} {'right' if right > 0 else 'left'}" if right else ""
    return " ".join(filter(None, [rows, columns]))


def _warehouse_lens(task: Warehouse, agent: int) -> Lens:
    things = []
    for i, (down, right) in enumerate(_window(task)):
        first = len(OWN) + len(CELL) * i
        x, y = [None, right, 0], [None, down, 0]
        where = _cell(down, right)
        things += [
            _thing(f"shelf {where}", SHELF, "square", x=x, y=y, alpha=first + 5),
            _thing(f"requested {where}", GREEN, "square", x=x, y=y, alpha=first + 6),
            _thing(
                f"agent {where}",
                PURPLE if down or right else colour(agent),
                "disc",
                x=x,
                y=y,
                alpha=first,
            ),
        ]
    corner, side = -task.sensor_range - 0.5, 2 * task.sensor_range + 1
    return {"box": [corner, corner, side, side], "cells": True, "things": things}


def _spread(task: SimpleSpread, agent: int) -> list[Feature]:
    others = [f"agent {i + 1}" for i in range(task.agents) if i != agent]
    landmarks = [f"landmark {i + 1}" for i in range(task.agents)]
    ways = ["velocity", "position", *[f"way to {n}" for n in landmarks + others]]
    words = [f"heard from {name}" for name in others]
    numbers = tuple(str(i + 1) for i in range(WORDS))
    return _triples(ways, ("x", "y")) + _triples(words, numbers)


def _spread_lens(task: SimpleSpread, agent: int) -> Lens:
    shades = [GREEN] * task.agents
    shades += [colour(other) for other in range(task.agents) if other != agent]
    names = [f.group.removeprefix("way to ") for f in _spread(task, agent)[4::2]]
    things = [_thing("itself", colour(agent), "disc", x=[None, 0, 0], y=[None, 0, 0])]
    for i, shade in enumerate(shades):
        shape = "square" if i < task.agents else "disc"
        x, y = 4 + 2 * i, 5 + 2 * i
        things.append(_thing(names[i], shade, shape, x=[x, 0, 1], y=[y, 0, -1]))
    return {"box": [-2.2, -2.2, 4.4, 4.4], "cells": False, "things": things}


def _speaker(task: SpeakerListener, agent: int) -> list[Feature]:
    landmarks = [f"way to landmark {i + 1}" for i in range(LANDMARKS)]
    if agent == SPEAKER:
        colours = [Feature("goal's colour", str(i + 1)) for i in range(LANDMARKS)]
        rest = range(task.obs_size - LANDMARKS)
        return colours + [Feature("nothing", str(i + 1)) for i in rest]
    words = [Feature("heard", f"word {i + 1}") for i in range(SPOKEN)]
    return _triples(["velocity", *landmarks], ("x", "y")) + words


def _speaker_lens(agent: int) -> Lens:
    names = [f"landmark {i + 1}" for i in range(LANDMARKS)]
    if agent == SPEAKER:
        things = [
            _thing(n, GREEN, "square", x=[None, i, 0], y=[None, 1, 0], alpha=i)
            for i, n in enumerate(names)
        ]
        return {"box": [-0.5, -0.5, 3, 3], "cells": True, "things": things}
    things = [_thing("itself", colour(agent), "disc", x=[None, 0, 0], y=[None, 0, 0])]
    things += [
        _thing(n, GREEN, "square", x=[2 + 2 * i, 0, 1], y=[3 + 2 * i, 0, -1])
        for i, n in enumerate(names)
    ]
    return {"box": [-2.2, -2.2, 4.4, 4.4], "cells": False, "things": things}


def _thing(
    name: str,
    shade: str,
    shape: str,
    *,
    x: Place,
    y: Place,
    seen: Place | None = None,
    alpha: int | None = None,
    text: int | None = None,
) -> Thing:
    """Returns a thing in a lens.

    Args:
        seen: [index, least]: it is there where o[index] is above that.
        alpha: the index of how much of it is there, from 0 to 1.
        text: the index of a number to be written on it.
    """
    return {
        "name": name,
        "fill": shade,
        "shape": shape,
        "x": x,
        "y": y,
        "seen": seen,
        "alpha": alpha,
        "text": text,
    }
