"""The warehouse: rules by hand, properties of initial states, and ids."""

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
LAYOUT = """
..........
.XX....XX.
..........
..........
"""


def make_state(
    agents: list[tuple[int, int, int, int]],
    shelves: list[tuple[int, int, int]],
    pending_reward: bool = False,
) -> WarehouseState:
    """State with agents (row, column, heading, load) and labeled shelves."""
    agent = np.array(agents, np.int32)
    shelf_grid = np.zeros((4, 10), np.int32)
    for row, column, label in shelves:
        shelf_grid[row, column] = label
    zero = jnp.zeros((), jnp.int32)
    return WarehouseState(
        position=jnp.array(agent[:, :2]),
        heading=jnp.array(agent[:, 2]),
        carried_shelf=jnp.array(agent[:, 3]),
        pending_reward=jnp.full(len(agent), pending_reward),
        shelf_grid=jnp.array(shelf_grid),
        steps_without_delivery=zero,
        time=zero + 0,
    )


def step(
    state: WarehouseState, *action: int, seed: int = 0, **changes: Any
) -> tuple[WarehouseState, TimeStep]:
    changes = {"num_agents": len(action), "request_queue_size": 1, **changes}
    task = dataclasses.replace(Warehouse.parse(SMALL), **changes)
    return jitted(task)(jax.random.key(seed), state, jnp.array(action))


@functools.cache
def jitted(task: Warehouse) -> Any:
    return jax.jit(task.step)


def positions(state: WarehouseState) -> list[tuple[int, ...]]:
    return [tuple(position) for position in state.position.tolist()]


def test_the_layout_by_hand():
    rows = LAYOUT.split()
    expected = np.array([[cell == "." for cell in row] for row in rows])
    task = Warehouse.parse(SMALL)
    np.testing.assert_array_equal(task.highway, expected)
    assert task.goals == ((3, 4), (3, 5))
    assert Warehouse.parse("rware-tiny-2ag").grid_shape == (11, 10)
    assert Warehouse.parse("rware-small-4ag").grid_shape == (20, 10)


def test_agents_turn_and_move():
    state = make_state(
        [(2, 1, NORTH, 0), (2, 5, EAST, 0), (2, 8, WEST, 0), (0, 3, SOUTH, 0)], []
    )
    after_turn, _ = step(state, LEFT, RIGHT, RIGHT, NOOP)
    assert after_turn.heading.tolist() == [WEST, SOUTH, NORTH, SOUTH]
    walked, _ = step(state, FORWARD, FORWARD, FORWARD, FORWARD)
    assert positions(walked) == [(1, 1), (2, 6), (2, 7), (1, 3)]


def test_walls_and_for_loaded_agents_standing_shelves_block():
    state = make_state(
        [(2, 1, NORTH, 0), (2, 2, NORTH, 2), (0, 0, NORTH, 0)], [(1, 1, 1), (1, 2, 3)]
    )
    walked, _ = step(state, FORWARD, FORWARD, FORWARD)
    assert positions(walked) == [(1, 1), (2, 2), (0, 0)]


def test_shelves_are_loaded_carried_and_put_down_off_the_highway():
    state = make_state([(1, 1, SOUTH, 0)], [(1, 1, 2), (1, 7, 1)])
    lifted, _ = step(state, TOGGLE_LOAD)
    assert lifted.carried_shelf.tolist() == [2]
    assert lifted.shelf_grid[1, 1] == 0
    carried, _ = step(lifted, FORWARD)
    held, _ = step(carried, TOGGLE_LOAD)
    assert held.carried_shelf.tolist() == [2]
    assert positions(held) == [(2, 1)]
    back, _ = step(lifted, TOGGLE_LOAD)
    assert back.carried_shelf.tolist() == [0]
    assert back.shelf_grid[1, 1] == 2
    nothing, _ = step(make_state([(1, 2, NORTH, 0)], []), TOGGLE_LOAD)
    assert nothing.carried_shelf.tolist() == [0]


