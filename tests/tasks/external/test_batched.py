"""Simulators of many environments: exact episodes, and values that are wrong."""

import json
import re
from typing import Any

import jax
import numpy as np
import pytest

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.tasks.external.external_env import ExternalEnv
from syntony.tasks.external.frames import FrameRecorder
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task

COUNTDOWN = "batched:batched_envs:Countdown"


def run(id: str, episodes: int = 8, num_envs: int = 8) -> Trajectory:
    """Episodes of random play; every second action of agent 0 is 2."""

    def act(obs: Any, mask: Any, noise: Any, hidden: Any) -> tuple[Any, Any, Any]:
        del obs
        action = np.argmax(np.where(mask, noise, -np.inf), axis=-1)
        return action, np.full(action.shape, -1.0), hidden

    env = task(id)
    assert isinstance(env, ExternalEnv)
    key, hidden = jax.random.key(1), ()
    collected = env.rollout(act, hidden, key, episodes=episodes, num_envs=num_envs)
    trajectory = jax.device_get(collected)
    env.close()
    return trajectory


def test_it_is_a_task():
    env = task(f"{COUNTDOWN}?time_limit=4")
    assert isinstance(env, Task)
    assert isinstance(env, ExternalEnv)
    assert env == ExternalEnv(
        id=f"{COUNTDOWN}?time_limit=4",
        num_agents=2,
        num_actions=3,
        obs_dim=2,
        time_limit=4,
        global_state_dim=1,
    )
    with pytest.raises(InvalidInputError, match="cannot be drawn"):
        env.recording(FrameRecorder(1))


def test_episodes_end_one_by_one_within_the_batch():
    trajectory = run(COUNTDOWN, episodes=24)
    start = trajectory.obs[0, :, 0, 1].astype(int)
    assert set(start) == {1, 2, 3, 4}
    np.testing.assert_array_equal(trajectory.valid.sum(axis=0), start)
    steps = np.arange(6)[:, None]
    last = steps == start - 1
    odd = start % 2 == 1
    np.testing.assert_array_equal(trajectory.terminated, last & odd)
    np.testing.assert_array_equal(trajectory.truncated, last & ~odd)
    # The true final observation, until the end of the batch.
    left = np.maximum(start - np.arange(7)[:, None], 0)
    np.testing.assert_array_equal(trajectory.obs[:, :, 0, 0], left)
    np.testing.assert_array_equal(trajectory.global_state[..., 0], 100 * left)


def test_a_finished_agent_observes_zeros_and_earns_nothing():
    trajectory = run(COUNTDOWN, episodes=24)
    start = trajectory.obs[0, :, 0, 1].astype(int)
    left = start - np.arange(6)[:, None]
    np.testing.assert_array_equal(trajectory.alive[..., 1], left > 1)
    np.testing.assert_array_equal(
        trajectory.reward[..., 1], np.where(left > 1, 10.0, 0.0)
    )
    valid = trajectory.valid
    earned = np.where(valid, trajectory.action[..., 0], 0)
    np.testing.assert_array_equal(trajectory.reward[..., 0], earned)
    assert (trajectory.action[..., 0][valid] > 0).all(), "the mask forbids 0"
    only_first = trajectory.action_mask[..., 1, 1:].any(axis=-1)
    np.testing.assert_array_equal(only_first[valid], (left > 1)[valid])
    # After the step in which it finished it still observes; then it observes zeros.
    finished = (left[1:] < 1) & valid[1:]
    assert not trajectory.obs[1:6, :, 1][finished].any()


def test_a_team_reward_is_divided():
    trajectory = run(f"{COUNTDOWN}?team_reward=true")
    team = trajectory.reward.sum(axis=-1)
    np.testing.assert_array_equal(team, np.where(trajectory.valid, 6.0, 0.0))


def test_simulators_are_kept_by_size_and_closed():
    env = task(COUNTDOWN)
    assert isinstance(env, ExternalEnv)
    with env.acquire_batch(3) as first, env.acquire_batch(3) as second:
        assert first is not second
    with env.acquire_batch(2) as other:
        assert other is not first
    with env.acquire_batch(3) as again:
        assert again in (first, second)
    opened: list[Any] = [first, second, other]
    env.close()
    assert not any(x._env.is_open for x in opened)
    with pytest.raises(ZeroDivisionError), env.acquire_batch(2) as failed:
        _ = 1 / 0
    broken: Any = failed
    assert not broken._env.is_open


@pytest.mark.parametrize(
    ("fault", "value", "message"),
    [
        ("obs", 1.0, "observations have the shape []; expected [8, 2, 2]"),
        ("obs", [[[1e39] * 2] * 2] * 8, "observations of copy "),
        ("reward", [1.0], "rewards have the shape [1]; expected [8, 2]"),
        ("reward", ["x"] * 8, "it raised "),
        ("terminated", False, "terminated have the shape []; expected [8]"),
        ("truncated", [2] * 8, "truncated holds other numbers than 0 and 1"),
        ("info", None, "step_batch returned no tuple of 5, with a dictionary at its"),
        ("result", 3, "step_batch returned no tuple of 5, with a dictionary at its"),
        ("alive", [1], "alive have the shape [1]; expected [8, 2]"),
        ("action_mask", [[[0] * 3] * 2] * 8, "action_mask of copy "),
        ("global_state", [1], "global_state have the shape [1]; expected [8, 1]"),
        ("exception", None, "it raised OSError: no server (batched_envs.py:"),
    ],
)
def test_wrong_values_name_the_step(fault: str, value: Any, message: str):
    text = json.dumps(value).replace(" ", "")
    with pytest.raises(EnvironmentStepError, match=re.escape(message)) as raised:
        run(f"{COUNTDOWN}?fault={fault}&value={text}")
    assert ", step " in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("batched:", "task 'batched:' is incomplete; expected e.g. batched:your_own"),
        ("batched:batched_envs", "is incomplete; expected python:MODULE:NAME"),
        ("batched:batched_envs:Contdown", "did you mean 'Countdown'?"),
        ("batched:batched_envs:no_simulator", "int lacks num_agents, num_actions,"),
        (f"{COUNTDOWN}?speed=3", "cannot be opened: TypeError: "),
        (f"{COUNTDOWN}?fault=obs_dim&value=0", "obs_dim is 0; expected at least 1"),
        (f"{COUNTDOWN}?fault=num_agents&value=x", "num_agents is 'x'; expected at"),
        (f"{COUNTDOWN}?time_limit=0", "time_limit is 0; expected 1 to 1,000,000"),
    ],
)
def test_an_invalid_simulator_is_told_in_one_line(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)) as raised:
        task(id)
    assert "\n" not in str(raised.value)
