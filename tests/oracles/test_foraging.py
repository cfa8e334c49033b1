"""Foraging against lbforaging: equal steps, and equally distributed initial states.

The original iterates over loading agents in the order of a Python set, which differs
between runs. It has no effect: foods are at least three steps apart, so no agent is
adjacent to two of them and the groups that load are disjoint, as
`tests/tasks/foraging/test_foraging.py` tests on spawned boards.
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
    *("load", "joint load", "two loads at once", "failed load", "load without food"),
    *("blocked by a wall or food", "collision", "followed", "shared cell"),
    *("visible beyond sight", "invisible", "food missing", "terminated", "truncated"),
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


def positions(env: Original) -> np.ndarray:
    return np.array([player.position for player in env.players])


def levels(env: Original) -> np.ndarray:
    return np.array([player.level for player in env.players])


def board(env: Original) -> ForagingState:
    """State of the original as `ForagingState`."""
    rows, columns = np.nonzero(env.field)
    food_position = np.full((env.max_num_food, 2), env.rows)
    food_position[: len(rows)] = np.stack([rows, columns], axis=-1)
    food_level = np.zeros(env.max_num_food)
    food_level[: len(rows)] = env.field[rows, columns]
    parts: Any = positions(env), levels(env), food_position, food_level
    parts = *parts, env._food_spawned, env.current_step
    return jax.tree.map(lambda part: np.asarray(part, np.int32), ForagingState(*parts))


def field(state: ForagingState, size: int) -> np.ndarray:
    """Grid of food levels, as in the original."""
    grid = np.zeros((size, size), int)
    for (row, column), level in zip(state.food_position, state.food_level, strict=True):
        if level:
            grid[row, column] = level
    return grid


def gather(env: Original, rng: np.random.Generator) -> list[int]:
    """All agents go to one food and load, with some random actions."""
    target = np.argwhere(env.field)[0]
    return [perturb(approach(env, player, target), rng) for player in env.players]


def spread(env: Original, rng: np.random.Generator) -> list[int]:
    """Each agent goes to the food of its rank, so that several are loaded at once."""
    foods = np.argwhere(env.field)
    targets = [foods[rank % len(foods)] for rank in range(len(env.players))]
    pairs = zip(env.players, targets, strict=True)
    return [perturb(approach(env, *pair), rng) for pair in pairs]


def approach(env: Original, player: Any, target: np.ndarray) -> int:
    if env.adjacent_food(*player.position) > 0:
        return LOAD
    offset = target - player.position
    axis = int(np.argmax(np.abs(offset)))
    move = np.eye(2, dtype=int)[axis] * np.sign(offset[axis])
    return next(action for action, step in MOVES.items() if step == tuple(move))


def perturb(action: int, rng: np.random.Generator) -> int:
    return int(rng.integers(6)) if rng.random() < 0.15 else action


def random_actions(env: Original, rng: np.random.Generator) -> list[int]:
    return [int(action) for action in rng.integers(6, size=len(env.players))]


class Comparison:
    """Steps the original and ours in parallel; counts differences and events.

    Args:
        task: our task.
        reference: parameters of the original; others, to test the comparison itself.
    """

    def __init__(self, task: Foraging, reference: Foraging):
        self.task = task
        self.rng = np.random.default_rng(0)
        self.envs = [original(reference) for _ in range(COPIES)]
        self.states = [reset(env, seed) for seed, env in enumerate(self.envs)]
        self.differences = collections.Counter()
        self.events = collections.Counter()

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
        return (random_actions, gather, spread)[copy % 3](self.envs[copy], self.rng)

    def compare(
        self, env: Original, action: list[int], state: ForagingState, step: TimeStep
    ) -> ForagingState:
        before, valid = board(env), valid_actions(env)
        obs, reward, done, *_ = env.step(action)
        same = {
            "position": np.array_equal(state.position, positions(env)),
            "food": np.array_equal(field(state, env.rows), env.field),
            "reward": np.allclose(step.reward, reward, rtol=0, atol=1e-6),
            "observation": np.array_equal(step.obs, np.stack(obs)),
            "end": bool(step.terminated | step.truncated) == done,
            "termination": bool(step.terminated) == (not env.field.any()),
        }
        self.differences.update(part for part, equal in same.items() if not equal)
        self.events.update(step_events(env, before, valid, np.array(action)))
        return reset(env) if done else state


def reset(env: Original, seed: int | None = None) -> ForagingState:
    env.reset(seed=seed)
    return board(env)


def valid_actions(env: Original) -> np.ndarray:
    """Mask of the actions that are valid in the original, agents by actions."""
    valid = [env._valid_actions[player] for player in env.players]
    return np.array([[a in actions for a in environment.Action] for actions in valid])


def step_events(
    env: Original, before: ForagingState, valid: np.ndarray, action: np.ndarray
) -> set[str]:
    """Names of the events of the original's last step."""
    valid_action = valid[np.arange(len(action)), action]
    loading, moving = action == LOAD, (action != LOAD) & (action != NONE)
    failed = loading & valid_action & np.array([p.reward <= 0 for p in env.players])
    earning = np.array([player.reward > 0 for player in env.players])
    foods_before = np.count_nonzero(before.food_level)
    loads = foods_before - np.count_nonzero(env.field)
    moved = (positions(env) != before.position).any(-1)
    return true_names(
        {
            "load": loads > 0,
            "joint load": earning.sum() > loads > 0,
            "two loads at once": loads > 1,
            "failed load": failed.any(),
            "load without food": (loading & ~valid_action).any(),
            "blocked by a wall or food": (moving & ~valid_action).any(),
            "collision": (moving & valid_action & ~moved).any(),
            "food missing": env.current_step == 1 and foods_before < env.max_num_food,
            "terminated": not env.field.any(),
            "truncated": env.field.any() and env.game_over,
        }
    ) | relations(env, before, moved)


