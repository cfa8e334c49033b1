"""Rollouts: masks, final observations, returns, sampled actions."""

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Int

from syntony.config import field, pytree_dataclass
from syntony.tasks.last_action import LastAction
from syntony.tasks.rollout import rollout
from syntony.tasks.task import TimeStep


class Clock(NamedTuple):
    time: Int[Array, ""]
    end: Int[Array, ""]


@pytree_dataclass
class Countdown:
    """Terminates after 1 to 9 steps, drawn at the reset; the reward is the action."""

    num_agents: int = field(2, static=True)
    num_actions: int = field(3, static=True)
    obs_dim: int = field(1, static=True)
    time_limit: int = field(5, static=True)
    shared_reward: bool = field(False, static=True)
    id: str = field("countdown", static=True)

    def reset(self, key):
        state = Clock(jnp.int32(0), jax.random.randint(key, (), 1, 10))
        return state, self.observe(state)

    def observe(self, state):
        return jnp.full((2, 1), state.time, jnp.float32)

    def action_mask(self, state):
        del state
        return jnp.array([[True, True, True], [True, True, False]])

    def step(self, key, state, action):
        del key
        state = state._replace(time=state.time + 1)
        terminated = state.time == state.end
        truncated = (state.time == self.time_limit) & ~terminated
        reward = action.astype(jnp.float32)
        return state, TimeStep(self.observe(state), reward, terminated, truncated)


def prefer_last_action(obs, hidden):
    """Policy that prefers the last action, and counts its calls."""
    logits = jnp.broadcast_to(jnp.array([0.0, 1.0, 2.0]), (*obs.shape[:2], 3))
    return logits, hidden + 1


def run(key, **options):
    policy = prefer_last_action
    return rollout(Countdown(), policy, jnp.int32(0), key, episodes=64, **options)


def test_episodes_end_where_the_task_ends_them(key):
    trajectory = run(key)
    ends = np.asarray(cast(Clock, trajectory.state).end[0])
    lengths = np.minimum(ends, 5)
    np.testing.assert_array_equal(trajectory.valid.sum(0), lengths)
    assert trajectory.num_steps == lengths.sum()
    np.testing.assert_array_equal(trajectory.terminated.sum(0), ends <= 5)
    np.testing.assert_array_equal(trajectory.truncated.sum(0), ends > 5)
    rows = np.arange(64)
    ended = np.asarray(trajectory.terminated | trajectory.truncated)
    assert ended[lengths - 1, rows].all()
    np.testing.assert_array_equal(trajectory.obs[lengths, rows, 0, 0], lengths)
    assert {1, 5} <= set(lengths)


def test_no_reward_after_the_end(key):
    trajectory = run(key, greedy=True)
    lengths = np.asarray(trajectory.valid.sum(0))
    # Greedy agents take actions 2 and, as 2 is not available to the second, 1.
    np.testing.assert_array_equal(trajectory.returns, 3 * lengths)
    assert not np.asarray(trajectory.reward)[~np.asarray(trajectory.valid)].any()


def test_sampled_actions_follow_the_policy(key):
    trajectory = run(key)
    action = np.asarray(trajectory.action)
    assert action[..., 1].max() == 1
    p = np.exp([0.0, 1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum()
    np.testing.assert_allclose(
        np.exp(trajectory.log_prob[..., 0]), p[action[..., 0]], rtol=1e-5
    )
    frequencies = np.bincount(action[..., 0].ravel(), minlength=3) / action[..., 0].size
    np.testing.assert_allclose(frequencies, p, atol=0.1)


@pytree_dataclass
class WatchedCountdown(Countdown):
    """A countdown whose end is in the global state; the second agent stops at 2."""

    @property
    def global_state_dim(self):
        return 2

    def global_state(self, state):
        return jnp.stack([state.time, state.end]).astype(jnp.float32)

    def alive(self, state):
        return jnp.array([True, False]) | (state.time < 2)


@pytest.mark.parametrize("last_action", [False, True])
def test_global_state_is_recorded_up_to_the_final_state(key, last_action):
    watched = WatchedCountdown()
    task: Any = LastAction(task=watched) if last_action else watched
    trajectory = rollout(task, prefer_last_action, jnp.int32(0), key, episodes=16)
    state = cast(Any, trajectory.state)
    ends = np.asarray((state.task_state if last_action else state).end[0])
    time = np.minimum(np.arange(6)[:, None], np.minimum(ends, 5))
    expected = np.stack([time, np.broadcast_to(ends, time.shape)], axis=-1)
    np.testing.assert_array_equal(trajectory.global_state, expected)


def test_a_task_without_a_global_state_records_one_of_length_0(key):
    assert run(key).global_state.shape == (6, 64, 0)


def test_an_agent_that_finished_early_earns_nothing(key):
    trajectory = rollout(
        WatchedCountdown(),
        prefer_last_action,
        jnp.int32(0),
        key,
        episodes=16,
        greedy=True,
    )
    lengths = np.asarray(trajectory.valid.sum(0))
    np.testing.assert_array_equal(trajectory.alive[..., 0].sum(0), lengths)
    np.testing.assert_array_equal(
        trajectory.alive[..., 1].sum(0), np.minimum(lengths, 2)
    )
    # Greedy rewards are 2 and 1 a step.
    np.testing.assert_array_equal(
        trajectory.returns, 2 * lengths + np.minimum(lengths, 2)
    )
