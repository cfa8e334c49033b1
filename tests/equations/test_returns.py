"""n-step targets by hand, and against a loop over their definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syntony.equations.returns import critic_loss, n_step_targets


def by_definition(rewards, value, terminated, truncated, gamma, n):
    """G_t, step by step; `value[t]` is V(s_t), one longer than `rewards`."""
    steps = len(rewards)
    targets = np.zeros(steps)
    for t in range(steps):
        discount, k = 1.0, t
        for k in range(t, min(t + n, steps)):
            targets[t] += discount * rewards[k]
            discount *= gamma
            if terminated[k]:
                discount = 0.0
            if terminated[k] or truncated[k]:
                break
        targets[t] += discount * value[k + 1]
    return targets


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.sampled_from([1, 8]),
    n=st.sampled_from([1, 3, 5, 12]),
    gamma=st.floats(0.0, 1.0),
)
def test_against_the_definition(seed, steps, n, gamma):
    rng = np.random.default_rng(seed)
    rewards, value = rng.normal(size=steps), rng.normal(size=steps + 1)
    terminated, truncated = rng.uniform(size=(2, steps)) < 0.2
    got = n_step_targets(
        jnp.asarray(rewards),
        jnp.asarray(value[:-1]),
        jnp.asarray(value[1:]),
        jnp.asarray(terminated),
        jnp.asarray(truncated),
        gamma=gamma,
        n=n,
    )
    want = by_definition(rewards, value, terminated, truncated, gamma, n)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ends", ["terminated", "truncated"])
def test_targets_bootstrap_after_truncation_only(ends):
    """The last target is r after termination, and r + γ V' after truncation."""
    ended = jnp.array([False, False, True])
    never = jnp.zeros(3, bool)
    got = n_step_targets(
        jnp.array([0.0, 0.0, 1.0]),
        jnp.array([5.0, 6.0, 7.0]),
        jnp.array([6.0, 7.0, 8.0]),
        ended if ends == "terminated" else never,
        ended if ends == "truncated" else never,
        gamma=0.5,
        n=5,
    )
    last = 1.0 if ends == "terminated" else 1.0 + 0.5 * 8.0
    np.testing.assert_allclose(got, [last / 4, last / 2, last])


def test_targets_ignore_rewards_after_the_end():
    ended = jnp.array([False, True, False, False])
    args = jnp.zeros(4), jnp.ones(4), jnp.ones(4), ended, jnp.zeros(4, bool)
    without = n_step_targets(*args, gamma=0.9, n=3)
    with_later = n_step_targets(jnp.array([0, 0, 9.0, 9.0]), *args[1:], gamma=0.9, n=3)
    np.testing.assert_array_equal(without[:2], with_later[:2])


def test_targets_of_agents_are_independent():
    """A bonus of agent 0 does not change the targets of the others."""
    never = jnp.zeros((6, 2, 3), bool)
    value = jnp.ones((6, 2, 3))
    reward = jnp.zeros((6, 2, 3))
    got = [
        n_step_targets(r, value, value, never, never, gamma=0.9, n=5)
        for r in (reward, reward.at[..., 0].add(1.0))
    ]
    np.testing.assert_array_equal(got[0][..., 1:], got[1][..., 1:])
    assert np.all(got[0][..., 0] < got[1][..., 0])


def test_critic_loss_has_no_gradient_in_the_target():
    target, value = jnp.array([1.0, 2.0]), jnp.array([0.0, 4.0])
    np.testing.assert_array_equal(critic_loss(target, value), [1.0, 4.0])
    grads = jax.grad(lambda t, v: jnp.sum(critic_loss(t, v)), argnums=(0, 1))(
        target, value
    )
    np.testing.assert_array_equal(grads[0], 0.0)
    np.testing.assert_array_equal(grads[1], [-2.0, 4.0])