@pytest.mark.parametrize(
    ("reward_type", "expected"),
    [("indiv", [1, 0]), ("global", [1, 1]), ("twostage", [0.5, 0])],
)
def test_a_delivery_has_a_reward_and_a_new_request(
    reward_type: str, expected: list[float]
):
    shelves = [(1, 2, 2), (1, 7, 3), (1, 8, 4)]
    state = make_state([(2, 4, SOUTH, 1), (0, 0, NORTH, 0)], shelves)
    after, timestep = step(state, FORWARD, NOOP, reward_type=reward_type)
    assert timestep.reward.tolist() == expected
    assert after.carried_shelf[0] in (2, 3, 4)
    labels = sorted(
        [*np.asarray(after.shelf_grid[after.shelf_grid > 0]), after.carried_shelf[0]]
    )
    assert labels == [1, 2, 3, 4]
    assert after.steps_without_delivery == 0
    again, timestep = step(after, NOOP, NOOP, reward_type=reward_type)
    assert timestep.reward.tolist() == [0, 0]
    assert again.steps_without_delivery == 1


def test_a_shelf_without_a_request_has_no_reward_at_a_goal():
    state = make_state([(2, 4, SOUTH, 2)], [(1, 2, 1), (1, 7, 3), (1, 8, 4)])
    after, timestep = step(state, FORWARD)
    assert timestep.reward.tolist() == [0]
    assert after.carried_shelf.tolist() == [2]


def test_in_twostage_the_second_half_is_for_putting_back():
    shelves = [(1, 2, 1), (1, 7, 3), (1, 8, 4)]
    state = make_state([(1, 1, NORTH, 2)], shelves, pending_reward=True)
    after, timestep = step(state, TOGGLE_LOAD, reward_type="twostage")
    assert timestep.reward.tolist() == [0.5]
    assert not after.pending_reward.any()
    again, _ = step(after, TOGGLE_LOAD, reward_type="twostage")
    _, timestep = step(again, TOGGLE_LOAD, reward_type="twostage")
    assert timestep.reward.tolist() == [0]


def test_the_second_goal_delivers_after_the_first():
    """The shelf that the first newly requests is at the second, and is delivered."""
    state = make_state([(3, 4, NORTH, 1), (3, 5, NORTH, 2)], [])
    task = Warehouse.parse(SMALL + "&request_queue_size=3")
    state = state._replace(
        carried_shelf=jnp.array([1, 4]),
        shelf_grid=state.shelf_grid.at[1, :2].set(jnp.array([2, 3])),
    )
    after, timestep = task.step(jax.random.key(0), state, jnp.array([NOOP, NOOP]))
    assert timestep.reward.tolist() == [1, 1]
    # 4, the only label without request, moves from the first shelf to the second and
    # back.
    assert after.carried_shelf.tolist() == [1, 4]


def resolve(cells: list[tuple[int, int]]) -> list[bool]:
    """Which agents move, for (start, target) of each agent."""
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
        # Agent 0 adds agent 2's cell to the graph before agent 1 adds its own.
        ([(5, 3), (1, 9), (3, 9), (4, 1)], [True, False, True, False]),
        ([(1, 2), (2, 3), (3, 4), (4, 5), (5, 6)], [True] * 5),
        ([(1, 2), (2, 3), (3, 4), (4, 5), (5, 5)], [False] * 5),
    ],
)
def test_resolve_moves(cells: list[tuple[int, int]], moves: list[bool]):
    assert resolve(cells) == moves


CASES = st.integers(1, 9).flatmap(
    lambda agents: st.tuples(
        st.permutations(range(12)).map(lambda cells: cells[:agents]),
        st.lists(st.integers(0, 11), min_size=agents, max_size=agents),
    )
)


@given(CASES)
@settings(max_examples=100)
def test_agents_never_share_a_cell_or_swap(case: tuple[list[int], list[int]]):
    size = len(case[0])
    padding = [100 + i for i in range(9 - size)]
    start, target = np.array(case[0] + padding), np.array(case[1] + padding)
    moves = np.asarray(jax.jit(resolve_moves)(start, target))
    after = np.where(moves, target, start)
    assert len(set(after)) == 9
    assert not moves[start == target].any()
    swaps = (after[:, None] == start) & (after == start[:, None])
    assert not (swaps & moves[:, None]).any()
    # Every free target cell is entered by an agent.
    free = set(target) - set(start)
    assert free <= set(after)


