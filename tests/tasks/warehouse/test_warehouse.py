"""The warehouse's rules by hand, its floors by property, its ids there and back."""

import dataclasses
import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syntony.errors import InvalidInputError
from syntony.tasks.task import TimeStep
from syntony.tasks.warehouse.rules import (
    EAST,
    FORWARD,
    LEFT,
    NOOP,
    NORTH,
    RIGHT,
    SOUTH,
    TOGGLE_LOAD,
    WEST,
    Warehouse,
    WarehouseState,
)
from syntony.tasks.warehouse.traffic import resolve_moves

# 4 rows by 10 columns; shelves at (1, 1), (1, 2), (1, 7), (1, 8); goals (3, 4), (3, 5).
SMALL = "rware-1x3-2ag?column_height=1"
PLAN = """
..........
.XX....XX.
..........
..........
"""


def state(
    agents: list[tuple[int, int, int, int]],
    shelves: list[tuple[int, int, int]],
    owed: bool = False,
) -> WarehouseState:
    """Returns a floor with agents (row, column, heading, load) and labelled shelves."""
    agent = np.array(agents, np.int32)
    standing = np.zeros((4, 10), np.int32)
    for row, column, label in shelves:
        standing[row, column] = label
    clock = jnp.zeros((), jnp.int32)
    return WarehouseState(
        position=jnp.array(agent[:, :2]),
        heading=jnp.array(agent[:, 2]),
        carried_shelf=jnp.array(agent[:, 3]),
        pending_reward=jnp.full(len(agent), owed),
        shelf_grid=jnp.array(standing),
        steps_without_delivery=clock,
        time=clock + 0,
    )


def step(
    floor: WarehouseState, *action: int, seed: int = 0, **changes: Any
) -> tuple[WarehouseState, TimeStep]:
    changes = {"agents": len(action), "request_queue_size": 1, **changes}
    task = dataclasses.replace(Warehouse.parse(SMALL), **changes)
    return jitted(task)(jax.random.key(seed), floor, jnp.array(action))


@functools.cache
def jitted(task: Warehouse) -> Any:
    return jax.jit(task.step)


def places(floor: WarehouseState) -> list[tuple[int, ...]]:
    return [tuple(place) for place in floor.position.tolist()]


def test_the_floor_is_as_drawn():
    rows = PLAN.split()
    drawn = np.array([[cell == "." for cell in row] for row in rows])
    task = Warehouse.parse(SMALL)
    np.testing.assert_array_equal(task.highway, drawn)
    assert task.goals == ((3, 4), (3, 5))
    assert Warehouse.parse("rware-tiny-2ag").grid_shape == (11, 10)
    assert Warehouse.parse("rware-small-4ag").grid_shape == (20, 10)


def test_agents_turn_and_walk():
    floor = state(
        [(2, 1, NORTH, 0), (2, 5, EAST, 0), (2, 8, WEST, 0), (0, 3, SOUTH, 0)], []
    )
    turned, _ = step(floor, LEFT, RIGHT, RIGHT, NOOP)
    assert turned.heading.tolist() == [WEST, SOUTH, NORTH, SOUTH]
    walked, _ = step(floor, FORWARD, FORWARD, FORWARD, FORWARD)
    assert places(walked) == [(1, 1), (2, 6), (2, 7), (1, 3)]


def test_walls_and_standing_shelves_stop_but_only_who_carries():
    floor = state(
        [(2, 1, NORTH, 0), (2, 2, NORTH, 2), (0, 0, NORTH, 0)], [(1, 1, 1), (1, 2, 3)]
    )
    walked, _ = step(floor, FORWARD, FORWARD, FORWARD)
    assert places(walked) == [(1, 1), (2, 2), (0, 0)]


def test_shelves_are_lifted_carried_and_put_down_off_the_highway():
    floor = state([(1, 1, SOUTH, 0)], [(1, 1, 2), (1, 7, 1)])
    lifted, _ = step(floor, TOGGLE_LOAD)
    assert lifted.carried_shelf.tolist() == [2]
    assert lifted.shelf_grid[1, 1] == 0
    carried, _ = step(lifted, FORWARD)
    held, _ = step(carried, TOGGLE_LOAD)
    assert held.carried_shelf.tolist() == [2]
    assert places(held) == [(2, 1)]
    back, _ = step(lifted, TOGGLE_LOAD)
    assert back.carried_shelf.tolist() == [0]
    assert back.shelf_grid[1, 1] == 2
    nothing, _ = step(state([(1, 2, NORTH, 0)], []), TOGGLE_LOAD)
    assert nothing.carried_shelf.tolist() == [0]


