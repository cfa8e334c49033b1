"""Foraging: rules by hand, properties of initial boards, and ids."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Array, Key

from syntony.errors import InvalidInputError
from syntony.tasks.foraging.rules import (
    EAST,
    LOAD,
    NONE,
    NORTH,
    SOUTH,
    WEST,
    Foraging,
    ForagingState,
)
from syntony.tasks.task import TimeStep

ID = "Foraging-2s-8x8-3p-2f-coop"


def state(
    agents: list[tuple[int, int, int]], foods: list[tuple[int, int, int]], time: int = 0
) -> ForagingState:
    """Board with agents and foods at (row, column, level)."""
    agent, food = jnp.array(agents, jnp.int32), jnp.array(foods, jnp.int32)
    return ForagingState(
        position=agent[:, :2],
        level=agent[:, 2],
        food_position=food[:, :2],
        food_level=food[:, 2],
        total_food_level=jnp.sum(food[:, 2]),
        time=jnp.array(time, jnp.int32),
    )


def step(
    board: ForagingState, *action: int, **parameters
) -> tuple[ForagingState, TimeStep]:
    players, foods = len(board.level), len(board.food_level)
    task = Foraging(size=6, players=players, foods=foods, sight=6, coop=False)
    task = dataclasses.replace(task, **parameters)
    return jitted(task.step)(jax.random.key(0), board, jnp.array(action))


@functools.cache
def jitted(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method of a task as one program: op by op, hundreds are compiled."""
    return jax.jit(method)


def positions(board: ForagingState) -> list[tuple[int, ...]]:
    return [tuple(position) for position in board.position.tolist()]


FAR = (4, 4, 3)
"""A food that no agent reaches."""


def test_agents_move_in_four_directions_and_stay():
    board = state([(1, 1, 1), (2, 4, 1), (1, 3, 1), (4, 1, 1), (0, 0, 1)], [FAR])
    after, _ = step(board, NORTH, SOUTH, WEST, EAST, NONE)
    assert positions(after) == [(0, 1), (3, 4), (1, 2), (4, 2), (0, 0)]


def test_walls_and_food_block():
    board = state([(0, 0, 1), (5, 5, 1), (4, 3, 1), (3, 4, 1)], [FAR])
    after, _ = step(board, NORTH, EAST, EAST, SOUTH)
    assert positions(after) == positions(board)


def test_a_loaded_food_does_not_block():
    after, _ = step(state([(4, 3, 1)], [(4, 4, 0)]), EAST)
    assert positions(after) == [(4, 4)]


@pytest.mark.parametrize("other", [WEST, NONE, LOAD])
def test_agents_with_the_same_target_stay(other: int):
    column = 2 if other == WEST else 1
    after, _ = step(state([(0, 0, 1), (0, column, 1)], [FAR]), EAST, other)
    assert positions(after) == [(0, 0), (0, column)]


def test_agents_can_swap_and_follow():
    board = state([(0, 0, 1), (0, 1, 1), (2, 0, 1), (2, 1, 1)], [FAR])
    after, _ = step(board, EAST, WEST, EAST, EAST)
    assert positions(after) == [(0, 1), (0, 0), (2, 1), (2, 2)]


def test_two_agents_share_a_cell_if_its_occupant_is_blocked():
    # The third agent blocks the second; the first enters the cell of the second.
    after, _ = step(state([(0, 0, 1), (0, 1, 1), (0, 2, 1)], [FAR]), EAST, EAST, NONE)
    assert positions(after) == [(0, 1), (0, 1), (0, 2)]


def test_reward_is_shared_by_level():
    # Levels 1 + 2 load a food of level 3, a third of all 9.
    board = state([(1, 2, 1), (2, 1, 2), (2, 3, 3)], [(2, 2, 3), (4, 4, 6)])
    after, timestep = step(board, LOAD, LOAD, NONE)
    np.testing.assert_allclose(timestep.reward, [1 / 9, 2 / 9, 0], rtol=1e-6)
    assert after.food_level.tolist() == [0, 6]
    assert not timestep.terminated


