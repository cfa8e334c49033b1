"""Foraging against the original: the same steps to the letter, spawning in law.

The original goes through its loaders in the order of a Python set, which changes from
run to run. It cannot matter: foods keep three steps apart, so no agent is beside two
of them and the groups that load are disjoint. `tests/tasks/test_foraging.py` proves it
on spawned boards.
"""

import collections
import dataclasses
import functools
from typing import Any

import jax
import numpy as np
import pytest
from scipy import stats

from syntony.tasks.foraging.rules import LOAD, NONE, Foraging, ForagingState
from syntony.tasks.task import TimeStep

pytestmark = pytest.mark.oracle
environment = pytest.importorskip("lbforaging.foraging.environment")

Original = Any

IDS = (
    "Foraging-2s-8x8-3p-2f-coop",
    "Foraging-2s-9x9-4p-4f?min_player_level=2&max_player_level=5",
    "Foraging-2s-12x12-2p-2f?max_player_level=2",
    "Foraging-4s-11x11-3p-2f-coop",
    "Foraging-7s-20x20-5p-3f-coop",
    "Foraging-8x8-2p-3f-coop",
    "Foraging-6x6-4p-2f?penalty=0.1",
    "Foraging-1s-5x5-5p-1f",
    "Foraging-1s-7x7-3p-3f?penalty=0.25&time_limit=20",
    "Foraging-2s-5x5-2p-4f-coop?penalty=0.1",
)
COPIES = 32
STEPS = 64
MOVES = {1: (-1, 0), 2: (1, 0), 3: (0, -1), 4: (0, 1)}
EVENTS = {
    *("load", "joint load", "two loads at once", "failed load", "load of nothing"),
    *("wall or food in the way", "collision", "followed", "shared cell"),
    *("seen beyond sight", "unseen", "food missing", "terminated", "truncated"),
}


def original(task: Foraging) -> Original:
    return environment.ForagingEnv(
        players=task.players,
        min_player_level=task.min_player_level,
        max_player_level=task.max_player_level,
        min_food_level=1,
        max_food_level=None,
        field_size=(task.size, task.size),
        max_num_food=task.foods,
        sight=task.sight,
        max_episode_steps=task.time_limit,
        force_coop=task.coop,
        penalty=task.penalty,
    )


def places(env: Original) -> np.ndarray:
    return np.array([player.position for player in env.players])


def levels(env: Original) -> np.ndarray:
    return np.array([player.level for player in env.players])


def board(env: Original) -> ForagingState:
    """Returns the original's state as ours."""
    rows, columns = np.nonzero(env.field)
    food_position = np.full((env.max_num_food, 2), env.rows)
    food_position[: len(rows)] = np.stack([rows, columns], axis=-1)
    food_level = np.zeros(env.max_num_food)
    food_level[: len(rows)] = env.field[rows, columns]
    parts: Any = places(env), levels(env), food_position, food_level
    parts = *parts, env._food_spawned, env.current_step
    return jax.tree.map(lambda part: np.asarray(part, np.int32), ForagingState(*parts))


def field(state: ForagingState, size: int) -> np.ndarray:
    """Returns the original's grid of food levels."""
    grid = np.zeros((size, size), int)
    for (row, column), level in zip(state.food_position, state.food_level, strict=True):
        if level:
            grid[row, column] = level
    return grid


def gather(env: Original, rng: np.random.Generator) -> list[int]:
    """All go to one food and load there, stumbling now and then."""
    target = np.argwhere(env.field)[0]
    return [stumble(approach(env, player, target), rng) for player in env.players]


def spread(env: Original, rng: np.random.Generator) -> list[int]:
    """Each goes to the food at its rank, so that several are loaded at once."""
    foods = np.argwhere(env.field)
    targets = [foods[rank % len(foods)] for rank in range(len(env.players))]
    pairs = zip(env.players, targets, strict=True)
    return [stumble(approach(env, *pair), rng) for pair in pairs]


def approach(env: Original, player: Any, target: np.ndarray) -> int:
    if env.adjacent_food(*player.position) > 0:
        return LOAD
    away = target - player.position
    axis = int(np.argmax(np.abs(away)))
    move = np.eye(2, dtype=int)[axis] * np.sign(away[axis])
    return next(action for action, step in MOVES.items() if step == tuple(move))


def stumble(action: int, rng: np.random.Generator) -> int:
    return int(rng.integers(6)) if rng.random() < 0.15 else action


def wander(env: Original, rng: np.random.Generator) -> list[int]:
    return [int(action) for action in rng.integers(6, size=len(env.players))]


