"""Distributions of the warehouse's initial states and requests against rware."""

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
SAMPLES = 2_000
MIN_P_VALUE = 1e-4
"""Significance level, below which two samples are taken to differ."""

Initial = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Positions, headings from up clockwise, and the cells of the requested shelves."""


def original() -> Any:
    reward = environment.RewardType.INDIVIDUAL
    return environment.Warehouse(3, 2, 1, 3, 0, 1, 3, None, 500, reward)


@functools.cache
def theirs() -> list[Initial]:
    env, states = original(), []
    headings = [environment.Direction[name] for name in ("UP", "RIGHT", "DOWN", "LEFT")]
    env.reset(seed=0)
    for _ in range(SAMPLES):
        env.reset()
        position = np.array([(agent.y, agent.x) for agent in env.agents])
        heading = np.array([headings.index(agent.dir) for agent in env.agents])
        requested = np.array([(shelf.y, shelf.x) for shelf in env.request_queue])
        states.append((position, heading, requested))
    return states


def ours(id: str) -> list[Initial]:
    task = Warehouse.parse(id)
    keys = jax.random.split(jax.random.key(0), 2 * SAMPLES)
    states, _ = jax.device_get(jax.jit(jax.vmap(task.reset))(keys))
    requested = (states.shelf_grid > 0) & (states.shelf_grid <= task.num_requests)
    cells = [np.argwhere(mask) for mask in requested]
    return list(zip(states.position, states.heading, cells, strict=True))


def features(state: Initial) -> dict[str, list]:
    """Compared properties of an initial state; requested shelves have no order."""
    position, heading, requested = state
    return {
        "first agent": [tuple(position[0])],
        "last agent": [tuple(position[2])],
        "agents' offset": [tuple(position[2] - position[0])],
        "heading": list(heading),
        "headings": [(heading[0] - heading[2]) % 4],
        "requested": [tuple(cell) for cell in requested],
        "requested jointly": [tuple(sorted(tuple(cell) for cell in requested))],
    }


def homogeneity_p_value(theirs: list, ours: list) -> float:
    """P-value of a chi-square test that two samples have the same distribution."""
    counts = collections.Counter(theirs), collections.Counter(ours)
    common = [value for value, n in (counts[0] + counts[1]).items() if n >= 30]
    table = np.array([[count[value] for value in common] for count in counts])
    result: Any = stats.chi2_contingency(table)
    return float(result.pvalue)


def p_values(id: str) -> dict[str, float]:
    samples = [[features(state) for state in states] for states in (theirs(), ours(id))]
    pooled = [
        {name: [x for state in states for x in state[name]] for name in states[0]}
        for states in samples
    ]
    return {
        name: homogeneity_p_value(pooled[0][name], pooled[1][name])
        for name in pooled[0]
    }


def test_initial_states_have_the_distribution_of_the_original():
    result = p_values(ID)
    print({name: round(p, 4) for name, p in result.items()})
    assert min(result.values()) > MIN_P_VALUE


def test_the_distribution_test_detects_differences():
    wrong = ID.replace("column_height=2", "column_height=3")
    assert p_values(wrong)["first agent"] < MIN_P_VALUE


def at_the_goal() -> WarehouseState:
    """State with eight shelves; agent 0 is at a goal with the shelf of label 2."""
    task = Warehouse.parse(ID)
    state, _ = task.reset(jax.random.key(0))
    label = np.zeros(task.grid_shape, int)
    label[~task.highway] = [1, 2, 3, 4, 5, 6, 7, 8]
    label[1, 2] = 0
    position = jnp.array([[*task.goals[0]], [0, 0], [0, 1]])
    carried_shelf = jnp.array([2, 0, 0])
    return state._replace(
        position=position, carried_shelf=carried_shelf, shelf_grid=jnp.array(label)
    )


def our_requests() -> np.ndarray:
    """Number of times that each other shelf is requested next, by its cell."""
    task, state = Warehouse.parse(ID), at_the_goal()
    keys = jax.random.split(jax.random.key(1), 2 * SAMPLES)
    action = jnp.full(3, NOOP)
    step = jax.jit(jax.vmap(lambda key: task.step(key, state, action)[0]))
    after = np.asarray(step(keys).shelf_grid)
    before = np.asarray(state.shelf_grid)
    assert (((after == 1) | (after == 3)).sum((1, 2)) == 2).all()
    return (after == 2).sum(0)[before > 3]


def their_requests() -> np.ndarray:
    env, counts = original(), collections.Counter()
    env.reset(seed=0)
    for _ in range(SAMPLES):
        for number, shelf in enumerate(env.shelfs):
            shelf.y, shelf.x = 1 + number // 4, (1, 2, 7, 8)[number % 4]
        shelf = env.shelfs[1]
        env.request_queue = [env.shelfs[number] for number in (0, 1, 2)]
        env.agents[0].carrying_shelf = shelf
        cells = [(env.goals[0][1], env.goals[0][0]), (0, 0), (0, 1)]
        for agent, (agent.y, agent.x) in zip(env.agents, cells, strict=True):
            agent.has_delivered = False
        shelf.y, shelf.x = cells[0]
        env._recalc_grid()
        env.step([0, 0, 0])
        counts[env.request_queue[1].id - 1] += 1
    assert set(counts) == {3, 4, 5, 6, 7}
    return np.array([counts[number] for number in range(3, 8)])


def test_requests_have_the_distribution_of_the_original():
    ours, theirs = our_requests(), their_requests()
    assert ours.sum() == 2 * SAMPLES
    assert theirs.sum() == SAMPLES
    result: Any = stats.chi2_contingency([theirs, ours])
    uniform: Any = stats.chisquare(ours)
    print(result.pvalue, uniform.pvalue)
    assert min(result.pvalue, uniform.pvalue) > MIN_P_VALUE
