"""Foraging's rules by hand, its boards by property, its ids there and back."""

import dataclasses
import itertools
import re
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
    """Returns the board with these (row, column, level)."""
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
    board: ForagingState, *action: int, **settings
) -> tuple[ForagingState, TimeStep]:
    players, foods = len(board.level), len(board.food_level)
    task = Foraging(size=6, players=players, foods=foods, sight=6, coop=False)
    task = dataclasses.replace(task, **settings)
    return task.step(jax.random.key(0), board, jnp.array(action))


def places(board: ForagingState) -> list[tuple[int, ...]]:
    return [tuple(place) for place in board.position.tolist()]


FAR = (4, 4, 3)
"""A food out of everyone's way."""


def test_agents_walk_in_four_directions_and_stand():
    board = state([(1, 1, 1), (2, 4, 1), (1, 3, 1), (4, 1, 1), (0, 0, 1)], [FAR])
    after, _ = step(board, NORTH, SOUTH, WEST, EAST, NONE)
    assert places(after) == [(0, 1), (3, 4), (1, 2), (4, 2), (0, 0)]


def test_walls_and_food_are_in_the_way():
    board = state([(0, 0, 1), (5, 5, 1), (4, 3, 1), (3, 4, 1)], [FAR])
    after, _ = step(board, NORTH, EAST, EAST, SOUTH)
    assert places(after) == places(board)


def test_a_loaded_food_is_no_longer_in_the_way():
    after, _ = step(state([(4, 3, 1)], [(4, 4, 0)]), EAST)
    assert places(after) == [(4, 4)]


@pytest.mark.parametrize("other", [WEST, NONE, LOAD])
def test_none_of_several_that_want_a_cell_enters_it(other: int):
    column = 2 if other == WEST else 1
    after, _ = step(state([(0, 0, 1), (0, column, 1)], [FAR]), EAST, other)
    assert places(after) == [(0, 0), (0, column)]


def test_agents_may_swap_and_follow():
    board = state([(0, 0, 1), (0, 1, 1), (2, 0, 1), (2, 1, 1)], [FAR])
    after, _ = step(board, EAST, WEST, EAST, EAST)
    assert places(after) == [(0, 1), (0, 0), (2, 1), (2, 2)]


def test_two_share_a_cell_whose_owner_was_refused():
    # The third stands, so the second is refused; the first enters all the same.
    after, _ = step(state([(0, 0, 1), (0, 1, 1), (0, 2, 1)], [FAR]), EAST, EAST, NONE)
    assert places(after) == [(0, 1), (0, 1), (0, 2)]


def test_food_is_shared_by_level():
    # Levels 1 + 2 lift 3, a third of the 9 that were spawned.
    board = state([(1, 2, 1), (2, 1, 2), (2, 3, 3)], [(2, 2, 3), (4, 4, 6)])
    after, told = step(board, LOAD, LOAD, NONE)
    np.testing.assert_allclose(told.reward, [1 / 9, 2 / 9, 0], rtol=1e-6)
    assert after.food_level.tolist() == [0, 6]
    assert not told.terminated


def test_more_level_than_needed_shares_the_same_worth():
    # 3 + 3 lift 4: each earns half of all there was.
    board = state([(1, 2, 3), (2, 1, 3)], [(2, 2, 4)])
    after, told = step(board, LOAD, LOAD)
    assert told.reward.tolist() == [0.5, 0.5]
    assert after.food_level.tolist() == [0]
    assert told.terminated


def test_only_loaders_pay_for_a_failure():
    board = state([(1, 2, 1), (2, 1, 2), (0, 0, 3)], [(2, 2, 3)])
    after, told = step(board, LOAD, NONE, LOAD, penalty=0.25)
    assert told.reward.tolist() == [-0.25, 0, 0]
    assert after.food_level.tolist() == [3]


