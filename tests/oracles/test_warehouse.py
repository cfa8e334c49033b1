"""The warehouse against the original: the same steps to the letter.

To meet every kind of step, agents are put into crowds: side by side, headings drawn,
some of them loaded, half of the time before the goals. What is asked for after a
delivery is drawn; there both are compared but for that, and go on from the original's.
With one shelf alone left to ask for nothing is drawn: the second id is such a task.
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
    "rware-tiny-5ag-twostage?max_inactivity=25": 50,
    "rware-medium-8ag-easy-global": 40,
}
"""Tasks, and how many steps of all copies each is compared for."""
COPIES = 32
HEADINGS = [environment.Direction[name] for name in ("UP", "RIGHT", "DOWN", "LEFT")]
ACTIONS = [0.05, 0.62, 0.1, 0.1, 0.13]
"""How often each action is taken; walking more than the rest."""
CROWDED = 12
"""Steps that a crowd lives before the next is made."""
EVENTS = {
    *("turned", "walked", "wall", "shelf in the way", "under a shelf", "collision"),
    *("longest chain", "tie", "followed", "chain of three", "ring", "swap refused"),
    *("lifted", "lifted nothing", "put down", "not put down on a highway"),
    *("delivered", "two delivered", "paid for putting back", "unasked at a goal"),
    *("cut for idling", "cut at the time limit"),
}


class Ordered(nx.DiGraph):
    """The original's graph, but its parts list cells in the order of the whole.

    Those of networkx do, too, unless a part is less than half of the whole: then their
    order is that of a Python set, and so is the winner among chains as long.
    """

    def subgraph(self, nodes: set) -> Any:
        part = nx.DiGraph()
        part.add_nodes_from(cell for cell in self if cell in nodes)
        part.add_edges_from(edge for edge in self.edges if edge[0] in nodes)
        return part


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
    """Returns the original's state as ours."""
    asked = [shelf.id for shelf in env.request_queue]
    rest = [shelf.id for shelf in env.shelfs if shelf.id not in asked]
    label = {shelf: 1 + place for place, shelf in enumerate(asked + rest)}
    load = [a.carrying_shelf and label[a.carrying_shelf.id] for a in env.agents]
    carried = {id(agent.carrying_shelf) for agent in env.agents}
    standing = np.zeros(env.grid_size)
    for shelf in env.shelfs:
        if id(shelf) not in carried:
            standing[shelf.y, shelf.x] = label[shelf.id]
    parts: Any = (
        [(agent.y, agent.x) for agent in env.agents],
        [HEADINGS.index(agent.dir) for agent in env.agents],
        [carries or 0 for carries in load],
        [agent.has_delivered for agent in env.agents],
        standing,
        env._cur_inactive_steps,
        env._cur_steps,
    )
    state: Any = [np.asarray(part, np.int32) for part in parts]
    state[3] = state[3].astype(bool)
    return WarehouseState(*state)