class Comparison:
    """Steps the original and ours side by side; counts what differs and happens.

    Args:
        task: ours.
        truth: what the original is told to be; the same, unless the test is tested.
    """

    def __init__(self, task: Foraging, truth: Foraging):
        self.task = task
        self.rng = np.random.default_rng(0)
        self.envs = [original(truth) for _ in range(COPIES)]
        self.states = [reset(env, seed) for seed, env in enumerate(self.envs)]
        self.differ = collections.Counter()
        self.happened = collections.Counter()

    def run(self, steps: int = STEPS) -> "Comparison":
        step = jax.jit(jax.vmap(self.task.step))
        keys = jax.random.split(jax.random.key(0), COPIES)
        for _ in range(steps):
            actions = [self.act(copy) for copy in range(COPIES)]
            batch = jax.tree.map(lambda *copies: np.stack(copies), *self.states)
            ours = jax.device_get(step(keys, batch, np.array(actions, np.int32)))
            for copy, action in enumerate(actions):
                mine = jax.tree.map(lambda leaf, copy=copy: leaf[copy], ours)
                self.states[copy] = self.compare(self.envs[copy], action, *mine)
        return self

    def act(self, copy: int) -> list[int]:
        return (wander, gather, spread)[copy % 3](self.envs[copy], self.rng)

    def compare(
        self, env: Original, action: list[int], state: ForagingState, step: TimeStep
    ) -> ForagingState:
        before, valid = board(env), valid_actions(env)
        obs, reward, done, *_ = env.step(action)
        same = {
            "position": np.array_equal(state.position, places(env)),
            "food": np.array_equal(field(state, env.rows), env.field),
            "reward": np.allclose(step.reward, reward, rtol=0, atol=1e-6),
            "observation": np.array_equal(step.obs, np.stack(obs)),
            "end": bool(step.terminated | step.truncated) == done,
            "kind of end": bool(step.terminated) == (not env.field.any()),
        }
        self.differ.update(part for part, equal in same.items() if not equal)
        self.happened.update(events(env, before, valid, np.array(action)))
        return reset(env) if done else state


def reset(env: Original, seed: int | None = None) -> ForagingState:
    env.reset(seed=seed)
    return board(env)


def valid_actions(env: Original) -> np.ndarray:
    """Returns which actions the original takes as they are, agents by actions."""
    valid = [env._valid_actions[player] for player in env.players]
    return np.array([[a in actions for a in environment.Action] for actions in valid])


def events(
    env: Original, before: ForagingState, valid: np.ndarray, action: np.ndarray
) -> set[str]:
    """Names what the original did in the step behind it."""
    allowed = valid[np.arange(len(action)), action]
    loading, walking = action == LOAD, (action != LOAD) & (action != NONE)
    failed = loading & allowed & np.array([p.reward <= 0 for p in env.players])
    earning = np.array([player.reward > 0 for player in env.players])
    foods_before = np.count_nonzero(before.food_level)
    loads = foods_before - np.count_nonzero(env.field)
    moved = (places(env) != before.position).any(-1)
    return named(
        {
            "load": loads > 0,
            "joint load": earning.sum() > loads > 0,
            "two loads at once": loads > 1,
            "failed load": failed.any(),
            "load of nothing": (loading & ~allowed).any(),
            "wall or food in the way": (walking & ~allowed).any(),
            "collision": (walking & allowed & ~moved).any(),
            "food missing": env.current_step == 1 and foods_before < env.max_num_food,
            "terminated": not env.field.any(),
            "truncated": env.field.any() and env.game_over,
        }
    ) | meetings(env, before, moved)


def meetings(env: Original, before: ForagingState, moved: np.ndarray) -> set[str]:
    """Names how the agents now stand to one another."""
    others = ~np.eye(len(moved), dtype=bool)
    entered = (places(env)[:, None] == before.position).all(-1) & others
    apart = np.abs(places(env)[:, None] - places(env))
    offset = places(env) - np.maximum(places(env) - env.sight, 0)[:, None]
    in_window = ((offset >= 0) & (offset <= 2 * env.sight)).all(-1)
    return named(
        {
            "followed": (entered & moved).any(),
            "shared cell": ((apart == 0).all(-1) & others).any(),
            "seen beyond sight": (in_window & (apart.max(-1) > env.sight)).any(),
            "unseen": (~in_window).any(),
        }
    )


def named(truths: dict[str, Any]) -> set[str]:
    return {name for name, true in truths.items() if true}