def test_an_observation_by_hand():
    state = make_state(
        [(1, 1, SOUTH, 2), (1, 2, WEST, 0)], [(1, 2, 1), (1, 7, 3), (1, 8, 4)]
    )
    _, timestep = step(state, NOOP, NOOP)
    empty = [0, 1, 0, 0, 0, 0, 0]
    first = [1, 1, 1, 0, 1, 0, 0, 0]  # column, row, loaded, down, off the highway
    first += 4 * empty + [1, 0, 1, 0, 0, 1, 0] + [1, 0, 0, 1, 0, 1, 1] + 3 * empty
    second = [2, 1, 0, 0, 0, 1, 0, 0]
    second += 3 * empty + [1, 0, 1, 0, 0, 1, 0] + [1, 0, 0, 1, 0, 1, 1] + 4 * empty
    np.testing.assert_array_equal(timestep.obs, [first, second])
    assert timestep.obs.shape == (2, 71)


@pytest.mark.parametrize(
    ("limit", "steps"), [("time_limit", 3), ("max_inactivity_steps", 2)]
)
def test_an_episode_is_truncated_at_its_limits(limit: str, steps: int):
    state, truncated = make_state([(0, 0, NORTH, 0)], [(1, 1, 1), (1, 2, 2)]), []
    for _ in range(steps):
        state, timestep = step(state, NOOP, **{limit: steps})
        assert not timestep.terminated
        truncated.append(bool(timestep.truncated))
    assert truncated == [False] * (steps - 1) + [True]


@pytest.mark.parametrize("id", [SMALL, "rware-tiny-4ag-easy", "rware-large-1ag"])
def test_initial_states(id: str):
    task = Warehouse.parse(id)
    keys = jax.random.split(jax.random.key(0), 50)
    state, obs = jax.device_get(jax.jit(jax.vmap(task.reset))(keys))
    shelves = int((~task.highway).sum())
    assert obs.shape == (50, task.num_agents, task.obs_dim)
    for shelf_grid, position in zip(state.shelf_grid, state.position, strict=True):
        assert sorted(shelf_grid[~task.highway]) == list(range(1, shelves + 1))
        assert not shelf_grid[task.highway].any()
        assert len({tuple(cell) for cell in position}) == task.num_agents
        assert (position < task.grid_shape).all()
    assert set(state.heading.ravel()) == {NORTH, EAST, SOUTH, WEST}
    assert not state.carried_shelf.any()


@pytest.mark.parametrize(
    ("id", "requests"),
    [
        ("rware-tiny-2ag-hard", 1),
        ("rware-small-5ag-hard", 2),
        ("rware-medium-4ag", 4),
        ("rware-large-8ag-easy", 16),
        ("rware-1x7-2ag-global", 2),
        ("rware-tiny-2ag?request_queue_size=5&sensor_range=2&time_limit=100", 5),
        ("rware-tiny-3ag-easy-twostage?column_height=3&max_inactivity_steps=9", 6),
    ],
)
def test_id_round_trip(id: str, requests: int):
    task = Warehouse.parse(id)
    assert task.num_requests == requests
    assert Warehouse.parse(task.id) == task
    assert sorted(task.id.split("?")[-1].split("&")) == sorted(
        id.split("?")[-1].split("&")
    )


@pytest.mark.parametrize(
    ("original", "canonical"),
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
def test_all_names_of_the_original_are_accepted(original: str, canonical: str):
    assert Warehouse.parse(original).id == canonical


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
        ("rware-tiny-101ag", "num_agents is 101; expected 1 to 100"),
        ("rware-tiny-2ag?sensor_range=0", "sensor_range is 0; expected 1 to 11"),
        ("rware-tiny-2ag?view=2", "unknown task parameter 'view'"),
        ("rware-2s-tiny-2ag?sensor_range=2", "sensor_range is given twice"),
        (
            "rware-tiny-2ag-hard?request_queue_size=1",
            "request_queue_size is given twice",
        ),
    ],
)
def test_an_invalid_id_is_reported_with_the_nearest(id: str, message: str):
    with pytest.raises(InvalidInputError, match=message) as error:
        Warehouse.parse(id)
    assert "\n" not in str(error.value)
    for nearest in re.findall("e.g. (rware[^ ]*)$", str(error.value)):
        Warehouse.parse(nearest)