def test_two_foods_can_be_loaded_at_once():
    # One succeeds, one fails: 1 of 3 earned, and the penalty.
    board = state([(1, 2, 1), (4, 3, 1)], [(1, 1, 1), (4, 4, 2)])
    after, told = step(board, LOAD, LOAD, penalty=0.5)
    np.testing.assert_allclose(told.reward, [1 / 3, -0.5], rtol=1e-6)
    assert after.food_level.tolist() == [0, 2]


def test_food_is_not_loaded_across_a_corner():
    _, told = step(state([(1, 1, 3)], [(2, 2, 1)]), LOAD, penalty=1.0)
    assert told.reward.tolist() == [0]


@pytest.mark.parametrize(("time", "cut"), [(8, False), (9, True)])
def test_the_time_limit_cuts(time: int, cut: bool):
    _, told = step(state([(0, 0, 1)], [FAR], time), NONE, time_limit=10)
    assert (bool(told.terminated), bool(told.truncated)) == (False, cut)


def test_the_last_food_at_the_time_limit_is_an_end_and_no_cut():
    _, told = step(state([(1, 2, 3)], [(2, 2, 3)], 9), LOAD, time_limit=10)
    assert (bool(told.terminated), bool(told.truncated)) == (True, False)


def test_a_board_without_food_ends_at_once_and_earns_nothing():
    _, told = step(state([(1, 1, 1)], [(6, 6, 0)]), LOAD, penalty=1.0)
    assert told.terminated
    assert told.reward.tolist() == [0]


def observe(board: ForagingState, sight: int, size: int = 9) -> list[list[int]]:
    players, foods = len(board.level), len(board.food_level)
    task = Foraging(size=size, players=players, foods=foods, sight=sight, coop=False)
    return task.observe(board).astype(int).tolist()


def test_the_example_in_the_documentation():
    board = state([(4, 3, 2), (6, 5, 1), (1, 7, 3)], [(6, 4, 3), (3, 2, 1)])
    first, _, _ = observe(board, sight=2, size=8)
    foods, agents = [1, 1, 1, 4, 3, 3], [2, 2, 2, 4, 4, 1, -1, -1, 0]
    assert first == foods + agents


def test_positions_are_relative_to_the_clipped_window():
    # The agent at (1, 0) is at (1, 0) of its own window, not at its centre (2, 2).
    assert observe(state([(1, 0, 2)], [(3, 2, 1)]), sight=2) == [[3, 2, 1, 1, 0, 2]]


def test_agents_are_seen_beyond_sight_at_the_low_border_and_food_is_not():
    corner, other = observe(state([(0, 0, 1), (4, 4, 2)], [(3, 3, 1)]), sight=2)
    assert corner == [-1, -1, 0, 0, 0, 1, 4, 4, 2]
    assert other == [1, 1, 1, 2, 2, 2, -1, -1, 0]


def test_the_observer_comes_first_and_those_seen_close_up():
    board = state([(4, 4, 1), (8, 8, 2), (4, 5, 3), (5, 4, 2)], [(1, 1, 1)])
    third = np.reshape(observe(board, sight=1)[2], (-1, 3))[1:]
    assert third.tolist() == [[1, 1, 3], [1, 0, 1], [2, 0, 2], [-1, -1, 0]]


def test_every_action_may_be_chosen():
    task = Foraging.parse(ID)
    board, obs = task.reset(jax.random.key(0))
    assert task.action_mask(board).all()
    assert task.action_mask(board).shape == (task.num_agents, task.num_actions)
    assert obs.shape == (task.num_agents, task.obs_dim)


def test_a_penalty_can_be_traced(key: Key[Array, ""]):
    board = state([(1, 2, 1)], [(2, 2, 3)])

    def pay(task: Foraging) -> Array:
        assert task.id.endswith("?penalty=traced")
        return task.step(key, board, jnp.array([LOAD]))[1].reward

    task = Foraging(size=6, players=1, foods=1, sight=2, coop=True)
    task = dataclasses.replace(task, penalty=0.5)
    assert jax.jit(pay)(task).tolist() == [-0.5]


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