@pytest.mark.parametrize(
    ("reward", "paid"),
    [("indiv", [1, 0]), ("global", [1, 1]), ("twostage", [0.5, 0])],
)
def test_a_delivery_pays_and_asks_for_another_shelf(reward: str, paid: list[float]):
    shelves = [(1, 2, 2), (1, 7, 3), (1, 8, 4)]
    floor = state([(2, 4, SOUTH, 1), (0, 0, NORTH, 0)], shelves)
    after, answer = step(floor, FORWARD, NOOP, reward=reward)
    assert answer.reward.tolist() == paid
    assert after.carried_shelf[0] in (2, 3, 4)
    labels = sorted(
        [*np.asarray(after.shelf_grid[after.shelf_grid > 0]), after.carried_shelf[0]]
    )
    assert labels == [1, 2, 3, 4]
    assert after.steps_without_delivery == 0
    again, answer = step(after, NOOP, NOOP, reward=reward)
    assert answer.reward.tolist() == [0, 0]
    assert again.steps_without_delivery == 1


def test_a_shelf_not_asked_for_pays_nothing_at_a_goal():
    floor = state([(2, 4, SOUTH, 2)], [(1, 2, 1), (1, 7, 3), (1, 8, 4)])
    after, answer = step(floor, FORWARD)
    assert answer.reward.tolist() == [0]
    assert after.carried_shelf.tolist() == [2]


def test_in_two_stages_the_second_half_is_for_putting_back():
    shelves = [(1, 2, 1), (1, 7, 3), (1, 8, 4)]
    floor = state([(1, 1, NORTH, 2)], shelves, owed=True)
    after, answer = step(floor, TOGGLE_LOAD, reward="twostage")
    assert answer.reward.tolist() == [0.5]
    assert not after.pending_reward.any()
    again, _ = step(after, TOGGLE_LOAD, reward="twostage")
    _, answer = step(again, TOGGLE_LOAD, reward="twostage")
    assert answer.reward.tolist() == [0]


def test_the_second_goal_is_served_after_the_first():
    """What the first asks for anew stands on the second, and is delivered at once."""
    floor = state([(3, 4, NORTH, 1), (3, 5, NORTH, 2)], [])
    task = Warehouse.parse(SMALL + "&request_queue_size=3")
    floor = floor._replace(
        carried_shelf=jnp.array([1, 4]),
        shelf_grid=floor.shelf_grid.at[1, :2].set(jnp.array([2, 3])),
    )
    after, answer = task.step(jax.random.key(0), floor, jnp.array([NOOP, NOOP]))
    assert answer.reward.tolist() == [1, 1]
    # 4, the only label left, goes from the first shelf to the second, and back.
    assert after.carried_shelf.tolist() == [1, 4]


def rounds(cells: list[tuple[int, int]]) -> list[bool]:
    """Returns who advances, for (start, target) of each agent."""
    start, target = jnp.array(cells).T
    return resolve_moves(start, target).tolist()


@pytest.mark.parametrize(
    ("cells", "moves"),
    [
        ([(1, 2)], [True]),
        ([(1, 2), (2, 3)], [True, True]),
        ([(1, 2), (2, 2)], [False, False]),
        ([(1, 2), (2, 1)], [False, False]),
        ([(1, 2), (2, 1), (3, 1)], [False] * 3),
        ([(1, 2), (2, 3), (3, 1)], [True] * 3),
        ([(4, 2), (1, 2), (2, 3), (3, 1)], [False, True, True, True]),
        ([(1, 9), (2, 9)], [True, False]),
        ([(1, 9), (2, 9), (3, 2)], [False, True, True]),
        ([(1, 9), (2, 9), (3, 1), (4, 2)], [True, False, True, False]),
        # Agent 0 names agent 2's cell before agent 1 names its own.
        ([(5, 3), (1, 9), (3, 9), (4, 1)], [True, False, True, False]),
        ([(1, 2), (2, 3), (3, 4), (4, 5), (5, 6)], [True] * 5),
        ([(1, 2), (2, 3), (3, 4), (4, 5), (5, 5)], [False] * 5),
    ],
)
def test_who_advances(cells: list[tuple[int, int]], moves: list[bool]):
    assert rounds(cells) == moves


CASES = st.integers(1, 9).flatmap(
    lambda agents: st.tuples(
        st.permutations(range(12)).map(lambda cells: cells[:agents]),
        st.lists(st.integers(0, 11), min_size=agents, max_size=agents),
    )
)


@given(CASES)
@settings(max_examples=100)
def test_no_two_end_on_one_cell_and_no_two_swap(case: tuple[list[int], list[int]]):
    size = len(case[0])
    pad = [100 + spare for spare in range(9 - size)]
    start, target = np.array(case[0] + pad), np.array(case[1] + pad)
    moves = np.asarray(jax.jit(resolve_moves)(start, target))
    after = np.where(moves, target, start)
    assert len(set(after)) == 9
    assert not moves[start == target].any()
    swaps = (after[:, None] == start) & (after == start[:, None])
    assert not (swaps & moves[:, None]).any()
    # Somebody always enters a free cell that somebody wants.
    free = set(target) - set(start)
    assert free <= set(after)