@functools.cache
def compared(id: str) -> Comparison:
    task = Foraging.parse(id)
    return Comparison(task, task).run()


@pytest.mark.parametrize("id", IDS)
def test_steps_equal_the_originals(id: str):
    assert not compared(id).differ


def test_every_kind_of_step_was_compared():
    assert len(IDS) * COPIES * STEPS >= 20_000
    happened = sum((compared(id).happened for id in IDS), collections.Counter())
    print(dict(sorted(happened.items())))
    assert happened.keys() == EVENTS
    assert min(happened.values()) >= 10


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"sight": 1}, {"observation"}),
        ({"penalty": 0.2}, {"reward"}),
        ({"time_limit": 20}, {"end"}),
    ],
)
def test_the_comparison_can_fail(change: dict[str, float], parts: set[str]):
    truth = Foraging.parse("Foraging-2s-6x6-3p-2f-coop?penalty=0.1")
    differ = Comparison(dataclasses.replace(truth, **change), truth).run(24).differ
    assert differ.keys() == parts


SPAWNED = (
    "Foraging-6x6-2p-1f",
    "Foraging-6x6-3p-2f-coop",
    "Foraging-5x5-4p-2f?min_player_level=2&max_player_level=4",
)
BOARDS = 2_000
SUSPICION = 1e-4
"""A chance below which two samples are not held to be of one law."""


@functools.cache
def originals(id: str) -> list[ForagingState]:
    env = original(Foraging.parse(id))
    return [reset(env, seed) for seed in range(BOARDS)]


def spawn(id: str) -> list[ForagingState]:
    keys = jax.random.split(jax.random.key(0), 3 * BOARDS)
    states, _ = jax.device_get(jax.jit(jax.vmap(Foraging.parse(id).reset))(keys))
    return [ForagingState(*leaves) for leaves in zip(*states, strict=True)]


def features(state: ForagingState, rng: np.random.Generator) -> dict[str, tuple]:
    """Returns what is compared of a board: only foods there, in no order of theirs."""
    there = rng.permutation(np.flatnonzero(state.food_level))
    first, second = there[0], there[-1]
    place, food, agent = state.position, state.food_position, len(state.level) - 1
    return {
        "first agent": tuple(place[0]),
        "last agent": tuple(place[agent]),
        "agents' offset": tuple(place[agent] - place[0]),
        "agents' levels": tuple(np.sort(state.level)),
        "foods": (len(there),),
        "a food": tuple(food[first]),
        "foods' offset": tuple(np.sort(np.abs(food[first] - food[second]))),
        "from agent to food": tuple(np.abs(food[first] - place[0])),
        "a food's level": (sum(sorted(state.level)[:3]), state.food_level[first]),
        "worth": (int(state.total_food_level),),
    }


def unlikeness(theirs: list[tuple], ours: list[tuple]) -> float:
    """Returns the chance that two samples of one law differ as much: chi-square."""
    counts = collections.Counter(theirs), collections.Counter(ours)
    common = [value for value, n in (counts[0] + counts[1]).items() if n >= 40]
    table = np.array([[count[value] for value in common] for count in counts])
    rare = [[len(theirs)], [len(ours)]] - table.sum(1, keepdims=True)
    table = np.hstack([table, rare]) if rare.sum() else table
    if table.shape[1] < 2:
        return 1.0
    result: Any = stats.chi2_contingency(table)
    return float(result.pvalue)


def chances(theirs: list[ForagingState], ours: list[ForagingState]) -> dict[str, float]:
    rng = np.random.default_rng(0)
    seen = [[features(s, rng) for s in states] for states in (theirs, ours)]
    return {
        name: unlikeness(*([board[name] for board in boards] for boards in seen))
        for name in seen[0][0]
    }


@pytest.mark.parametrize("id", SPAWNED)
def test_spawning_has_the_originals_law(id: str):
    found = chances(originals(id), spawn(id))
    print({name: round(chance, 4) for name, chance in found.items()})
    assert min(found.values()) > SUSPICION


@pytest.mark.parametrize(
    ("wrong", "feature"),
    [
        ("Foraging-6x6-3p-2f-coop?max_player_level=2", "agents' levels"),
        ("Foraging-6x6-3p-2f", "a food's level"),
        ("Foraging-7x7-3p-2f-coop", "a food"),
    ],
)
def test_the_law_can_fail(wrong: str, feature: str):
    found = chances(originals("Foraging-6x6-3p-2f-coop"), spawn(wrong))
    assert found[feature] < SUSPICION
