"""Speaker and listener against mpe2, and against the original's rules.

Every step starts from the same state, rounded to float32, with the same actions.
"""

import types
from typing import Any

import jax
import numpy as np
import pytest

from syntony.tasks.particles.physics import ParticleState
from syntony.tasks.particles.speaker_listener import SpeakerListener, SpeakerState

pytestmark = pytest.mark.oracle
mpe2 = pytest.importorskip("mpe2.simple_speaker_listener_v4")

Original = Any

MPE2 = SpeakerListener.parse("SpeakerListener?shared_reward=false&position_first=true")
COPIES = 40
STEPS = 125


def state(env: Original) -> SpeakerState:
    """Returns the environment's state as ours."""
    speaker, listener = env.world.agents
    landmarks = env.world.landmarks

    def read(*parts: np.ndarray) -> Any:
        return np.array(parts, np.float32)

    return SpeakerState(
        listener=ParticleState(read(listener.state.p_pos), read(listener.state.p_vel)),
        landmark_position=read(*(mark.state.p_pos for mark in landmarks)),
        goal=np.int32(landmarks.index(speaker.goal_b)),  # pyright: ignore
        message=read(speaker.state.c)[0],
        time=np.int32(env.steps),  # pyright: ignore
    )


def round_off(env: Original) -> None:
    for entity in env.world.entities:
        for part in ("p_pos", "p_vel"):
            exact = getattr(entity.state, part)
            setattr(entity.state, part, exact.astype(np.float32).astype(float))


def velocity_first(world: Any, forces: list[Any]) -> None:
    """Moves as the first particle worlds: by the velocity behind the step."""
    listener = world.agents[1].state
    listener.p_vel = 0.75 * listener.p_vel + 0.1 * forces[1]
    listener.p_pos = listener.p_pos + 0.1 * listener.p_vel


def compared(task: SpeakerListener, *, paper: bool = False, steps: int = STEPS) -> dict:
    """Returns the largest difference of each part, over many steps side by side."""
    envs = [mpe2.raw_env() for _ in range(COPIES)]
    rng = np.random.default_rng(0)
    step = jax.jit(jax.vmap(task.step))
    keys = jax.random.split(jax.random.key(0), COPIES)
    for seed, env in enumerate(envs):
        if paper:
            env.world.integrate_state = types.MethodType(velocity_first, env.world)
        env.reset(seed=seed)
        round_off(env)
    errors = []
    for time in range(steps):
        batch = jax.tree.map(lambda *copies: np.stack(copies), *map(state, envs))
        actions = rng.integers([3, 5], size=(COPIES, 2)).astype(np.int32)
        ours = jax.device_get(step(keys, batch, actions))
        for copy, env in enumerate(envs):
            mine = jax.tree.map(lambda leaf, copy=copy: leaf[copy], ours)
            errors.append(difference(env, actions[copy], *mine, paper=paper))
            if time % 25 == 24:
                env.reset()
            round_off(env)
    return {part: max(error[part] for error in errors) for part in errors[0]}


def difference(
    env: Original, action: np.ndarray, after: Any, step: Any, *, paper: bool
):
    """Returns by how much each part differs, after the environment's step as well."""
    for choice in action:
        env.step(int(choice))
    speaker, listener = (env.observe(name) for name in env.agents)
    obs = np.stack([np.concatenate([speaker, np.zeros(8)]), listener])
    reward = np.array([env.rewards[name] for name in env.agents])
    true = state(env)
    pairs = {
        "position": (after.listener.position, true.listener.position),
        "velocity": (after.listener.velocity, true.listener.velocity),
        "goal": (after.goal, true.goal),
        "word": (after.message, true.message),
        "observation": (step.obs, obs),
        # In the original both are given the sum over both.
        "reward": (step.reward, np.full(2, reward.sum()) if paper else reward),
        "end": (step.truncated, all(env.truncations.values())),
        "no end": (step.terminated, False),
    }
    return {
        part: np.max(np.abs(np.subtract(found, right, dtype=float)))
        for part, (found, right) in pairs.items()
    }


ACCURACY = 5e-6


def test_steps_equal_mpe2s():
    errors = compared(MPE2)
    print(errors)
    assert COPIES * STEPS >= 5_000
    assert max(errors.values()) < ACCURACY


def test_by_default_steps_equal_the_papers():
    errors = compared(SpeakerListener(), paper=True, steps=50)
    assert max(errors.values()) < ACCURACY


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ("shared_reward=true&position_first=true", {"reward"}),
        ("shared_reward=false", {"position", "observation", "reward"}),
        ("shared_reward=false&position_first=true&time_limit=24", {"end"}),
    ],
)
def test_the_comparison_can_fail(change: str, parts: set[str]):
    task = SpeakerListener.parse(f"SpeakerListener?{change}")
    errors = compared(task, steps=25)
    assert {part for part, error in errors.items() if error > ACCURACY} == parts
