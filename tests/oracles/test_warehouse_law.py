"""What the warehouse draws has the original's law: fresh floors, and new requests."""

import collections
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from syntony.tasks.warehouse.rules import NOOP, Warehouse, WarehouseState

pytestmark = [pytest.mark.oracle, pytest.mark.slow]
environment = pytest.importorskip("rware.warehouse")

ID = "rware-1x3-3ag?column_height=2&request_queue_size=3"
FLOORS = 2_000
SUSPICION = 1e-4
"""A chance below which two samples are not held to be of one law."""

Floor = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Positions, headings from up clockwise, and the cells of the shelves asked for."""


def original() -> Any:
    reward = environment.RewardType.INDIVIDUAL
    return environment.Warehouse(3, 2, 1, 3, 0, 1, 3, None, 500, reward)


@functools.cache
def theirs() -> list[Floor]:
    env, floors = original(), []
    headings = [environment.Direction[name] for name in ("UP", "RIGHT", "DOWN", "LEFT")]
    env.reset(seed=0)
    for _ in range(FLOORS):
        env.reset()
        position = np.array([(agent.y, agent.x) for agent in env.agents])
        heading = np.array([headings.index(agent.dir) for agent in env.agents])
        asked = np.array([(shelf.y, shelf.x) for shelf in env.request_queue])
        floors.append((position, heading, asked))
    return floors


def ours(id: str) -> list[Floor]:
    task = Warehouse.parse(id)
    keys = jax.random.split(jax.random.key(0), 2 * FLOORS)
    states, _ = jax.device_get(jax.jit(jax.vmap(task.reset))(keys))
    asked = (states.shelf_grid > 0) & (states.shelf_grid <= task.num_requests)
    cells = [np.argwhere(floor) for floor in asked]
    return list(zip(states.position, states.heading, cells, strict=True))


def features(floor: Floor) -> dict[str, list]:
    """Returns what is compared of a floor; shelves asked for are in no order."""
    position, heading, asked = floor
    return {
        "first agent": [tuple(position[0])],
        "last agent": [tuple(position[2])],
        "agents' offset": [tuple(position[2] - position[0])],
        "heading": list(heading),
        "headings": [(heading[0] - heading[2]) % 4],
        "asked for": [tuple(cell) for cell in asked],
        "together": [tuple(sorted(tuple(cell) for cell in asked))],
    }


def unlikeness(theirs: list, ours: list) -> float:
    """Returns the chance that two samples of one law differ as much: chi-square."""
    counts = collections.Counter(theirs), collections.Counter(ours)
    common = [value for value, n in (counts[0] + counts[1]).items() if n >= 30]
    table = np.array([[count[value] for value in common] for count in counts])
    result: Any = stats.chi2_contingency(table)
    return float(result.pvalue)


def chances(id: str) -> dict[str, float]:
    samples = [[features(floor) for floor in floors] for floors in (theirs(), ours(id))]
    pooled = [
        {name: [one for floor in floors for one in floor[name]] for name in floors[0]}
        for floors in samples
    ]
    return {name: unlikeness(pooled[0][name], pooled[1][name]) for name in pooled[0]}


def test_fresh_floors_have_the_originals_law():
    found = chances(ID)
    print({name: round(chance, 4) for name, chance in found.items()})
    assert min(found.values()) > SUSPICION


def test_the_law_can_fail():
    wrong = ID.replace("column_height=2", "column_height=3")
    assert chances(wrong)["first agent"] < SUSPICION


def at_the_goal() -> WarehouseState:
    """Returns a floor of eight shelves; agent 0 brings the one with the label 2."""
    task = Warehouse.parse(ID)
    state, _ = task.reset(jax.random.key(0))
    label = np.zeros(task.grid_shape, int)
    label[~task.highway] = [1, 2, 3, 4, 5, 6, 7, 8]
    label[1, 2] = 0
    position = jnp.array([[*task.goals[0]], [0, 0], [0, 1]])
    load = jnp.array([2, 0, 0])
    return state._replace(
        position=position, carried_shelf=load, shelf_grid=jnp.array(label)
    )


def asked_by_us() -> np.ndarray:
    """Returns how often each other shelf, by its place, is asked for next."""
    task, state = Warehouse.parse(ID), at_the_goal()
    keys = jax.random.split(jax.random.key(1), 2 * FLOORS)
    action = jnp.full(3, NOOP)
    step = jax.jit(jax.vmap(lambda key: task.step(key, state, action)[0]))
    standing = np.asarray(step(keys).shelf_grid)
    before = np.asarray(state.shelf_grid)
    assert (((standing == 1) | (standing == 3)).sum((1, 2)) == 2).all()
    return (standing == 2).sum(0)[before > 3]


def asked_by_them() -> np.ndarray:
    env, counts = original(), collections.Counter()
    env.reset(seed=0)
    for _ in range(FLOORS):
        for number, shelf in enumerate(env.shelfs):
            shelf.y, shelf.x = 1 + number // 4, (1, 2, 7, 8)[number % 4]
        shelf = env.shelfs[1]
        env.request_queue = [env.shelfs[number] for number in (0, 1, 2)]
        env.agents[0].carrying_shelf = shelf
        places = [(env.goals[0][1], env.goals[0][0]), (0, 0), (0, 1)]
        for agent, (agent.y, agent.x) in zip(env.agents, places, strict=True):
            agent.has_delivered = False
        shelf.y, shelf.x = places[0]
        env._recalc_grid()
        env.step([0, 0, 0])
        counts[env.request_queue[1].id - 1] += 1
    assert set(counts) == {3, 4, 5, 6, 7}
    return np.array([counts[number] for number in range(3, 8)])


def test_what_is_asked_for_next_has_the_originals_law():
    ours, theirs = asked_by_us(), asked_by_them()
    assert ours.sum() == 2 * FLOORS
    assert theirs.sum() == FLOORS
    result: Any = stats.chi2_contingency([theirs, ours])
    even: Any = stats.chisquare(ours)
    print(result.pvalue, even.pvalue)
    assert min(result.pvalue, even.pvalue) > SUSPICION
