"""Scenes and observation windows: names and positions of all entities."""

from typing import Any

import jax
import numpy as np
import pytest
from jaxtyping import Array, Key
from syntony.visualization.scene_builders import episode_scene, is_renderable

import syntony
from syntony.tasks.external.external_env import ShapeOnlyTask
from syntony.visualization.obs_features import obs_features, obs_windows

TASKS = [
    "Foraging-2s-8x8-3p-2f-coop",
    "Foraging-8x8-2p-1f",
    "rware-tiny-2ag-hard",
    "SimpleSpread-3",
    "SpeakerListener",
]


def reset_task(id: str, key: Key[Array, ""]) -> tuple[Any, Any, np.ndarray]:
    """A task, its initial state with a time axis, and the observations."""
    task = syntony.task(id)
    state, obs = task.reset(key)
    return task, jax.tree.map(lambda x: np.asarray(x)[None], state), np.asarray(obs)


def position(entity: dict[str, Any], obs: np.ndarray) -> list[float]:
    """Position at which the page draws an entity."""
    coordinates = []
    for axis in ("x", "y"):
        index, offset, factor = entity[axis]
        coordinates.append(offset + (0 if index is None else factor * obs[index]))
    return coordinates


def is_visible(entity: dict[str, Any], obs: np.ndarray) -> bool:
    condition = entity["visible_above"]
    return condition is None or obs[condition[0]] > condition[1]


@pytest.mark.parametrize("id", TASKS)
def test_every_feature_has_a_name_and_every_entity_a_position(
    id: str, key: Key[Array, ""]
):
    task, states, obs = reset_task(id, key)
    assert [len(agent) for agent in obs_features(task)] == [
        task.obs_dim
    ] * task.num_agents
    for agent in obs_features(task):
        assert len({feature.label for feature in agent}) == task.obs_dim
    windows = obs_windows(task)
    assert windows is not None
    for window, own_obs in zip(windows, obs, strict=True):
        left, top, width, height = window["bounds"]
        for entity in window["entities"]:
            x, y = position(entity, own_obs)
            if is_visible(entity, own_obs):
                assert left <= x <= left + width
                assert top <= y <= top + height
    scene = episode_scene(task, states, 1)
    assert scene is not None
    assert {s["agent"] for s in scene["frames"][0] if s["kind"] == "circle"} <= set(
        range(task.num_agents)
    )


def test_foraging_windows_agree_with_the_scene(key: Key[Array, ""]):
    """Positions in an agent's window count from the corner of its view."""
    task, states, obs = reset_task(TASKS[0], key)
    scene = episode_scene(task, states, 1)
    windows = obs_windows(task)
    assert scene is not None
    assert windows is not None
    foods = {(s["x"], s["y"]) for s in scene["frames"][0] if s.get("round")}
    for agent, own_obs in enumerate(obs):
        row, column = np.maximum(states.position[0, agent] - task.sight, 0)
        entities = windows[agent]["entities"]
        squares = [e for e in entities if e["shape"] == "square"]
        visible = [position(e, own_obs) for e in squares if is_visible(e, own_obs)]
        assert {(x + column, y + row) for x, y in visible} <= foods
        (itself,) = [e for e in entities if e["name"] == "itself"]
        x, y = position(itself, own_obs)
        assert [y + row, x + column] == states.position[0, agent].tolist()


def test_landmarks_of_spread_have_their_true_offsets(key: Key[Array, ""]):
    task, states, obs = reset_task("SimpleSpread-3", key)
    windows = obs_windows(task)
    assert windows is not None
    squares = [e for e in windows[1]["entities"] if e["shape"] == "square"]
    offsets = np.array([position(e, obs[1]) for e in squares])
    # On a page y points down.
    expected = states.landmark_position[0] - states.agents.position[0, 1]
    np.testing.assert_allclose(offsets, expected * [1, -1], atol=1e-6)


def test_a_warehouse_scene_has_all_shelves(key: Key[Array, ""]):
    task, states, _ = reset_task("rware-tiny-2ag-hard", key)
    scene = episode_scene(task, states, 1)
    assert scene is not None
    shelves = [s for s in scene["frames"][0] if s["kind"] == "rect"]
    assert len(shelves) == int((~task.highway).sum())
    requested = [s for s in shelves if s["fill"] == "#009E73"]
    assert len(requested) == task.num_requests


def test_the_message_of_the_speaker_is_opaque(key: Key[Array, ""]):
    task, states, _ = reset_task("SpeakerListener", key)
    sent = states._replace(message=np.array([[0.0, 0.0, 1.0]]))
    for spoken, opaque in ((states, ""), (sent, "c")):
        scene = episode_scene(task, spoken, 1)
        assert scene is not None
        _, top, width, height = scene["bounds"]
        words = [s for s in scene["frames"][0] if s.get("text") in (*"abc",)]
        assert "".join(s["text"] for s in words if s["opacity"] == 1.0) == opaque
        assert all(s["y"] + s["side"] / 2 < top + height for s in words)
        # The speaker is drawn below the square plane.
        (speaker,) = [s for s in scene["frames"][0] if s.get("agent") == 0]
        assert speaker["y"] - speaker["r"] > top + width


def test_features_of_other_tasks_are_numbered():
    task = ShapeOnlyTask(id="x", num_agents=2, num_actions=2, obs_dim=2, time_limit=3)
    assert [f.label for f in obs_features(task)[1]] == ["feature 1", "feature 2"]
    assert obs_windows(task) is None
    assert episode_scene(task, None, 3) is None
    assert not is_renderable(task)
    assert all(is_renderable(syntony.task(id)) for id in TASKS)
