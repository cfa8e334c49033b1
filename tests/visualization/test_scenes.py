"""Scenes of episodes: one area for all states, one static layer, strips below."""

import math
from typing import Any

import numpy as np
import pytest

from syntony.errors import InvalidInputError
from syntony.tasks.external.external_env import ShapeOnlyTask
from syntony.tasks.scene import Circle, Line, Scene, Square, Strip
from syntony.visualization.scenes import EpisodeScene, add_symbols, episode_scene

SIZES: dict[str, Any] = {
    **{"id": "x", "num_agents": 1, "num_actions": 2, "obs_dim": 2, "time_limit": 3}
}


class Drawn:
    """A task whose agent is at x = state, drawn in a square that contains it."""

    id = "drawn"

    def __getattr__(self, name: str) -> Any:
        return getattr(ShapeOnlyTask(**SIZES), name)

    def render(self, state: Any) -> Scene:
        x = float(state)
        border = Line(-math.inf, -math.inf, math.inf, -math.inf)
        return Scene(
            bounds=(-abs(x), -1, 2 * abs(x), 2),
            static=(border, Square(0, 0, 1, 0)),
            shapes=(Circle(x, 0, 1, 0),),
            margin=0.5,
            strip=Strip(1, (Circle(0, 0.5, 0.1, 0), Line(0, 0, 1, 1))),
        )


def scene_of(task: Any, *states: float, steps: int | None = None) -> EpisodeScene:
    scene = episode_scene(task, np.array(states), steps or len(states))
    assert scene is not None
    return scene


def test_bounds_contain_all_frames_and_the_strip():
    scene = scene_of(Drawn(), 1.0, -3.0)
    # The union is 6 wide and 2 high; the margin is 0.5, the strip below it 1 high.
    assert scene.bounds == (-3.5, -1.5, 7, 4)
    assert scene_of(Drawn(), 1.0, -3.0, steps=1).bounds == (-1.5, -1.5, 3, 4)


def test_static_shapes_are_there_once_and_lines_end_at_the_border():
    scene = scene_of(Drawn(), 1.0, -3.0)
    assert scene.static == (Line(-3, -1, 3, -1), Square(0, 0, 1, 0))


def test_the_strip_is_below_in_every_frame():
    scene = scene_of(Drawn(), 1.0, -3.0)
    assert [frame[0].x for frame in scene.frames] == [1.0, -3.0]
    for frame in scene.frames:
        assert frame[1:] == (Circle(0, 2, 0.1, 0), Line(0, 1.5, 1, 2.5))


class Raising(Drawn):
    def render(self, state: Any) -> Scene:
        raise KeyError(float(state))


class Nothing(Drawn):
    def render(self, state: Any) -> Any:
        return [state]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Raising(), r"^drawn: render raised KeyError: 2.0 \(test_scenes.py:\d+\)$"),
        (Nothing(), "^drawn: render returned list; expected a Scene$"),
    ],
)
def test_a_failure_to_draw_is_told_in_one_line(task: Any, message: str):
    with pytest.raises(InvalidInputError, match=message):
        scene_of(task, 2.0)


def test_a_task_without_render_has_no_scene():
    assert episode_scene(ShapeOnlyTask(**SIZES), np.zeros(3), 3) is None


def test_symbols_are_drawn_in_a_plane_of_each_agent_below_the_scene():
    scene = scene_of(Drawn(), 1.0, 1.0, 1.0)
    sent = np.zeros((2, 2, 1, 2))
    sent[0] = [[[1.0, 0.0]], [[0.0, 1.0]]]
    added = add_symbols(scene, sent, 3)
    assert added is not None
    # Planes have a quarter of the width: the area grows by that much below.
    left, top, width, height = scene.bounds
    assert added.bounds == (left, top, width, height + width / 4)
    first, second = added.frames[0][len(scene.frames[0]) :]
    assert isinstance(first, Square)
    assert isinstance(second, Square)
    assert (first.role, second.role) == (0, 1)
    # Agent 1 sends a real symbol, right of its center; agent 2 one that points up.
    middle = top + height + width / 8
    assert first.y == pytest.approx(middle)
    assert left + 0.375 * width < first.x < left + width / 2
    assert second.x == pytest.approx(left + 0.625 * width)
    assert top + height < second.y < middle
    # Nothing is sent after the last step.
    assert added.frames[2] == scene.frames[2]


def test_symbols_are_drawn_without_a_scene_and_not_without_symbols():
    scene = scene_of(Drawn(), 1.0)
    assert add_symbols(scene, None, 1) is scene
    assert add_symbols(None, None, 1) is None
    alone = add_symbols(None, np.ones((1, 3, 2, 2)), 2)
    assert alone is not None
    texts = [shape.text for shape in alone.frames[0] if isinstance(shape, Square)]
    assert texts == [1, 2] * 3
    assert alone.frames[1] == ()
