"""Whole episodes in lock-step: masks, final observations, returns, choices."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from syntony.config import pytree_dataclass
from syntony.tasks.rollout import rollout
from syntony.tasks.task import TimeStep


class Clock(NamedTuple):
    time: Int[Array, ""]
    end: Int[Array, ""]


@pytree_dataclass
class Countdown:
    """Ends after 1 to 9 steps, drawn at the reset, or at the limit; pays the action."""

    num_agents: int = 2
    num_actions: int = 3
    obs_dim: int = 1
    time_limit: int = 5
    shared_reward: bool = False
    id: str = "countdown"

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


def eager(obs, memory):
    """Prefers the last action most, and counts its calls."""
    logits = jnp.broadcast_to(jnp.array([0.0, 1.0, 2.0]), (*obs.shape[:2], 3))
    return logits, memory + 1


def lived(key, **choices):
    return rollout(Countdown(), eager, jnp.int32(0), key, episodes=64, **choices)


def test_episodes_end_where_the_task_says(key):
    episodes = lived(key)
    ends = np.asarray(episodes.state.end[0])
    lengths = np.minimum(ends, 5)
    np.testing.assert_array_equal(episodes.valid.sum(0), lengths)
    assert episodes.num_steps == lengths.sum()
    np.testing.assert_array_equal(episodes.terminated.sum(0), ends <= 5)
    np.testing.assert_array_equal(episodes.truncated.sum(0), ends > 5)
    rows = np.arange(64)
    ended = np.asarray(episodes.terminated | episodes.truncated)
    assert ended[lengths - 1, rows].all()
    np.testing.assert_array_equal(episodes.obs[lengths, rows, 0, 0], lengths)
    assert {1, 5} <= set(lengths)


def test_nothing_is_earned_behind_the_end(key):
    episodes = lived(key, greedy=True)
    lengths = np.asarray(episodes.valid.sum(0))
    # Greedy agents take actions 2 and, as 2 is not available to the second, 1.
    np.testing.assert_array_equal(episodes.returns, 3 * lengths)
    assert not np.asarray(episodes.reward)[~np.asarray(episodes.valid)].any()


def test_draws_follow_the_policy_and_its_log_probabilities(key):
    episodes = lived(key)
    action = np.asarray(episodes.action)
    assert action[..., 1].max() == 1
    p = np.exp([0.0, 1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum()
    np.testing.assert_allclose(
        np.exp(episodes.log_prob[..., 0]), p[action[..., 0]], rtol=1e-5
    )
    shares = np.bincount(action[..., 0].ravel(), minlength=3) / action[..., 0].size
    np.testing.assert_allclose(shares, p, atol=0.1)
