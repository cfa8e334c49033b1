"""Boards and lenses: every number has a name, and what is seen lands where it is."""

from typing import Any

import jax
import numpy as np
import pytest
from jaxtyping import Array, Key

import syntony
from syntony.tasks.external.external_env import ShapeOnlyTask
from syntony.visualization.obs_features import obs_features, obs_windows
from syntony.visualization.scene_builders import episode_scene, is_renderable

TASKS = [
    "Foraging-2s-8x8-3p-2f-coop",
    "Foraging-8x8-2p-1f",
    "rware-tiny-2ag-hard",
    "SimpleSpread-3",
    "SpeakerListener",
]


def begun(id: str, key: Key[Array, ""]) -> tuple[Any, Any, np.ndarray]:
    """Returns a task, a state along a time axis, and what is seen of it."""
    task = syntony.task(id)
    state, obs = task.reset(key)
    return task, jax.tree.map(lambda x: np.asarray(x)[None], state), np.asarray(obs)


def placed(thing: dict[str, Any], numbers: np.ndarray) -> list[float]:
    """Returns where the page draws a thing."""
    found = []
    for axis in ("x", "y"):
        index, offset, factor = thing[axis]
        found.append(offset + (0 if index is None else factor * numbers[index]))
    return found


def is_seen(thing: dict[str, Any], numbers: np.ndarray) -> bool:
    return thing["seen"] is None or numbers[thing["seen"][0]] > thing["seen"][1]


@pytest.mark.parametrize("id", TASKS)
def test_every_number_has_a_name_and_every_thing_a_place(id: str, key: Key[Array, ""]):
    task, states, obs = begun(id, key)
    assert [len(agent) for agent in obs_features(task)] == [task.obs_size] * task.agents
    for agent in obs_features(task):
        assert len({feature.label for feature in agent}) == task.obs_size
    drawn = obs_windows(task)
    assert drawn is not None
    for lens, numbers in zip(drawn, obs, strict=True):
        left, top, width, height = lens["box"]
        for thing in lens["things"]:
            x, y = placed(thing, numbers)
            if is_seen(thing, numbers):
                assert left <= x <= left + width
                assert top <= y <= top + height
    found = episode_scene(task, states, 1)
    assert found is not None
    assert {s["agent"] for s in found["moments"][0] if s["kind"] == "disc"} <= set(
        range(task.agents)
    )


def test_foraging_is_seen_as_it_is(key: Key[Array, ""]):
    """What an agent sees through its lens lies as on the board, from its corner."""
    task, states, obs = begun(TASKS[0], key)
    found = episode_scene(task, states, 1)
    drawn = obs_windows(task)
    assert found is not None
    assert drawn is not None
    foods = {(s["x"], s["y"]) for s in found["moments"][0] if s.get("round")}
    for agent, numbers in enumerate(obs):
        row, column = np.maximum(states.position[0, agent] - task.sight, 0)
        things = [t for t in drawn[agent]["things"] if t["shape"] == "square"]
        seen = [placed(t, numbers) for t in things if is_seen(t, numbers)]
        assert {(x + column, y + row) for x, y in seen} <= foods
        (me,) = [t for t in drawn[agent]["things"] if t["name"] == "itself"]
        x, y = placed(me, numbers)
        assert [y + row, x + column] == states.position[0, agent].tolist()


def test_landmarks_of_spread_lie_where_they_are(key: Key[Array, ""]):
    task, states, obs = begun("SimpleSpread-3", key)
    drawn = obs_windows(task)
    assert drawn is not None
    things = [t for t in drawn[1]["things"] if t["shape"] == "square"]
    found = np.array([placed(t, obs[1]) for t in things])
    # On a page y points down.
    away = states.landmark_position[0] - states.body.position[0, 1]
    np.testing.assert_allclose(found, away * [1, -1], atol=1e-6)


def test_shelves_of_a_warehouse_are_all_there(key: Key[Array, ""]):
    task, states, _ = begun("rware-tiny-2ag-hard", key)
    found = episode_scene(task, states, 1)
    assert found is not None
    shelves = [s for s in found["moments"][0] if s["kind"] == "rect"]
    assert len(shelves) == int((~task.highway).sum())
    asked = [s for s in shelves if s["fill"] == "#009E73"]
    assert len(asked) == task.num_requests


def test_the_word_that_was_said_is_the_solid_one(key: Key[Array, ""]):
    task, states, _ = begun("SpeakerListener", key)
    said = states._replace(message=np.array([[0.0, 0.0, 1.0]]))
    for told, solid in ((states, ""), (said, "c")):
        found = episode_scene(task, told, 1)
        assert found is not None
        _, top, width, height = found["box"]
        words = [s for s in found["moments"][0] if s.get("text") in (*"abc",)]
        assert "".join(s["text"] for s in words if s["opacity"] == 1.0) == solid
        assert all(s["y"] + s["side"] / 2 < top + height for s in words)
        # What is below the square plane is the speaker's.
        (speaker,) = [s for s in found["moments"][0] if s.get("agent") == 0]
        assert speaker["y"] - speaker["r"] > top + width


def test_of_other_tasks_numbers_are_numbered():
    task = ShapeOnlyTask(id="x", num_agents=2, num_actions=2, obs_dim=2, time_limit=3)
    assert [f.label for f in obs_features(task)[1]] == ["feature 1", "feature 2"]
    assert obs_windows(task) is None
    assert episode_scene(task, None, 3) is None
    assert not is_renderable(task)
    assert all(is_renderable(syntony.task(id)) for id in TASKS)
