"""The warehouse against rware: equal steps.

For every kind of event to occur, agents are put into crowds: close to one another, with
random headings, some of them loaded, half of the time before the goals. The request
after a delivery is random; it is not compared, and both continue from the original's
state. If there is only one shelf without a request, it is not random: the second id is
such a task.
"""

import collections
import dataclasses
import functools
import types
from typing import Any
from unittest import mock

import jax
import numpy as np
import pytest

from syntony.tasks.task import TimeStep
from syntony.tasks.warehouse.rules import (
    FORWARD,
    HEADING_OFFSETS,
    TOGGLE_LOAD,
    Warehouse,
    WarehouseState,
)

pytestmark = pytest.mark.oracle
environment = pytest.importorskip("rware.warehouse")
nx = pytest.importorskip("networkx")

Original = Any

IDS = {
    "rware-tiny-2ag-hard?time_limit=100": 200,
    "rware-1x3-3ag-twostage?column_height=1&request_queue_size=3": 160,
    "rware-tiny-4ag-hard": 130,
    "rware-small-4ag?sensor_range=2": 60,
    "rware-tiny-5ag-twostage?max_inactivity_steps=25": 50,
    "rware-medium-8ag-easy-global": 40,
}
"""Tasks, and the number of compared steps of each environment."""
COPIES = 32
HEADINGS = [environment.Direction[name] for name in ("UP", "RIGHT", "DOWN", "LEFT")]
ACTIONS = [0.05, 0.62, 0.1, 0.1, 0.13]
"""Probability of each action."""
CROWD_STEPS = 12
"""Steps before a new crowd is made."""
EVENTS = {
    *("turned", "moved", "wall", "blocked by a shelf", "under a shelf", "collision"),
    *("longest chain", "tie", "followed", "chain of three", "cycle", "swap blocked"),
    *("loaded", "loaded nothing", "put down", "not put down on a highway"),
    *("delivered", "two delivered", "reward for putting back", "no request at a goal"),
    *("inactivity limit", "time limit"),
}


class Ordered(nx.DiGraph):
    """The original's graph, with components in the order of the whole graph.

    networkx has the same order, unless a component is less than half of the graph: then
    it is the order of a Python set, which decides between chains of equal length.
    """

    def subgraph(self, nodes: set) -> Any:
        component = nx.DiGraph()
        component.add_nodes_from(cell for cell in self if cell in nodes)
        component.add_edges_from(edge for edge in self.edges if edge[0] in nodes)
        return component


ORDERED = types.SimpleNamespace(**{**vars(nx), "DiGraph": Ordered})


def original(task: Warehouse) -> Original:
    rewards = environment.RewardType
    kinds = {"indiv": rewards.INDIVIDUAL, "global": rewards.GLOBAL}
    return environment.Warehouse(
        shelf_columns=task.shelf_columns,
        column_height=task.column_height,
        shelf_rows=task.shelf_rows,
        n_agents=task.num_agents,
        msg_bits=0,
        sensor_range=task.sensor_range,
        request_queue_size=task.num_requests,
        max_inactivity_steps=task.max_inactivity_steps or None,
        max_steps=task.time_limit,
        reward_type=kinds.get(task.reward_type, rewards.TWO_STAGE),
    )


def board(env: Original) -> WarehouseState:
    """State of the original as `WarehouseState`."""
    requested = [shelf.id for shelf in env.request_queue]
    rest = [shelf.id for shelf in env.shelfs if shelf.id not in requested]
    label = {shelf: 1 + i for i, shelf in enumerate(requested + rest)}
    load = [a.carrying_shelf and label[a.carrying_shelf.id] for a in env.agents]
    carried = {id(agent.carrying_shelf) for agent in env.agents}
    shelf_grid = np.zeros(env.grid_size)
    for shelf in env.shelfs:
        if id(shelf) not in carried:
            shelf_grid[shelf.y, shelf.x] = label[shelf.id]
    parts: Any = (
        [(agent.y, agent.x) for agent in env.agents],
        [HEADINGS.index(agent.dir) for agent in env.agents],
        [carried or 0 for carried in load],
        [agent.has_delivered for agent in env.agents],
        shelf_grid,
        env._cur_inactive_steps,
        env._cur_steps,
    )
    state: Any = [np.asarray(part, np.int32) for part in parts]
    state[3] = state[3].astype(bool)
    return WarehouseState(*state)


