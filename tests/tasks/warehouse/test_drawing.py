"""Drawing of warehouses: a hand-made state, and names of cells."""

from typing import Any

import jax
import numpy as np
import pytest
from jaxtyping import Array, Key

from syntony.tasks.scene import Circle, Line, Role, Square
from syntony.tasks.warehouse.rules import EAST, NORTH, Warehouse

TASK = Warehouse.parse("rware-tiny-2ag-hard")


@pytest.fixture
def state(key: Key[Array, ""]) -> Any:
    """The first agent carries a requested shelf east, the second faces north."""
    state, _ = TASK.reset(key)
    return jax.tree.map(np.asarray, state)._replace(
        position=np.array([[2, 3], [10, 0]]),
        heading=np.array([EAST, NORTH]),
        carried_shelf=np.array([1, 0]),
        shelf_grid=np.zeros(TASK.grid_shape, int),
    )


def test_scene_of_a_hand_made_warehouse(state: Any):
    state.shelf_grid[1, 1] = TASK.num_requests + 1
    scene = TASK.render(state)
    assert scene.bounds == (-0.5, -0.5, 10, 11)
    shelf, load, first, first_heading, second, second_heading = scene.shapes
    assert shelf == Square(1, 1, 0.72, Role.NEUTRAL)
    assert load == Square(3, 2, 0.9, Role.TARGET)
    assert (first, second) == (
        Circle(3, 2, 0.32, 0, 1),
        Circle(0, 10, 0.32, 1, 2),
    )
    assert first_heading == Line(3.3, 2, 3.48, 2, 0, width=0.12)
    assert second_heading == Line(0, 9.7, 0, 9.52, 1, width=0.12)
    goals = [s for s in scene.static if s.role == Role.GOAL]
    assert [(s.y, s.x) for s in goals] == [*TASK.goals]
    floor = [s for s in scene.static if s.role == Role.FLOOR]
    assert len(floor) == int((~TASK.highway).sum())


def test_a_scene_after_the_reset_has_all_shelves(key: Key[Array, ""]):
    shapes = TASK.render(TASK.reset(key)[0]).shapes
    shelves = [s for s in shapes if isinstance(s, Square)]
    assert len(shelves) == int((~TASK.highway).sum())
    requested = [s for s in shelves if s.role == Role.TARGET]
    assert len(requested) == TASK.num_requests


def test_windows_show_what_an_agent_observes(state: Any):
    state.shelf_grid[2, 4] = 1
    obs = np.asarray(TASK.observe(jax.tree.map(jax.numpy.asarray, state)))[0]
    features = TASK.feature_names(0)
    window = TASK.obs_window(0)
    shown = {
        e.name: (e.x.offset, e.y.offset)
        for e in window.entities
        if e.opacity_index is not None and obs[e.opacity_index]
    }
    # The agent carries a shelf; another stands on the cell at its right.
    assert shown.pop("agent here") == (0, 0)
    assert shown["shelf 1 right"] == shown["requested 1 right"] == (1, 0)
    assert {f.entity for f, x in zip(features, obs, strict=True) if x} >= {
        *("itself", "here", "1 right")
    }
    (own,) = [e for e in window.entities if e.name == "agent here"]
    assert own.role == 0