def test_an_observation_by_hand():
    floor = state(
        [(1, 1, SOUTH, 2), (1, 2, WEST, 0)], [(1, 2, 1), (1, 7, 3), (1, 8, 4)]
    )
    _, answer = step(floor, NOOP, NOOP)
    nothing = [0, 1, 0, 0, 0, 0, 0]
    first = [1, 1, 1, 0, 1, 0, 0, 0]  # column, row, loaded, down, off the highway
    first += 4 * nothing + [1, 0, 1, 0, 0, 1, 0] + [1, 0, 0, 1, 0, 1, 1] + 3 * nothing
    second = [2, 1, 0, 0, 0, 1, 0, 0]
    second += 3 * nothing + [1, 0, 1, 0, 0, 1, 0] + [1, 0, 0, 1, 0, 1, 1] + 4 * nothing
    np.testing.assert_array_equal(answer.obs, [first, second])
    assert answer.obs.shape == (2, 71)


@pytest.mark.parametrize(("limit", "ends"), [("time_limit", 3), ("max_inactivity", 2)])
def test_an_episode_is_cut_at_its_limits(limit: str, ends: int):
    floor, times = state([(0, 0, NORTH, 0)], [(1, 1, 1), (1, 2, 2)]), []
    for _ in range(ends):
        floor, answer = step(floor, NOOP, **{limit: ends})
        assert not answer.terminated
        times.append(bool(answer.truncated))
    assert times == [False] * (ends - 1) + [True]


@pytest.mark.parametrize("id", [SMALL, "rware-tiny-4ag-easy", "rware-large-1ag"])
def test_a_fresh_floor(id: str):
    task = Warehouse.parse(id)
    keys = jax.random.split(jax.random.key(0), 50)
    floor, obs = jax.device_get(jax.jit(jax.vmap(task.reset))(keys))
    shelves = int((~task.highway).sum())
    assert obs.shape == (50, task.num_agents, task.obs_dim)
    for standing, position in zip(floor.shelf_grid, floor.position, strict=True):
        assert sorted(standing[~task.highway]) == list(range(1, shelves + 1))
        assert not standing[task.highway].any()
        assert len({tuple(place) for place in position}) == task.num_agents
        assert (position < task.grid_shape).all()
    assert set(floor.heading.ravel()) == {NORTH, EAST, SOUTH, WEST}
    assert not floor.load.any()


@pytest.mark.parametrize(
    ("id", "requests"),
    [
        ("rware-tiny-2ag-hard", 1),
        ("rware-small-5ag-hard", 2),
        ("rware-medium-4ag", 4),
        ("rware-large-8ag-easy", 16),
        ("rware-1x7-2ag-global", 2),
        ("rware-tiny-2ag?request_queue_size=5&sensor_range=2&time_limit=100", 5),
        ("rware-tiny-3ag-easy-twostage?column_height=3&max_inactivity=9", 6),
    ],
)
def test_an_id_there_and_back(id: str, requests: int):
    task = Warehouse.parse(id)
    assert task.num_requests == requests
    assert Warehouse.parse(task.id) == task
    assert sorted(task.id.split("?")[-1].split("&")) == sorted(
        id.split("?")[-1].split("&")
    )


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (
            "rware-2s-tiny-9h-4ag-hard",
            "rware-tiny-4ag-hard?column_height=9&sensor_range=2",
        ),
        ("rware-1x3-8h-2ag-3req-indiv", "rware-tiny-2ag?request_queue_size=3"),
        (
            "rware-4x9-8h-2ag-1req-twostage",
            "rware-4x9-2ag-twostage?request_queue_size=1",
        ),
    ],
)
def test_the_originals_longer_ids_are_read(theirs: str, ours: str):
    assert Warehouse.parse(theirs).id == ours


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("rware-tiny-2ag-v2", r"has a version; expected rware-tiny-2ag \("),
        ("rware-tiny", r"names no warehouse; expected rware-.*, e.g. rware-tiny-2ag$"),
        ("rware-img-small-4ag-hard", "e.g. rware-small-4ag-hard$"),
        ("rware-huge-0ag", "e.g. rware-tiny-2ag$"),
        (
            "rware-tiny-1ag-hard",
            "asks for 0 shelves; expected 1 to 31, e.g. rware-tiny-1ag",
        ),
        ("rware-tiny-19ag-easy", "asks for 38 shelves; expected 1 to 31"),
        (
            "rware-1x4-2ag",
            "shelf_columns is 4; expected an odd number, e.g. rware-tiny-2ag",
        ),
        ("rware-1x1-2ag", "shelf_columns is 1; expected 3 to 101, e.g. rware-tiny-2ag"),
        ("rware-tiny-101ag", "agents is 101; expected 1 to 100"),
        ("rware-tiny-2ag?sensor_range=0", "sensor_range is 0; expected 1 to 11"),
        ("rware-tiny-2ag?view=2", "unknown task parameter 'view'"),
        ("rware-2s-tiny-2ag?sensor_range=2", "sensor_range is given twice"),
        (
            "rware-tiny-2ag-hard?request_queue_size=1",
            "request_queue_size is given twice",
        ),
    ],
)
def test_a_wrong_id_gets_the_nearest(id: str, message: str):
    with pytest.raises(InvalidInputError, match=message) as error:
        Warehouse.parse(id)
    assert "\n" not in str(error.value)
    for near in re.findall("e.g. (rware[^ ]*)$", str(error.value)):
        Warehouse.parse(near)
