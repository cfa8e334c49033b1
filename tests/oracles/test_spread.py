"""Simple spread against mpe2, and against the rules of the original MPE.

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
    "&explicit_euler=true"
)
COPIES = 40


class Comparison:
    """Steps the environment and ours in parallel; keeps differences and events.

    Args:
        task: our task.
        paper: whether to change mpe2 to the rules of the paper.
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
                world.integrate_state = types.MethodType(semi_implicit_euler, world)
        self.differences: dict[str, float] = {}
        self.event_counts: dict[str, int] = {}

    def run(self, steps: int) -> "Comparison":
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
        """Starts an episode; half of them with close agents, so that they collide."""
        env.reset(seed=seed)
        if self.rng.random() < 0.5:
            for agent in env.world.agents:
                agent.state.p_pos *= 0.3
        round_off(env)

    def act(self, copy: int) -> np.ndarray:
        """Random actions in half of the environments, else moves to landmarks."""
        if copy % 2:
            return self.rng.integers(5, size=self.task.players).astype(np.int32)
        world = self.envs[copy].world
        offsets = [
            mark.state.p_pos - agent.state.p_pos
            for agent, mark in zip(world.agents, reversed(world.landmarks), strict=True)
        ]
        return np.array([action_towards(offset) for offset in offsets], np.int32)

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
            "reward": paper_rewards(reward) if self.paper else reward,
            "truncation": all(env.truncations.values()),
        }
        mine = (*after.agents, step.obs, step.reward, step.truncated)
        for (part, expected), ours in zip(theirs.items(), mine, strict=True):
            assert np.shape(expected) == np.shape(ours)
            error = np.abs(np.subtract(expected, ours, dtype=float))
            relative = np.max(error / (1.0 + np.abs(np.asarray(expected, float))))
            self.differences[part] = max(
                self.differences.get(part, 0.0), float(relative)
            )
        assert not step.terminated
        for event in events(env):
            self.event_counts[event] = self.event_counts.get(event, 0) + 1
        round_off(env)


def semi_implicit_euler(world: Any, forces: list[Any]) -> None:
    """Moves by the velocity after the step, as the original MPE."""
    for agent, force in zip(world.agents, forces, strict=False):
        agent.state.p_vel = 0.75 * agent.state.p_vel + 0.1 * force
        agent.state.p_pos = agent.state.p_pos + 0.1 * agent.state.p_vel


def paper_rewards(reward: list[float]) -> list[float]:
    """Rewards of the paper from those of mpe2, which are half as large.

    In the paper an agent also collides with itself, and receives the sum over agents.
    """
    own = [2.0 * r - 1.0 for r in reward]
    return [sum(own)] * len(own)


def action_towards(offset: np.ndarray) -> int:
    axis = int(np.argmax(np.abs(offset)))
    return 1 + 2 * axis + int(offset[axis] > 0)


def round_off(env: Original) -> None:
    for entity in env.world.entities:
        for part in ("p_pos", "p_vel"):
            exact = getattr(entity.state, part)
            setattr(entity.state, part, exact.astype(np.float32).astype(float))


def state(env: Original) -> SpreadState:
    """State of the environment as `SpreadState`."""

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
    distance = np.linalg.norm(position[:, None] - position, axis=-1)
    collisions = (distance < 0.3).sum(0) - 1
    occurred = {
        "collision": collisions.any(),
        "several at once": collisions.max() > 1,
        "no collision": not collisions.any(),
        "faster than an action alone": np.abs(velocity).max() > 2.0,
    }
    return {name for name, value in occurred.items() if value}


TOLERANCE = 5e-6
"""Of one step in float32: relative, absolute below 1."""


def check(players: int, steps: int) -> None:
    comparison = Comparison(SimpleSpread.parse(f"SimpleSpread-{players}{MPE2}")).run(
        steps
    )
    print(comparison.differences, comparison.event_counts)
    assert max(comparison.differences.values()) < TOLERANCE
    assert min(comparison.event_counts[e] for e in ("collision", "no collision")) >= 100
    assert players == 2 or comparison.event_counts["several at once"] >= 20
    assert comparison.event_counts["faster than an action alone"] >= 20


@pytest.mark.slow
@pytest.mark.parametrize(("players", "steps"), [(2, 125), (3, 125), (5, 25), (8, 25)])
def test_steps_equal_mpe2(players: int, steps: int):
    check(players, steps)


# mpe2 takes more than ten seconds for so many steps of so many agents.
@pytest.mark.slow
@pytest.mark.parametrize("players", [5, 8])
def test_many_steps_of_large_teams_equal_mpe2(players: int):
    check(players, 125)


@pytest.mark.parametrize("players", [3, 5])
def test_default_steps_equal_the_paper(players: int):
    comparison = Comparison(SimpleSpread(players=players), paper=True).run(25)
    print(comparison.differences, comparison.event_counts)
    assert max(comparison.differences.values()) < TOLERANCE
    assert comparison.event_counts["collision"] >= 100


def test_any_local_ratio_of_mpe2_can_be_set():
    task = SimpleSpread(
        players=3,
        distance_cost=0.9,
        collision_cost=0.1,
        self_collision=False,
        shared_reward=False,
        explicit_euler=True,
    )
    assert (
        max(Comparison(task, local_ratio=0.1).run(25).differences.values()) < TOLERANCE
    )


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ("distance_cost=0.51", {"reward"}),
        ("collision_cost=0.51", {"reward"}),
        ("self_collision=true", {"reward"}),
        ("shared_reward=true", {"reward"}),
        ("explicit_euler=false", {"position", "observation", "reward"}),
        ("time_limit=24", {"truncation"}),
    ],
)
def test_the_comparison_detects_differences(change: str, parts: set[str]):
    field = change.partition("=")[0]
    kept = [p for p in MPE2[1:].split("&") if not p.startswith(field)]
    task = SimpleSpread.parse("SimpleSpread-3?" + "&".join([*kept, change]))
    differences = Comparison(task).run(25).differences
    assert {part for part, error in differences.items() if error > TOLERANCE} == parts