def test_excess_level_shares_the_same_reward():
    # 3 + 3 load 4: each receives half of the only food.
    board = state([(1, 2, 3), (2, 1, 3)], [(2, 2, 4)])
    after, timestep = step(board, LOAD, LOAD)
    assert timestep.reward.tolist() == [0.5, 0.5]
    assert after.food_level.tolist() == [0]
    assert timestep.terminated


def test_only_loading_agents_have_the_penalty():
    board = state([(1, 2, 1), (2, 1, 2), (0, 0, 3)], [(2, 2, 3)])
    after, timestep = step(board, LOAD, NONE, LOAD, penalty=0.25)
    assert timestep.reward.tolist() == [-0.25, 0, 0]
    assert after.food_level.tolist() == [3]


def test_two_foods_can_be_loaded_at_once():
    # One load succeeds, one fails: a reward of 1 / 3, and the penalty.
    board = state([(1, 2, 1), (4, 3, 1)], [(1, 1, 1), (4, 4, 2)])
    after, timestep = step(board, LOAD, LOAD, penalty=0.5)
    np.testing.assert_allclose(timestep.reward, [1 / 3, -0.5], rtol=1e-6)
    assert after.food_level.tolist() == [0, 2]


def test_food_is_not_loaded_diagonally():
    _, timestep = step(state([(1, 1, 3)], [(2, 2, 1)]), LOAD, penalty=1.0)
    assert timestep.reward.tolist() == [0]


@pytest.mark.parametrize(("time", "truncated"), [(8, False), (9, True)])
def test_the_time_limit_truncates(time: int, truncated: bool):
    _, timestep = step(state([(0, 0, 1)], [FAR], time), NONE, time_limit=10)
    assert (bool(timestep.terminated), bool(timestep.truncated)) == (False, truncated)


def test_the_last_food_at_the_time_limit_terminates():
    _, timestep = step(state([(1, 2, 3)], [(2, 2, 3)], 9), LOAD, time_limit=10)
    assert (bool(timestep.terminated), bool(timestep.truncated)) == (True, False)


def test_a_board_without_food_terminates_without_reward():
    _, timestep = step(state([(1, 1, 1)], [(6, 6, 0)]), LOAD, penalty=1.0)
    assert timestep.terminated
    assert timestep.reward.tolist() == [0]


def observe(board: ForagingState, sight: int, size: int = 9) -> list[list[int]]:
    players, foods = len(board.level), len(board.food_level)
    task = Foraging(size=size, players=players, foods=foods, sight=sight, coop=False)
    return jitted(task.observe)(board).astype(int).tolist()


def test_the_example_in_the_documentation():
    board = state([(4, 3, 2), (6, 5, 1), (1, 7, 3)], [(6, 4, 3), (3, 2, 1)])
    first, _, _ = observe(board, sight=2, size=8)
    foods, agents = [1, 1, 1, 4, 3, 3], [2, 2, 2, 4, 4, 1, -1, -1, 0]
    assert first == foods + agents


def test_positions_are_relative_to_the_clipped_window():
    # The agent at (1, 0) is at (1, 0) of its own window, not at its centre (2, 2).
    assert observe(state([(1, 0, 2)], [(3, 2, 1)]), sight=2) == [[3, 2, 1, 1, 0, 2]]


def test_agents_but_not_food_are_visible_beyond_sight_at_the_low_border():
    corner, other = observe(state([(0, 0, 1), (4, 4, 2)], [(3, 3, 1)]), sight=2)
    assert corner == [-1, -1, 0, 0, 0, 1, 4, 4, 2]
    assert other == [1, 1, 1, 2, 2, 2, -1, -1, 0]


