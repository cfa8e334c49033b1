"""n-step targets and GAE by hand, and against loops over their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syntony.equations.returns import (
    clipped_value_loss,
    critic_loss,
    generalized_advantage,
    n_step_targets,
    normalize_advantages,
)


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


def gae_by_definition(rewards, value, terminated, truncated, gamma, lam):
    """Σ_l (γλ)ˡ δ_{t+l} up to the end; `value[t]` is V(s_t), one longer."""
    steps = len(rewards)
    advantage = np.zeros(steps)
    for t in range(steps):
        discount = 1.0
        for k in range(t, steps):
            following = 0.0 if terminated[k] else value[k + 1]
            advantage[t] += discount * (rewards[k] + gamma * following - value[k])
            if terminated[k] or truncated[k]:
                break
            discount *= gamma * lam
    return advantage


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.sampled_from([1, 8]),
    gamma=st.floats(0.0, 1.0),
    lam=st.floats(0.0, 1.0),
)
def test_gae_against_the_definition(seed, steps, gamma, lam):
    rng = np.random.default_rng(seed)
    rewards, value = rng.normal(size=steps), rng.normal(size=steps + 1)
    terminated, truncated = rng.uniform(size=(2, steps)) < 0.2
    arrays = rewards, value[:-1], value[1:], terminated, truncated
    got = generalized_advantage(*map(jnp.asarray, arrays), gamma=gamma, gae_lambda=lam)
    want = gae_by_definition(rewards, value, terminated, truncated, gamma, lam)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def constant_value(ends: str, gae_lambda: float) -> float:
    """Value v of ten states that look alike, each with reward 1, under γ = 0.9.

    A critic of one number learns the mean of its targets: v = mean of G(v).
    """
    last = jnp.arange(10) == 9
    never = jnp.zeros(10, bool)
    terminated, truncated = (last, never) if ends == "terminated" else (never, last)

    def mean_target(v: float) -> float:
        value = jnp.full(10, v)
        advantage = generalized_advantage(
            jnp.ones(10),
            value,
            value,
            terminated,
            truncated,
            gamma=0.9,
            gae_lambda=gae_lambda,
        )
        return float(jnp.mean(advantage + value))

    # The mean of the targets is linear in v.
    slope = mean_target(1.0) - mean_target(0.0)
    return mean_target(0.0) / (1.0 - slope)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.5, 0.95, 1.0])
def test_a_constant_observation_has_the_value_of_its_ends(gae_lambda):
    """1 / (1 − γ) where episodes are cut; less where they end.

    The target k steps before the end is Σ_{l<k} (γλ)ˡ (1 + γ (1 − λ) v) with, at the
    last of them, no bootstrap: v solves the mean over k = 1 … 10.
    """
    np.testing.assert_allclose(constant_value("truncated", gae_lambda), 10.0, rtol=1e-4)
    decay = 0.9 * gae_lambda
    constant = slope = 0.0
    for k in range(1, 11):
        constant += sum(decay**j for j in range(k)) / 10
        slope += sum(decay**j for j in range(k - 1)) * 0.9 * (1 - gae_lambda) / 10
    want = constant / (1.0 - slope)
    np.testing.assert_allclose(
        constant_value("terminated", gae_lambda), want, rtol=1e-4
    )


def test_two_closed_forms_at_a_termination():
    """λ = 0: v = 1 + 0.9 · 0.9 v; λ = 1: the mean of (1 − 0.9ᵏ) / 0.1."""
    np.testing.assert_allclose(constant_value("terminated", 0.0), 1 / 0.19, rtol=1e-4)
    sums = np.mean([(1 - 0.9**k) / 0.1 for k in range(1, 11)])
    np.testing.assert_allclose(constant_value("terminated", 1.0), sums, rtol=1e-4)


def test_normalized_advantages_have_zero_mean_where_they_count(key):
    x = 5.0 + 3.0 * jax.random.normal(key, (6, 4))
    mask = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.7, (6, 4))
    counted = np.asarray(normalize_advantages(x, mask))[np.asarray(mask)]
    np.testing.assert_allclose(counted.mean(), 0.0, atol=1e-5)
    np.testing.assert_allclose(counted.std(), 1.0, rtol=1e-4)


def test_clipped_value_losses_by_hand():
    """G = 0, ε = 0.2, d = 1: from 1 to 0.5 counts as to 0.8; beyond 1 it is linear."""
    value, old = jnp.array([0.5, 3.0, 0.9]), jnp.array([1.0, 3.0, 1.0])
    losses = clipped_value_loss(jnp.zeros(3), value, old, clip_eps=0.2, huber_delta=1.0)
    np.testing.assert_allclose(losses, [0.8**2 / 2, 2.5, 0.9**2 / 2], rtol=1e-6)
    unclipped = clipped_value_loss(
        jnp.zeros(3), value, old, clip_eps=jnp.inf, huber_delta=jnp.inf
    )
    np.testing.assert_allclose(unclipped, np.asarray(value) ** 2 / 2, rtol=1e-6)

    def total(target, old):
        loss = clipped_value_loss(target, value, old, clip_eps=0.2, huber_delta=1.0)
        return jnp.sum(loss)

    grads = jax.grad(total, argnums=(0, 1))(jnp.zeros(3), old)
    assert not np.any(grads)
