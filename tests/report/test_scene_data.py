"""Data of scenes: what `scene.js` draws, with colors in place of roles."""

from typing import Any

import syntony
from syntony.report.scene_data import obs_windows_data, scene_data
from syntony.tasks.scene import Circle, Line, Role, Square
from syntony.visualization.scenes import EpisodeScene


def test_shapes_have_colors_and_those_of_agents_their_index():
    scene = EpisodeScene(
        bounds=(0, 0, 2, 2),
        static=(Line(0, 0, 2, 0),),
        frames=[
            (
                Circle(1, 1, 0.3, 1, "b"),
                Square(1, 0, 1, Role.TARGET, 0, opacity=0.5, corner_radius=0.1),
                Line(0, 0, 1, 1, 0, width=0.2),
            )
        ],
    )
    data: Any = scene_data(scene)
    at = {"x": 1, "y": 1}
    assert data["bounds"] == [0, 0, 2, 2]
    assert data["static"] == [
        {"kind": "line", "x": 0, "y": 0, "x2": 2, "y2": 0, "fill": "#80808055"}
    ]
    circle, square, line = data["frames"][0]
    assert circle == at | {
        **{"kind": "circle", "r": 0.3, "fill": "#D55E00", "agent": 1, "text": "b"}
    }
    assert square == at | {
        **{"y": 0, "kind": "rect", "side": 1, "fill": "#009E73", "text": 0},
        **{"opacity": 0.5, "round": 0.1},
    }
    # A line is not marked where its agent is selected.
    assert line["fill"] == "#0072B2"
    assert line["width"] == 0.2
    assert "agent" not in line


def test_windows_of_all_agents():
    windows = obs_windows_data(syntony.task("Foraging-5x5-2p-1f"))
    assert windows is not None
    first, second = windows
    entities: Any = second["entities"]
    food, itself, other = entities
    assert food == {
        **{"name": "food 1", "fill": "#009E73", "shape": "square"},
        **{"x": [1, 0, 1], "y": [0, 0, 1], "visible_above": [0, -0.5]},
        **{"alpha_index": None, "text_index": 2},
    }
    assert itself["fill"] == "#D55E00"
    assert other["name"] == "other 1"
    assert first["bounds"] == [-0.5, -0.5, 5, 5]
    assert first["grid"] is True


def test_a_task_that_draws_no_observations_has_no_windows():
    assert obs_windows_data(syntony.task("probe-see")) is None