def crowd(env: Original, rng: np.random.Generator) -> None:
    """Puts all agents close to one another, some of them loaded; clocks go on."""
    clocks = env._cur_steps, env._cur_inactive_steps
    env.reset()
    env._cur_steps, env._cur_inactive_steps = clocks
    height, width = 3, 2 + len(env.agents) // 2
    rows, columns = env.grid_size
    corner = rng.integers([rows - height + 1, columns - width + 1])
    if rng.random() < 0.5:
        corner = [rows - height, env.goals[0][0] - width // 2 + 1]
    places = rng.choice(height * width, len(env.agents), replace=False)
    # Four in a ring, which chance alone makes too seldom, and the rest below them.
    ring = len(env.agents) > 3 and rng.random() < 0.4
    if ring:
        places = np.array([0, 1, width + 1, width, *np.arange(2 * width, 3 * width)])
    for number, agent in enumerate(env.agents):
        agent.y, agent.x = corner + np.array(divmod(places[number], width))
        agent.dir = HEADINGS[(number + 1) % 4] if ring else agent.dir
        agent.has_delivered = bool(rng.random() < 0.3) and two_stages(env)
        if rng.random() < 0.6:
            load(env, agent, rng)
    env._recalc_grid()


def two_stages(env: Original) -> bool:
    return env.reward_type == environment.RewardType.TWO_STAGE


def load(env: Original, agent: Any, rng: np.random.Generator) -> None:
    """Gives an agent the shelf that it is under, or any, half of them asked for."""
    carried = {id(agent.carrying_shelf) for agent in env.agents}
    free = [shelf for shelf in env.shelfs if id(shelf) not in carried]
    under = [s for s in free if (s.x, s.y) == (agent.x, agent.y)]
    asked = [s for s in free if s in env.request_queue and rng.random() < 0.5]
    shelf = (under or asked or [rng.choice(free)])[0]
    agent.carrying_shelf = shelf
    shelf.x, shelf.y = agent.x, agent.y


class Comparison:
    """Steps the original and ours side by side; counts what differs and happens.

    Args:
        task: ours.
        truth: what the original is told to be; the same, unless the test is tested.
        graphs: what the original takes for networkx.
    """

    def __init__(self, task: Warehouse, truth: Warehouse, graphs: Any = ORDERED):
        self.task, self.graphs = task, graphs
        self.rng = np.random.default_rng(0)
        self.envs = [original(truth) for _ in range(COPIES)]
        for seed, env in enumerate(self.envs):
            env.reset(seed=seed)
        self.differ = collections.Counter()
        self.happened = collections.Counter()

    def run(self, steps: int) -> "Comparison":
        step = jax.jit(jax.vmap(self.task.step))
        keys = jax.random.split(jax.random.key(0), (steps, COPIES))
        shape = (steps, COPIES, self.task.num_agents)
        states = [board(env) for env in self.envs]
        for time, actions in enumerate(self.rng.choice(5, shape, p=ACTIONS)):
            for copy, env in enumerate(self.envs):
                if copy < COPIES - 2 and (time + copy) % CROWDED == 0:
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
        asked = set(env.request_queue)
        with mock.patch.object(environment, "nx", self.graphs):
            obs, reward, done, *_ = env.step(action)
        after, chance = board(env), asked != set(env.request_queue)
        self.happened.update(events(env, before, action, after, np.array(reward)))
        chance = chance and self.task.num_requests + 1 < len(env.shelfs)
        # What the first goal asks for may stand on the second, and is then delivered.
        lucky = chance and sum(at_goals(env, after) & (after.carried_shelf > 0)) > 1
        same = {
            "position": np.array_equal(state.position, after.position),
            "heading": np.array_equal(state.heading, after.heading),
            "load": np.array_equal(state.carried_shelf > 0, after.carried_shelf > 0),
            "standing": np.array_equal(state.shelf_grid > 0, after.shelf_grid > 0),
            "requests": chance or np.array_equal(self.asked(state), self.asked(after)),
            "owed": lucky or np.array_equal(state.pending_reward, after.pending_reward),
            "clocks": (state.time, state.steps_without_delivery)
            == (after.time, after.steps_without_delivery),
            "reward": lucky or np.array_equal(step.reward, reward),
            "observation": np.array_equal(
                features(step.obs, chance), features(np.stack(obs), chance)
            ),
            "end": bool(step.truncated) == done and not step.terminated,
        }
        self.differ.update(part for part, equal in same.items() if not equal)
        self.differ["step"] += not all(same.values())
        if done:
            env.reset()
            after = board(env)
        return after if done or chance or not all(same.values()) else state

    def asked(self, state: WarehouseState) -> np.ndarray:
        """Returns on which cells there are shelves that are asked for."""
        label = np.array(state.shelf_grid)
        label[tuple(state.position.T)] += np.array(state.carried_shelf)
        return (label > 0) & (label <= self.task.num_requests)


def features(obs: Any, chance: bool) -> np.ndarray:
    """Returns an observation, without which shelves are asked for if that is drawn."""
    return np.delete(obs, slice(14, None, 7), axis=1) if chance else obs


def at_goals(env: Original, state: WarehouseState) -> np.ndarray:
    return np.array([(x, y) in env.goals for y, x in state.position])


def events(
    env: Original,
    before: WarehouseState,
    action: np.ndarray,
    after: WarehouseState,
    reward: np.ndarray,
) -> set[str]:
    """Names what the original did in the step behind it."""
    walks, toggles = action == FORWARD, action == TOGGLE_LOAD
    wanted = (
        before.position + walks[:, None] * np.array(HEADING_OFFSETS)[before.heading]
    )
    inside = np.clip(wanted, 0, np.array(env.grid_size) - 1)
    wall = (wanted != inside).any(-1)
    moved = (after.position != before.position).any(-1)
    shelf = (
        (before.carried_shelf > 0) & ~wall & (before.shelf_grid[tuple(inside.T)] > 0)
    )
    collided = walks & ~wall & ~shelf & ~moved
    at_goal = at_goals(env, after)
    target = np.where(shelf[:, None], before.position, inside)
    met = traffic(before.position, target, moved) | ends(env)
    return (
        met
        | lifting(env, before, toggles, after)
        | named(
            {
                "turned": (after.heading != before.heading).any(),
                "walked": moved.any(),
                "wall": wall.any(),
                "shelf in the way": shelf.any(),
                "under a shelf": (
                    moved & (after.shelf_grid[tuple(inside.T)] > 0)
                ).any(),
                "collision": collided.any(),
                "delivered": not after.steps_without_delivery,
                "two delivered": np.sum(reward * at_goal >= 0.5) > 1
                and not after.steps_without_delivery,
                "paid for putting back": (toggles & (reward == 0.5)).any(),
                "unasked at a goal": (
                    at_goal & (after.carried_shelf > env.request_queue_size)
                ).any(),
            }
        )
    )


def lifting(
    env: Original, before: WarehouseState, toggles: np.ndarray, after: WarehouseState
) -> set[str]:
    """Names what the original did of those who lift and put down."""
    loaded = before.carried_shelf > 0
    highway = env.highways[tuple(after.position.T)] > 0
    standing = before.shelf_grid[tuple(before.position.T)] > 0
    return named(
        {
            "lifted": (~loaded & (after.carried_shelf > 0)).any(),
            "lifted nothing": (toggles & ~loaded & ~standing).any(),
            "put down": (toggles & loaded & (after.carried_shelf == 0)).any(),
            "not put down on a highway": (toggles & loaded & highway).any(),
        }
    )


def ends(env: Original) -> set[str]:
    """Names why the original ends, if it does."""
    idle = env.max_inactivity_steps or np.inf
    return named(
        {
            "cut at the time limit": env._cur_steps >= env.max_steps,
            "cut for idling": env._cur_inactive_steps >= idle,
        }
    )


def traffic(start: Any, target: Any, moved: Any) -> set[str]:
    """Names what the original did of those who stood in one another's way."""
    follows = (target[:, None] == start).all(-1) & ~np.eye(len(start), dtype=bool)
    reach = [np.eye(len(start), dtype=bool)]
    while reach[-1].any() and len(reach) <= len(start):
        reach.append(reach[-1] @ follows)
    behind = np.array([np.where(step.any(0), n, 0) for n, step in enumerate(reach)])
    behind = behind.max(0)
    rivals = (target[:, None] == target).all(-1) & moved[:, None] & ~moved
    rivals &= (target != start).any(-1)
    rings = any(np.diagonal(step)[moved].any() for step in reach[3:])
    return named(
        {
            "followed": (follows & moved[:, None] & moved).any(),
            "chain of three": (follows @ follows & moved[:, None] & moved).any(),
            "ring": rings,
            "swap refused": (follows & follows.T).any(),
            "longest chain": (rivals & (behind[:, None] > behind)).any() and not rings,
            "tie": (rivals & (behind[:, None] == behind)).any(),
        }
    )


def named(truths: dict[str, Any]) -> set[str]:
    return {name for name, true in truths.items() if true}


@functools.cache
def compared(id: str) -> Comparison:
    task = Warehouse.parse(id)
    # A part of three agents' graph is never less than half of it.
    return Comparison(task, task, nx if task.num_agents < 4 else ORDERED).run(IDS[id])


QUICK = "rware-tiny-2ag-hard?time_limit=100"


def test_steps_equal_the_originals():
    assert not +compared(QUICK).differ


@pytest.mark.slow
@pytest.mark.parametrize("id", [id for id in IDS if id != QUICK])
def test_steps_of_other_floors_equal_the_originals(id: str):
    assert not +compared(id).differ


@pytest.mark.slow
def test_every_kind_of_step_was_compared():
    assert COPIES * sum(IDS.values()) >= 20_000
    happened = sum((compared(id).happened for id in IDS), collections.Counter())
    print(dict(sorted(happened.items())))
    assert happened.keys() == EVENTS
    assert min(happened.values()) >= 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "steps", "least", "most"),
    [
        ("rware-tiny-4ag-hard", 65, 0.0, 0.002),
        ("rware-small-4ag-hard", 65, 0.0, 0.002),
        ("rware-medium-8ag-easy-global", 24, 0.001, 0.04),
    ],
)
def test_what_hangs_on_hashes_is_rare(id: str, steps: int, least: float, most: float):
    """Against the original as it is, its networkx untouched, in crowds."""
    task = Warehouse.parse(id)
    found = Comparison(task, task, nx).run(steps).differ["step"] / (steps * COPIES)
    print(f"steps of a crowd in {id}: {found:.2%}")
    assert least <= found < most


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (
            {"sensor_range": 2, "reward": "global", "time_limit": 10},
            {"observation", "reward", "end"},
        ),
        ({"request_queue_size": 5, "max_inactivity": 5}, {"requests", "end"}),
    ],
)
def test_the_comparison_can_fail(change: dict[str, Any], parts: set[str]):
    truth = Warehouse.parse("rware-tiny-2ag?column_height=4")
    differ = Comparison(dataclasses.replace(truth, **change), truth).run(16).differ
    assert parts <= (+differ).keys()
