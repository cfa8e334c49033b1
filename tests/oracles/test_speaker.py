"""Speaker-listener against mpe2, and against the rules of the original MPE.

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

MPE2 = SpeakerListener.parse("SpeakerListener?shared_reward=false&explicit_euler=true")
COPIES = 40
STEPS = 125


def state(env: Original) -> SpeakerState:
    """State of the environment as `SpeakerState`."""
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


def semi_implicit_euler(world: Any, forces: list[Any]) -> None:
    """Moves by the velocity after the step, as the original MPE."""
    listener = world.agents[1].state
    listener.p_vel = 0.75 * listener.p_vel + 0.1 * forces[1]
    listener.p_pos = listener.p_pos + 0.1 * listener.p_vel


def max_errors(
    task: SpeakerListener, *, paper: bool = False, steps: int = STEPS
) -> dict:
    """Largest difference of each part, over many steps in parallel."""
    envs = [mpe2.raw_env() for _ in range(COPIES)]
    rng = np.random.default_rng(0)
    step = jax.jit(jax.vmap(task.step))
    keys = jax.random.split(jax.random.key(0), COPIES)
    for seed, env in enumerate(envs):
        if paper:
            env.world.integrate_state = types.MethodType(semi_implicit_euler, env.world)
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
    """Largest difference of each part, after a step of the environment as well."""
    for choice in action:
        env.step(int(choice))
    speaker, listener = (env.observe(name) for name in env.agents)
    obs = np.stack([np.concatenate([speaker, np.zeros(8)]), listener])
    reward = np.array([env.rewards[name] for name in env.agents])
    reference = state(env)
    pairs = {
        "position": (after.listener.position, reference.listener.position),
        "velocity": (after.listener.velocity, reference.listener.velocity),
        "goal": (after.goal, reference.goal),
        "message": (after.message, reference.message),
        "observation": (step.obs, obs),
        # In the original each agent receives the sum over both.
        "reward": (step.reward, np.full(2, reward.sum()) if paper else reward),
        "truncation": (step.truncated, all(env.truncations.values())),
        "termination": (step.terminated, False),
    }
    return {
        part: np.max(np.abs(np.subtract(ours, expected, dtype=float)))
        for part, (ours, expected) in pairs.items()
    }


TOLERANCE = 5e-6


def test_steps_equal_mpe2():
    errors = max_errors(MPE2)
    print(errors)
    assert COPIES * STEPS >= 5_000
    assert max(errors.values()) < TOLERANCE


def test_default_steps_equal_the_paper():
    errors = max_errors(SpeakerListener(), paper=True, steps=50)
    assert max(errors.values()) < TOLERANCE


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ("shared_reward=true&explicit_euler=true", {"reward"}),
        ("shared_reward=false", {"position", "observation", "reward"}),
        ("shared_reward=false&explicit_euler=true&time_limit=24", {"truncation"}),
    ],
)
def test_the_comparison_detects_differences(change: str, parts: set[str]):
    task = SpeakerListener.parse(f"SpeakerListener?{change}")
    errors = max_errors(task, steps=25)
    assert {part for part, error in errors.items() if error > TOLERANCE} == parts
