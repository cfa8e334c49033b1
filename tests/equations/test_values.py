"""Q-learning's equations: by hand, against NumPy, and by what is drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from syntony.equations import values
from syntony.equations.distributions import categorical_sample, masked_logits

# Eighths: XLA takes numbers next to zero for zero.
NUMBERS = st.integers(-800, 800).map(lambda n: n / 8)


def test_double_q_by_hand():
    # The fast values like action 0 best; action 1 may not be taken; 2 is left.
    fast = jnp.array([[3.0, 2.0, 1.0], [1.0, 9.0, 2.0]])
    slow = jnp.array([[5.0, 7.0, 9.0], [4.0, 8.0, 6.0]])
    available = jnp.array([[True, True, True], [True, False, True]])
    np.testing.assert_allclose(values.double_q_value(fast, slow, available), [5.0, 6.0])


@given(
    arrays(np.float32, (7, 4), elements=NUMBERS),
    arrays(np.float32, (7, 4), elements=NUMBERS),
    arrays(bool, (7, 4)),
)
def test_double_q_as_numpy_has_it(fast, slow, available):
    available[:, 0] |= ~available.any(axis=1)
    best = np.where(available, fast, -np.inf).argmax(axis=1)
    want = slow[np.arange(7), best]
    got = values.double_q_value(*map(jnp.asarray, (fast, slow, available)))
    np.testing.assert_allclose(got, want)


def test_targets_by_hand():
    # γ = ½: 1 + ½·4 while it goes on, 1 where it ended by itself.
    got = values.td_target(
        jnp.ones(2), jnp.full(2, 4.0), jnp.array([False, True]), gamma=0.5
    )
    np.testing.assert_allclose(got, [3.0, 1.0])


@pytest.mark.parametrize(
    ("steps", "want"), [(0, 1.0), (25_000, 0.525), (50_000, 0.05), (10**9, 0.05)]
)
def test_exploration_falls_in_a_line(steps, want):
    got = values.linear_epsilon(
        jnp.int32(steps), start=1.0, end=0.05, anneal_steps=50_000
    )
    np.testing.assert_allclose(got, want, rtol=1e-6)


def drawn(worth, explore, available) -> np.ndarray:
    """Returns how often each action is drawn."""
    shape = (len(explore), len(worth))
    logits = values.epsilon_greedy_logits(jnp.broadcast_to(worth, shape), explore)
    noise = jax.random.gumbel(jax.random.key(1), shape)
    logits = masked_logits(logits, jnp.broadcast_to(available, shape))
    action = categorical_sample(noise, logits)
    return np.bincount(action, minlength=len(worth)) / len(explore)


@pytest.mark.parametrize("available", [(1, 1, 1, 1), (1, 0, 1, 1), (0, 0, 1, 1)])
def test_epsilon_greedy_among_what_is_available(available):
    """(1 − ε) + ε/m for the best of the m that remain, ε/m for the others."""
    worth, mask = jnp.array([0.3, 0.9, -2.0, 0.1]), jnp.array(available, bool)
    explore = jax.random.bernoulli(jax.random.key(0), 0.4, (20_000,))
    best = np.where(mask, worth, -np.inf).argmax()
    want = 0.4 * np.asarray(mask) / mask.sum() + 0.6 * (np.arange(4) == best)
    got = drawn(worth, explore, mask)
    sigma = np.sqrt(want * (1 - want) / 20_000)
    assert np.all(np.abs(got - want) <= 4 * sigma)


@given(arrays(np.float32, 5, elements=NUMBERS, unique=True), st.booleans())
def test_without_luck_the_best_is_taken(worth, explore):
    logits = values.epsilon_greedy_logits(jnp.asarray(worth), jnp.asarray(explore))
    assert int(jnp.argmax(logits)) == int(np.argmax(worth))