def steps_between(a: Any, b: Any) -> np.ndarray:
    return np.abs(a[:, :, None] - b[:, None]).sum(-1)


def cells(size: int) -> np.ndarray:
    return np.array(list(itertools.product(range(size), repeat=2)))


def test_no_cell_is_beside_two_foods(spawned: Spawned):
    task, boards = spawned
    beside = steps_between(cells(task.size)[None], boards.food_position) == 1
    assert (beside & (boards.food_level > 0)[:, None]).sum(-1).max() == 1


def test_agents_and_foods_have_cells_of_their_own(spawned: Spawned):
    task, boards = spawned
    agents, foods = boards.position, boards.food_position
    there = boards.food_level > 0
    assert ((agents >= 0) & (agents < task.size)).all()
    assert ((foods > 0) & (foods < task.size - 1))[there].all()
    assert (steps_between(agents, agents) == 0).sum() == agents[..., 0].size
    assert not ((steps_between(agents, foods) == 0) & there[:, None]).any()


def test_a_food_is_missing_only_where_no_cell_was_left(spawned: Spawned):
    task, boards = spawned
    board = cells(task.size)
    inner = ((board > 0) & (board < task.size - 1)).all(-1)
    there = (boards.food_level > 0)[:, None]
    taken = (steps_between(board[None], boards.position) == 0).any(-1)
    near = ((steps_between(board[None], boards.food_position) <= 2) & there).any(-1)
    left = (inner & ~taken & ~near).any(-1)
    assert not left[~there.all((1, 2))].any()


def test_levels_are_in_their_range(spawned: Spawned):
    task, boards = spawned
    assert boards.level.min() == task.min_player_level
    assert boards.level.max() == task.max_player_level
    most = np.sort(boards.level)[:, :3].sum(-1, keepdims=True)
    there = boards.food_level > 0
    assert (boards.food_level <= most).all()
    assert not task.coop or (boards.food_level == most)[there].all()
    assert (boards.total_food_level == boards.food_level.sum(-1)).all()


@st.composite
def tasks(draw: st.DrawFn) -> Foraging:
    size = draw(st.integers(3, 30))
    foods = draw(st.integers(1, (size - 2) ** 2))
    least = draw(st.integers(1, 9))
    return Foraging(
        size=size,
        players=draw(st.integers(1, size**2 - foods)),
        foods=foods,
        sight=draw(st.integers(1, size)),
        coop=draw(st.booleans()),
        min_player_level=least,
        max_player_level=draw(st.integers(least, 12)),
        penalty=draw(st.floats(0, 1e6)),
        time_limit=draw(st.integers(1, 1000)),
    )


@settings(deadline=None)
@given(tasks())
def test_an_id_goes_there_and_back(task: Foraging):
    assert Foraging.parse(task.id) == task


@settings(deadline=None)
@given(st.text() | st.from_regex(r"Foraging[-0-9sxpfco]*(\?[a-z_]*=?[-0-9.e]*)?"))
def test_what_cannot_be_read_is_said_in_one_line(id: str):
    try:
        task = Foraging.parse(id)
    except InvalidInputError as wrong:
        said = str(wrong)
    else:
        said = task.id
    assert said.isprintable()


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
        (f"{ID}?penalty", "'penalty' sets nothing; expected PARAMETER=NUMBER, of min"),
        (f"{ID}?penalty=1&penalty=1", "penalty is given twice"),
    ],
)
def test_what_is_wrong_with_an_id_is_said(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        Foraging.parse(id)


def test_settings_are_held_to_the_same_limits():
    with pytest.raises(InvalidInputError, match="sight is 9; expected 1 to 8"):
        Foraging(size=8, players=2, foods=1, sight=9, coop=False)
    with pytest.raises(InvalidInputError, match="penalty is nan; expected"):
        dataclasses.replace(Foraging.parse(ID), penalty=float("nan"))
