"""Q-learning equations by hand, against NumPy, and by samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from syntony.equations import values
from syntony.equations.distributions import categorical_sample, masked_logits

# Multiples of 1/8: XLA flushes denormal numbers to zero.
NUMBERS = st.integers(-800, 800).map(lambda n: n / 8)


def test_double_q_by_hand():
    # Best by Q: action 0; in the second row action 1 is masked, which leaves 2.
    q_values = jnp.array([[3.0, 2.0, 1.0], [1.0, 9.0, 2.0]])
    target_q_values = jnp.array([[5.0, 7.0, 9.0], [4.0, 8.0, 6.0]])
    action_mask = jnp.array([[True, True, True], [True, False, True]])
    got = values.double_q_value(q_values, target_q_values, action_mask)
    np.testing.assert_allclose(got, [5.0, 6.0])


@given(
    arrays(np.float32, (7, 4), elements=NUMBERS),
    arrays(np.float32, (7, 4), elements=NUMBERS),
    arrays(bool, (7, 4)),
)
def test_double_q_against_numpy(q_values, target_q_values, action_mask):
    action_mask[:, 0] |= ~action_mask.any(axis=1)
    best = np.where(action_mask, q_values, -np.inf).argmax(axis=1)
    want = target_q_values[np.arange(7), best]
    got = values.double_q_value(
        *map(jnp.asarray, (q_values, target_q_values, action_mask))
    )
    np.testing.assert_allclose(got, want)


def test_td_target_by_hand():
    # γ = ½: 1 + ½·4 during the episode, 1 where it terminated.
    got = values.td_target(
        jnp.ones(2), jnp.full(2, 4.0), jnp.array([False, True]), gamma=0.5
    )
    np.testing.assert_allclose(got, [3.0, 1.0])


@pytest.mark.parametrize(
    ("steps", "want"), [(0, 1.0), (25_000, 0.525), (50_000, 0.05), (10**9, 0.05)]
)
def test_epsilon_decreases_linearly(steps, want):
    got = values.linear_epsilon(
        jnp.int32(steps), start=1.0, end=0.05, anneal_steps=50_000
    )
    np.testing.assert_allclose(got, want, rtol=1e-6)


def action_frequencies(q_values, explore, action_mask) -> np.ndarray:
    """Frequency of each action among samples."""
    shape = (len(explore), len(q_values))
    logits = values.epsilon_greedy_logits(jnp.broadcast_to(q_values, shape), explore)
    noise = jax.random.gumbel(jax.random.key(1), shape)
    logits = masked_logits(logits, jnp.broadcast_to(action_mask, shape))
    action = categorical_sample(noise, logits)
    return np.bincount(action, minlength=len(q_values)) / len(explore)


@pytest.mark.parametrize("available", [(1, 1, 1, 1), (1, 0, 1, 1), (0, 0, 1, 1)])
def test_epsilon_greedy_among_available_actions(available):
    """(1 − ε) + ε/m for the best of the m available actions, ε/m for the others."""
    q_values, mask = jnp.array([0.3, 0.9, -2.0, 0.1]), jnp.array(available, bool)
    explore = jax.random.bernoulli(jax.random.key(0), 0.4, (20_000,))
    best = np.where(mask, q_values, -np.inf).argmax()
    want = 0.4 * np.asarray(mask) / mask.sum() + 0.6 * (np.arange(4) == best)
    got = action_frequencies(q_values, explore, mask)
    sigma = np.sqrt(want * (1 - want) / 20_000)
    assert np.all(np.abs(got - want) <= 4 * sigma)


@given(arrays(np.float32, 5, elements=NUMBERS, unique=True), st.booleans())
def test_logits_are_greedy_without_noise(q_values, explore):
    logits = values.epsilon_greedy_logits(jnp.asarray(q_values), jnp.asarray(explore))
    assert int(jnp.argmax(logits)) == int(np.argmax(q_values))
