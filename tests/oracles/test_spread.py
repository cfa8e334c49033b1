"""Spread against mpe2, and against the rules of the original, built from mpe2's parts.

Every step starts from the same state, rounded to float32, with the same actions.
"""

import types
from typing import Any

import jax
import numpy as np
import pytest

from syntony.tasks.particles.physics import ParticleState
from syntony.tasks.particles.spread import SimpleSpread, SpreadState
from syntony.tasks.task import TimeStep

pytestmark = pytest.mark.oracle
mpe2 = pytest.importorskip("mpe2.simple_spread_v3")

Original = Any

MPE2 = (
    "?distance_cost=0.5&collision_cost=0.5&self_collision=false&shared_reward=false"
    "&position_first=true"
)
COPIES = 40


class Pair:
    """Steps the environment and ours side by side; keeps what differs and happens.

    Args:
        task: ours.
        paper: give mpe2's parts the paper's rules.
        local_ratio: mpe2's weight of collisions.
    """

    def __init__(
        self, task: SimpleSpread, *, paper: bool = False, local_ratio: float = 0.5
    ):
        self.task, self.paper = task, paper
        self.rng = np.random.default_rng(0)
        self.envs = [
            mpe2.raw_env(N=task.players, local_ratio=local_ratio) for _ in range(COPIES)
        ]
        for env in self.envs:
            if paper:
                world = env.world
                world.integrate_state = types.MethodType(velocity_first, world)
        self.differ: dict[str, float] = {}
        self.happened: dict[str, int] = {}

    def run(self, steps: int) -> "Pair":
        step = jax.jit(jax.vmap(self.task.step))
        keys = jax.random.split(jax.random.key(0), COPIES)
        for seed, env in enumerate(self.envs):
            self.restart(env, seed)
        for time in range(steps):
            states = [state(env) for env in self.envs]
            batch = jax.tree.map(lambda *copies: np.stack(copies), *states)
            actions = np.stack([self.act(copy) for copy in range(COPIES)])
            ours = jax.device_get(step(keys, batch, actions))
            for copy, env in enumerate(self.envs):
                mine = jax.tree.map(lambda leaf, copy=copy: leaf[copy], ours)
                self.compare(env, actions[copy], *mine)
            if time % 25 == 24:
                for env in self.envs:
                    self.restart(env)
        return self

    def restart(self, env: Original, seed: int | None = None) -> None:
        """Starts an episode; every other one in a crowd, so that agents collide."""
        env.reset(seed=seed)
        if self.rng.random() < 0.5:
            for agent in env.world.agents:
                agent.state.p_pos *= 0.3
        round_off(env)

    def act(self, copy: int) -> np.ndarray:
        """Wanders, in half of the copies; in the others heads for the landmarks."""
        if copy % 2:
            return self.rng.integers(5, size=self.task.players).astype(np.int32)
        world = self.envs[copy].world
        ways = [
            mark.state.p_pos - agent.state.p_pos
            for agent, mark in zip(world.agents, reversed(world.landmarks), strict=True)
        ]
        return np.array([heading(way) for way in ways], np.int32)

    def compare(
        self, env: Original, action: np.ndarray, after: SpreadState, step: TimeStep
    ) -> None:
        world = env.world
        for choice in action:
            env.step(int(choice))
        reward = [env.rewards[name] for name in env.agents]
        theirs = {
            "position": [agent.state.p_pos for agent in world.agents],
            "velocity": [agent.state.p_vel for agent in world.agents],
            "observation": [env.observe(name) for name in env.agents],
            "reward": papers(reward) if self.paper else reward,
            "end": all(env.truncations.values()),
        }
        mine = (*after.agents, step.obs, step.reward, step.truncated)
        for (part, true), found in zip(theirs.items(), mine, strict=True):
            assert np.shape(true) == np.shape(found)
            error = np.abs(np.subtract(true, found, dtype=float))
            share = np.max(error / (1.0 + np.abs(np.asarray(true, float))))
            self.differ[part] = max(self.differ.get(part, 0.0), float(share))
        assert not step.terminated
        for event in events(env):
            self.happened[event] = self.happened.get(event, 0) + 1
        round_off(env)