def relations(env: Original, before: ForagingState, moved: np.ndarray) -> set[str]:
    """Names of the relations between the agents after the step."""
    others = ~np.eye(len(moved), dtype=bool)
    entered = (positions(env)[:, None] == before.position).all(-1) & others
    distance = np.abs(positions(env)[:, None] - positions(env))
    offset = positions(env) - np.maximum(positions(env) - env.sight, 0)[:, None]
    in_window = ((offset >= 0) & (offset <= 2 * env.sight)).all(-1)
    return true_names(
        {
            "followed": (entered & moved).any(),
            "shared cell": ((distance == 0).all(-1) & others).any(),
            "visible beyond sight": (in_window & (distance.max(-1) > env.sight)).any(),
            "invisible": (~in_window).any(),
        }
    )


def true_names(values: dict[str, Any]) -> set[str]:
    return {name for name, value in values.items() if value}


@functools.cache
def run_comparison(id: str) -> Comparison:
    task = Foraging.parse(id)
    return Comparison(task, task).run()


@pytest.mark.parametrize("id", IDS)
def test_steps_equal_the_original(id: str):
    assert not run_comparison(id).differences


def test_every_event_occurred():
    assert len(IDS) * COPIES * STEPS >= 20_000
    counts = sum((run_comparison(id).events for id in IDS), collections.Counter())
    print(dict(sorted(counts.items())))
    assert counts.keys() == EVENTS
    assert min(counts.values()) >= 10


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"sight": 1}, {"observation"}),
        ({"penalty": 0.2}, {"reward"}),
        ({"time_limit": 20}, {"end"}),
    ],
)
def test_the_comparison_detects_differences(change: dict[str, float], parts: set[str]):
    reference = Foraging.parse("Foraging-2s-6x6-3p-2f-coop?penalty=0.1")
    task = dataclasses.replace(reference, **change)
    assert Comparison(task, reference).run(24).differences.keys() == parts


SPAWNED = (
    "Foraging-6x6-2p-1f",
    "Foraging-6x6-3p-2f-coop",
    "Foraging-5x5-4p-2f?min_player_level=2&max_player_level=4",
)
BOARDS = 2_000
MIN_P_VALUE = 1e-4
"""Significance level, below which two samples are taken to differ."""


@functools.cache
def originals(id: str) -> list[ForagingState]:
    env = original(Foraging.parse(id))
    return [reset(env, seed) for seed in range(BOARDS)]


def spawn(id: str) -> list[ForagingState]:
    keys = jax.random.split(jax.random.key(0), 3 * BOARDS)
    states, _ = jax.device_get(jax.jit(jax.vmap(Foraging.parse(id).reset))(keys))
    return [ForagingState(*leaves) for leaves in zip(*states, strict=True)]


def features(state: ForagingState, rng: np.random.Generator) -> dict[str, tuple]:
    """Compared properties of a board; spawned foods are in random order."""
    spawned = rng.permutation(np.flatnonzero(state.food_level))
    first, second = spawned[0], spawned[-1]
    position, food, agent = state.position, state.food_position, len(state.level) - 1
    return {
        "first agent": tuple(position[0]),
        "last agent": tuple(position[agent]),
        "agents' offset": tuple(position[agent] - position[0]),
        "agents' levels": tuple(np.sort(state.level)),
        "foods": (len(spawned),),
        "a food": tuple(food[first]),
        "foods' offset": tuple(np.sort(np.abs(food[first] - food[second]))),
        "from agent to food": tuple(np.abs(food[first] - position[0])),
        "a food's level": (sum(sorted(state.level)[:3]), state.food_level[first]),
        "total food level": (int(state.total_food_level),),
    }


def homogeneity_p_value(theirs: list[tuple], ours: list[tuple]) -> float:
    """P-value of a chi-square test that two samples have the same distribution."""
    counts = collections.Counter(theirs), collections.Counter(ours)
    common = [value for value, n in (counts[0] + counts[1]).items() if n >= 40]
    table = np.array([[count[value] for value in common] for count in counts])
    rare = [[len(theirs)], [len(ours)]] - table.sum(1, keepdims=True)
    table = np.hstack([table, rare]) if rare.sum() else table
    if table.shape[1] < 2:
        return 1.0
    result: Any = stats.chi2_contingency(table)
    return float(result.pvalue)


def p_values(
    theirs: list[ForagingState], ours: list[ForagingState]
) -> dict[str, float]:
    rng = np.random.default_rng(0)
    samples = [[features(s, rng) for s in states] for states in (theirs, ours)]
    return {
        name: homogeneity_p_value(
            *([board[name] for board in boards] for boards in samples)
        )
        for name in samples[0][0]
    }


@pytest.mark.slow
@pytest.mark.parametrize("id", SPAWNED)
def test_initial_states_have_the_distribution_of_the_original(id: str):
    result = p_values(originals(id), spawn(id))
    print({name: round(p, 4) for name, p in result.items()})
    assert min(result.values()) > MIN_P_VALUE


@pytest.mark.parametrize(
    ("wrong", "feature"),
    [
        ("Foraging-6x6-3p-2f-coop?max_player_level=2", "agents' levels"),
        ("Foraging-6x6-3p-2f", "a food's level"),
        ("Foraging-7x7-3p-2f-coop", "a food"),
    ],
)
def test_the_distribution_test_detects_differences(wrong: str, feature: str):
    result = p_values(originals("Foraging-6x6-3p-2f-coop"), spawn(wrong))
    assert result[feature] < MIN_P_VALUE