def test_visible_agents_are_packed_after_the_observer():
    board = state([(4, 4, 1), (8, 8, 2), (4, 5, 3), (5, 4, 2)], [(1, 1, 1)])
    third = np.reshape(observe(board, sight=1)[2], (-1, 3))[1:]
    assert third.tolist() == [[1, 1, 3], [1, 0, 1], [2, 0, 2], [-1, -1, 0]]


def test_every_action_is_available():
    task = Foraging.parse(ID)
    board, obs = jitted(task.reset)(jax.random.key(0))
    assert task.action_mask(board).all()
    assert task.action_mask(board).shape == (task.num_agents, task.num_actions)
    assert obs.shape == (task.num_agents, task.obs_dim)


def test_a_penalty_can_be_traced(key: Key[Array, ""]):
    board = state([(1, 2, 1)], [(2, 2, 3)])

    def traced_reward(task: Foraging) -> Array:
        assert task.id.endswith("?penalty=traced")
        return task.step(key, board, jnp.array([LOAD]))[1].reward

    task = Foraging(size=6, players=1, foods=1, sight=2, coop=True)
    task = dataclasses.replace(task, penalty=0.5)
    assert jax.jit(traced_reward)(task).tolist() == [-0.5]


LAYOUTS = (
    "Foraging-8x8-3p-2f-coop",
    "Foraging-5x5-2p-4f",
    "Foraging-7x7-9p-4f-coop?max_player_level=2",
    "Foraging-3x3-8p-1f",
    "Foraging-12x12-2p-9f?min_player_level=2&max_player_level=5",
)


@pytest.fixture(scope="module", params=LAYOUTS)
def spawned(request: pytest.FixtureRequest) -> tuple[Foraging, ForagingState]:
    task = Foraging.parse(request.param)
    keys = jax.random.split(jax.random.key(0), 500)
    boards, _ = jax.jit(jax.vmap(task.reset))(keys)
    return task, jax.device_get(boards)


Spawned = tuple[Foraging, ForagingState]


def distances(a: Any, b: Any) -> np.ndarray:
    return np.abs(a[:, :, None] - b[:, None]).sum(-1)


def cells(size: int) -> np.ndarray:
    return np.array(list(itertools.product(range(size), repeat=2)))


def test_no_cell_is_adjacent_to_two_foods(spawned: Spawned):
    task, boards = spawned
    adjacent = distances(cells(task.size)[None], boards.food_position) == 1
    assert (adjacent & (boards.food_level > 0)[:, None]).sum(-1).max() == 1


def test_agents_and_foods_are_in_different_cells(spawned: Spawned):
    task, boards = spawned
    agents, foods = boards.position, boards.food_position
    spawned_food = boards.food_level > 0
    assert ((agents >= 0) & (agents < task.size)).all()
    assert ((foods > 0) & (foods < task.size - 1))[spawned_food].all()
    assert (distances(agents, agents) == 0).sum() == agents[..., 0].size
    assert not ((distances(agents, foods) == 0) & spawned_food[:, None]).any()


def test_a_food_is_missing_only_without_a_legal_cell(spawned: Spawned):
    task, boards = spawned
    board = cells(task.size)
    inner = ((board > 0) & (board < task.size - 1)).all(-1)
    spawned_food = (boards.food_level > 0)[:, None]
    taken = (distances(board[None], boards.position) == 0).any(-1)
    near = ((distances(board[None], boards.food_position) <= 2) & spawned_food).any(-1)
    legal = (inner & ~taken & ~near).any(-1)
    assert not legal[~spawned_food.all((1, 2))].any()


def test_levels_are_within_their_limits(spawned: Spawned):
    task, boards = spawned
    assert boards.level.min() == task.min_player_level
    assert boards.level.max() == task.max_player_level
    max_level = np.sort(boards.level)[:, :3].sum(-1, keepdims=True)
    spawned_food = boards.food_level > 0
    assert (boards.food_level <= max_level).all()
    assert not task.coop or (boards.food_level == max_level)[spawned_food].all()
    assert (boards.total_food_level == boards.food_level.sum(-1)).all()