def crowd(env: Original, rng: np.random.Generator) -> None:
    """Puts all agents close to one another, some of them loaded; counters continue."""
    counters = env._cur_steps, env._cur_inactive_steps
    env.reset()
    env._cur_steps, env._cur_inactive_steps = counters
    height, width = 3, 2 + len(env.agents) // 2
    rows, columns = env.grid_size
    corner = rng.integers([rows - height + 1, columns - width + 1])
    if rng.random() < 0.5:
        corner = [rows - height, env.goals[0][0] - width // 2 + 1]
    cells = rng.choice(height * width, len(env.agents), replace=False)
    # Four in a cycle, which is rare by chance, and the others below them.
    cycle = len(env.agents) > 3 and rng.random() < 0.4
    if cycle:
        cells = np.array([0, 1, width + 1, width, *np.arange(2 * width, 3 * width)])
    for number, agent in enumerate(env.agents):
        agent.y, agent.x = corner + np.array(divmod(cells[number], width))
        agent.dir = HEADINGS[(number + 1) % 4] if cycle else agent.dir
        agent.has_delivered = bool(rng.random() < 0.3) and two_stages(env)
        if rng.random() < 0.6:
            load(env, agent, rng)
    env._recalc_grid()


def two_stages(env: Original) -> bool:
    return env.reward_type == environment.RewardType.TWO_STAGE


def load(env: Original, agent: Any, rng: np.random.Generator) -> None:
    """Loads the shelf above an agent, or any; half of them are requested."""
    carried = {id(agent.carrying_shelf) for agent in env.agents}
    free = [shelf for shelf in env.shelfs if id(shelf) not in carried]
    above = [s for s in free if (s.x, s.y) == (agent.x, agent.y)]
    requested = [s for s in free if s in env.request_queue and rng.random() < 0.5]
    shelf = (above or requested or [rng.choice(free)])[0]
    agent.carrying_shelf = shelf
    shelf.x, shelf.y = agent.x, agent.y


class Comparison:
    """Steps the original and ours in parallel; counts differences and events.

    Args:
        task: our task.
        reference: parameters of the original; others, to test the comparison itself.
        graphs: module that replaces networkx in the original.
    """

    def __init__(self, task: Warehouse, reference: Warehouse, graphs: Any = ORDERED):
        self.task, self.graphs = task, graphs
        self.rng = np.random.default_rng(0)
        self.envs = [original(reference) for _ in range(COPIES)]
        for seed, env in enumerate(self.envs):
            env.reset(seed=seed)
        self.differences = collections.Counter()
        self.events = collections.Counter()

    def run(self, steps: int) -> "Comparison":
        step = jax.jit(jax.vmap(self.task.step))
        keys = jax.random.split(jax.random.key(0), (steps, COPIES))
        shape = (steps, COPIES, self.task.num_agents)
        states = [board(env) for env in self.envs]
        for time, actions in enumerate(self.rng.choice(5, shape, p=ACTIONS)):
            for copy, env in enumerate(self.envs):
                if copy < COPIES - 2 and (time + copy) % CROWD_STEPS == 0:
                    crowd(env, self.rng)
                    states[copy] = board(env)
            batch = jax.tree.map(lambda *copies: np.stack(copies), *states)
            ours = jax.device_get(step(keys[time], batch, actions.astype(np.int32)))
            for copy, env in enumerate(self.envs):
                mine = jax.tree.map(lambda leaf, copy=copy: leaf[copy], ours)
                before = states[copy]
                states[copy] = self.compare(env, before, actions[copy], *mine)
        return self

    def compare(
        self,
        env: Original,
        before: WarehouseState,
        action: np.ndarray,
        state: WarehouseState,
        step: TimeStep,
    ) -> WarehouseState:
        requested = set(env.request_queue)
        with mock.patch.object(environment, "nx", self.graphs):
            obs, reward, done, *_ = env.step(action)
        after, is_random = board(env), requested != set(env.request_queue)
        self.events.update(step_events(env, before, action, after, np.array(reward)))
        is_random = is_random and self.task.num_requests + 1 < len(env.shelfs)
        # A shelf newly requested at the first goal may be at the second: delivered.
        both_goals = (
            is_random and sum(at_goals(env, after) & (after.carried_shelf > 0)) > 1
        )
        same = {
            "position": np.array_equal(state.position, after.position),
            "heading": np.array_equal(state.heading, after.heading),
            "carried": np.array_equal(state.carried_shelf > 0, after.carried_shelf > 0),
            "shelf grid": np.array_equal(state.shelf_grid > 0, after.shelf_grid > 0),
            "requests": is_random
            or np.array_equal(self.requested(state), self.requested(after)),
            "pending reward": both_goals
            or np.array_equal(state.pending_reward, after.pending_reward),
            "counters": (state.time, state.steps_without_delivery)
            == (after.time, after.steps_without_delivery),
            "reward": both_goals or np.array_equal(step.reward, reward),
            "observation": np.array_equal(
                features(step.obs, is_random), features(np.stack(obs), is_random)
            ),
            "end": bool(step.truncated) == done and not step.terminated,
        }
        self.differences.update(part for part, equal in same.items() if not equal)
        self.differences["step"] += not all(same.values())
        if done:
            env.reset()
            after = board(env)
        return after if done or is_random or not all(same.values()) else state

    def requested(self, state: WarehouseState) -> np.ndarray:
        """Mask of the cells with requested shelves."""
        label = np.array(state.shelf_grid)
        label[tuple(state.position.T)] += np.array(state.carried_shelf)
        return (label > 0) & (label <= self.task.num_requests)


def features(obs: Any, is_random: bool) -> np.ndarray:
    """Observation, without the requests if these are random."""
    return np.delete(obs, slice(14, None, 7), axis=1) if is_random else obs


def at_goals(env: Original, state: WarehouseState) -> np.ndarray:
    return np.array([(x, y) in env.goals for y, x in state.position])


def shelf_labels(state: WarehouseState, position: np.ndarray) -> np.ndarray:
    """Labels of the shelves at these positions; 0 where there is none."""
    return np.asarray(state.shelf_grid)[tuple(position.T)]


def step_events(
    env: Original,
    before: WarehouseState,
    action: np.ndarray,
    after: WarehouseState,
    reward: np.ndarray,
) -> set[str]:
    """Names of the events of the original's last step."""
    forward, toggles = action == FORWARD, action == TOGGLE_LOAD
    target = (
        before.position + forward[:, None] * np.array(HEADING_OFFSETS)[before.heading]
    )
    inside = np.clip(target, 0, np.array(env.grid_size) - 1)
    wall = (target != inside).any(-1)
    moved = (after.position != before.position).any(-1)
    shelf = (before.carried_shelf > 0) & ~wall & (shelf_labels(before, inside) > 0)
    collided = forward & ~wall & ~shelf & ~moved
    at_goal, delivered = at_goals(env, after), not after.steps_without_delivery
    target = np.where(shelf[:, None], before.position, inside)
    conflicts = traffic(before.position, target, moved) | truncations(env)
    return (
        conflicts
        | loading(env, before, toggles, after)
        | true_names(
            {
                "turned": (after.heading != before.heading).any(),
                "moved": moved.any(),
                "wall": wall.any(),
                "blocked by a shelf": shelf.any(),
                "under a shelf": (moved & (shelf_labels(after, inside) > 0)).any(),
                "collision": collided.any(),
                "delivered": delivered,
                "two delivered": np.sum(reward * at_goal >= 0.5) > 1 and delivered,
                "reward for putting back": (toggles & (reward == 0.5)).any(),
                "no request at a goal": (
                    at_goal & (after.carried_shelf > env.request_queue_size)
                ).any(),
            }
        )
    )


def loading(
    env: Original, before: WarehouseState, toggles: np.ndarray, after: WarehouseState
) -> set[str]:
    """Names of the loading and unloading events."""
    loaded = before.carried_shelf > 0
    highway = env.highways[tuple(after.position.T)] > 0
    standing = before.shelf_grid[tuple(before.position.T)] > 0
    return true_names(
        {
            "loaded": (~loaded & (after.carried_shelf > 0)).any(),
            "loaded nothing": (toggles & ~loaded & ~standing).any(),
            "put down": (toggles & loaded & (after.carried_shelf == 0)).any(),
            "not put down on a highway": (toggles & loaded & highway).any(),
        }
    )


def truncations(env: Original) -> set[str]:
    """Names of the limits that truncate the original."""
    max_inactive = env.max_inactivity_steps or np.inf
    return true_names(
        {
            "time limit": env._cur_steps >= env.max_steps,
            "inactivity limit": env._cur_inactive_steps >= max_inactive,
        }
    )


def traffic(start: Any, target: Any, moved: Any) -> set[str]:
    """Names of the conflicts between moves, and of their results."""
    follows = (target[:, None] == start).all(-1) & ~np.eye(len(start), dtype=bool)
    reach = [np.eye(len(start), dtype=bool)]
    while reach[-1].any() and len(reach) <= len(start):
        reach.append(reach[-1] @ follows)
    behind = np.array([np.where(step.any(0), n, 0) for n, step in enumerate(reach)])
    behind = behind.max(0)
    rivals = (target[:, None] == target).all(-1) & moved[:, None] & ~moved
    rivals &= (target != start).any(-1)
    cycles = any(np.diagonal(step)[moved].any() for step in reach[3:])
    return true_names(
        {
            "followed": (follows & moved[:, None] & moved).any(),
            "chain of three": (follows @ follows & moved[:, None] & moved).any(),
            "cycle": cycles,
            "swap blocked": (follows & follows.T).any(),
            "longest chain": (rivals & (behind[:, None] > behind)).any() and not cycles,
            "tie": (rivals & (behind[:, None] == behind)).any(),
        }
    )


def true_names(values: dict[str, Any]) -> set[str]:
    return {name for name, value in values.items() if value}


@functools.cache
def run_comparison(id: str) -> Comparison:
    task = Warehouse.parse(id)
    # A component of the graph of three agents is never less than half of it.
    return Comparison(task, task, nx if task.num_agents < 4 else ORDERED).run(IDS[id])


QUICK = "rware-tiny-2ag-hard?time_limit=100"


@pytest.mark.slow
def test_steps_equal_the_original():
    assert not +run_comparison(QUICK).differences


@pytest.mark.slow
@pytest.mark.parametrize("id", [id for id in IDS if id != QUICK])
def test_steps_of_other_warehouses_equal_the_original(id: str):
    assert not +run_comparison(id).differences


@pytest.mark.slow
def test_every_event_occurred():
    assert COPIES * sum(IDS.values()) >= 20_000
    counts = sum((run_comparison(id).events for id in IDS), collections.Counter())
    print(dict(sorted(counts.items())))
    assert counts.keys() == EVENTS
    assert min(counts.values()) >= 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "steps", "least", "most"),
    [
        ("rware-tiny-4ag-hard", 65, 0.0, 0.002),
        ("rware-small-4ag-hard", 65, 0.0, 0.002),
        ("rware-medium-8ag-easy-global", 24, 0.001, 0.04),
    ],
)
def test_dependence_on_hashes_is_rare(id: str, steps: int, least: float, most: float):
    """Against the original with the unchanged networkx, in crowds."""
    task = Warehouse.parse(id)
    differences = Comparison(task, task, nx).run(steps).differences["step"]
    fraction = differences / (steps * COPIES)
    print(f"steps of a crowd in {id}: {fraction:.2%}")
    assert least <= fraction < most


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (
            {"sensor_range": 2, "reward_type": "global", "time_limit": 10},
            {"observation", "reward", "end"},
        ),
        ({"request_queue_size": 5, "max_inactivity_steps": 5}, {"requests", "end"}),
    ],
)
def test_the_comparison_detects_differences(change: dict[str, Any], parts: set[str]):
    reference = Warehouse.parse("rware-tiny-2ag?column_height=4")
    task = dataclasses.replace(reference, **change)
    differences = Comparison(task, reference).run(16).differences
    assert parts <= (+differences).keys()