def velocity_first(world: Any, forces: list[Any]) -> None:
    """Moves as the first particle worlds: by the velocity behind the step."""
    for agent, force in zip(world.agents, forces, strict=False):
        agent.state.p_vel = 0.75 * agent.state.p_vel + 0.1 * force
        agent.state.p_pos = agent.state.p_pos + 0.1 * agent.state.p_vel


def papers(reward: list[float]) -> list[float]:
    """Returns the original's rewards from mpe2's, which are halves of it.

    There an agent touches itself, too, and all are given the sum over agents.
    """
    own = [2.0 * given - 1.0 for given in reward]
    return [sum(own)] * len(own)


def heading(way: np.ndarray) -> int:
    axis = int(np.argmax(np.abs(way)))
    return 1 + 2 * axis + int(way[axis] > 0)


def round_off(env: Original) -> None:
    for entity in env.world.entities:
        for part in ("p_pos", "p_vel"):
            exact = getattr(entity.state, part)
            setattr(entity.state, part, exact.astype(np.float32).astype(float))


def state(env: Original) -> SpreadState:
    """Returns the environment's state as ours."""

    def read(entities: Any, part: str) -> Any:
        return np.array([getattr(e.state, part) for e in entities], np.float32)

    agents, landmarks = env.world.agents, env.world.landmarks
    return SpreadState(
        agents=ParticleState(read(agents, "p_pos"), read(agents, "p_vel")),
        landmark_position=read(landmarks, "p_pos"),
        time=np.int32(env.steps),  # pyright: ignore
    )


def events(env: Original) -> set[str]:
    position, velocity = state(env).agents
    apart = np.linalg.norm(position[:, None] - position, axis=-1)
    hits = (apart < 0.3).sum(0) - 1
    truths = {
        "collision": hits.any(),
        "several at once": hits.max() > 1,
        "no collision": not hits.any(),
        "pushed faster than an action can": np.abs(velocity).max() > 2.0,
    }
    return {name for name, true in truths.items() if true}


ACCURACY = 5e-6
"""Of one step in float32: relative, absolute below 1."""


def check(players: int, steps: int) -> None:
    pair = Pair(SimpleSpread.parse(f"SimpleSpread-{players}{MPE2}")).run(steps)
    print(pair.differ, pair.happened)
    assert max(pair.differ.values()) < ACCURACY
    assert min(pair.happened[e] for e in ("collision", "no collision")) >= 100
    assert players == 2 or pair.happened["several at once"] >= 20
    assert pair.happened["pushed faster than an action can"] >= 20


@pytest.mark.parametrize(("players", "steps"), [(2, 125), (3, 125), (5, 25), (8, 25)])
def test_steps_equal_mpe2s(players: int, steps: int):
    check(players, steps)


# mpe2 needs ten seconds and more for so many steps of so many agents.
@pytest.mark.slow
@pytest.mark.parametrize("players", [5, 8])
def test_many_steps_of_large_teams_equal_mpe2s(players: int):
    check(players, 125)


@pytest.mark.parametrize("players", [3, 5])
def test_by_default_steps_equal_the_papers(players: int):
    pair = Pair(SimpleSpread(players=players), paper=True).run(25)
    print(pair.differ, pair.happened)
    assert max(pair.differ.values()) < ACCURACY
    assert pair.happened["collision"] >= 100


def test_any_local_ratio_of_mpe2s_can_be_set():
    task = SimpleSpread(
        players=3,
        distance_cost=0.9,
        collision_cost=0.1,
        self_collision=False,
        shared_reward=False,
        explicit_euler=True,
    )
    assert max(Pair(task, local_ratio=0.1).run(25).differ.values()) < ACCURACY


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ("distance_cost=0.51", {"reward"}),
        ("collision_cost=0.51", {"reward"}),
        ("self_collision=true", {"reward"}),
        ("shared_reward=true", {"reward"}),
        ("position_first=false", {"position", "observation", "reward"}),
        ("time_limit=24", {"end"}),
    ],
)
def test_the_comparison_can_fail(change: str, parts: set[str]):
    field = change.partition("=")[0]
    kept = [word for word in MPE2[1:].split("&") if not word.startswith(field)]
    task = SimpleSpread.parse("SimpleSpread-3?" + "&".join([*kept, change]))
    differ = Pair(task).run(25).differ
    assert {part for part, error in differ.items() if error > ACCURACY} == parts