@st.composite
def tasks(draw: st.DrawFn) -> Foraging:
    size = draw(st.integers(3, 30))
    foods = draw(st.integers(1, (size - 2) ** 2))
    min_level = draw(st.integers(1, 9))
    return Foraging(
        size=size,
        players=draw(st.integers(1, size**2 - foods)),
        foods=foods,
        sight=draw(st.integers(1, size)),
        coop=draw(st.booleans()),
        min_player_level=min_level,
        max_player_level=draw(st.integers(min_level, 12)),
        penalty=draw(st.floats(0, 1e6)),
        time_limit=draw(st.integers(1, 1000)),
    )


@settings(deadline=None)
@given(tasks())
def test_id_round_trip(task: Foraging):
    assert Foraging.parse(task.id) == task


@settings(deadline=None)
@given(st.text() | st.from_regex(r"Foraging[-0-9sxpfco]*(\?[a-z_]*=?[-0-9.e]*)?"))
def test_a_malformed_id_is_reported_in_one_line(id: str):
    try:
        text = Foraging.parse(id).id
    except InvalidInputError as error:
        text = str(error)
    assert text.isprintable()


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("Foraging-8x8-3p", "names no foraging task; expected Foraging[-{sight}s]-"),
        ("Foraging-8x8-2p-2f-2s-c", "e.g. Foraging-2s-8x8-2p-2f-coop"),
        ("Foraging-8x9-3p-2f", "is not square; expected e.g. Foraging-8x8-3p-2f"),
        ("Foraging-5x5-2p-1f-v3", "Foraging-5x5-2p-1f?max_player_level=2 (as in lbf"),
        ("Foraging-0s-8x8-3p-2f", "sight is 0; expected 1 to 8, e.g. Foraging-1s-8x8"),
        ("Foraging-9s-8x8-3p-2f", "sight is 9; expected 1 to 8, e.g. Foraging-8x8-3p"),
        ("Foraging-2x2-1p-1f", "size is 2; expected 3 to 1000, e.g. Foraging-2s-3x3"),
        ("Foraging-8x8-0p-2f", "players is 0; expected 1 to 62, e.g. Foraging-8x8-1p"),
        ("Foraging-8x8-3p-0f", "foods is 0; expected 1 to 36, e.g. Foraging-8x8-3p-1f"),
        ("Foraging-3x3-1p-2f", "foods is 2; expected 1 to 1, e.g. Foraging-3x3-1p-1f"),
        ("Foraging-3x3-9p-1f", "players is 9; expected 1 to 8, e.g. Foraging-3x3-8p"),
        (f"{ID}?min_player_level=0", f"expected 1 to 1000000, e.g. {ID}"),
        (f"{ID}?min_player_level=4", "max_player_level is 3; expected 4 to 1000000"),
        (f"{ID}?time_limit=0", f"expected 1 to 1000000, e.g. {ID}?time_limit=1"),
        (f"{ID}?penalty=-1", f"penalty is -1.0; expected 0.0 to 1000000, e.g. {ID}"),
        (f"{ID}?penalty=nan", "penalty is 'nan'; expected a number, e.g. penalty=0.0"),
        (f"{ID}?time_limit=2.5", "expected a whole number, e.g. time_limit=50"),
        (f"{ID}?penlty=1", "unknown task parameter 'penlty'; did you mean 'penalty'?"),
        (f"{ID}?penalty", "'penalty' sets nothing; expected PARAMETER=VALUE, of min"),
        (f"{ID}?penalty=1&penalty=1", "penalty is given twice"),
    ],
)
def test_an_invalid_id_is_reported(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        Foraging.parse(id)


def test_configs_have_the_same_limits():
    with pytest.raises(InvalidInputError, match="sight is 9; expected 1 to 8"):
        Foraging(size=8, players=2, foods=1, sight=9, coop=False)
    with pytest.raises(InvalidInputError, match="penalty is nan; expected"):
        dataclasses.replace(Foraging.parse(ID), penalty=float("nan"))
