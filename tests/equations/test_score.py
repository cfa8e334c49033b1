"""Policy-gradient losses and estimates against closed forms and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from syntony.equations import distributions
from syntony.equations.score import (
    actor_loss,
    antithetic_pairs,
    clip_at_quantile,
    leave_one_out_baseline,
    mean_baseline,
    random_orthogonal_matrices,
    score_surrogate,
    spsa_gradient_estimate,
)

SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=50)
LEAVE_ONE_OUT = jax.jit(
    leave_one_out_baseline, static_argnames=("num_contexts", "antithetic")
)


def test_surrogate_estimates_the_gradient_of_the_expected_payoff(key):
    """Categorical: ∂/∂logit_a E[R] = π_a (R_a − E[R]); within 5 standard errors."""
    logits = jnp.array([0.3, -0.5, 1.1])
    payoff = jnp.array([1.0, -2.0, 0.5])
    num_samples = 200_000
    noise = jax.random.gumbel(key, (num_samples, 3))
    action = distributions.categorical_sample(
        noise, jnp.broadcast_to(logits, noise.shape)
    )

    def surrogate(logits, action):
        log_prob = distributions.categorical_log_prob(logits, action)
        return score_surrogate(log_prob, payoff[action])

    grads = -jax.vmap(jax.grad(surrogate), (None, 0))(logits, action)
    probability = jax.nn.softmax(logits)
    want = probability * (payoff - probability @ payoff)
    error = grads.std(0) / num_samples**0.5
    assert np.all(np.abs(grads.mean(0) - want) < 5 * error)


def test_surrogate_has_no_gradient_in_the_payoff():
    grads = jax.grad(lambda p: jnp.sum(score_surrogate(jnp.ones(3), p)))(jnp.ones(3))
    np.testing.assert_array_equal(grads, 0.0)


def test_actor_loss_by_hand():
    # −0.01·1.5 − (−0.7)·2 = 1.385
    got = actor_loss(
        jnp.float32(-0.7), jnp.float32(2.0), jnp.float32(1.5), entropy_coef=0.01
    )
    np.testing.assert_allclose(got, 1.385, rtol=1e-6)


def test_actor_loss_has_no_gradient_in_the_advantage():
    grad = jax.grad(
        lambda a: actor_loss(jnp.float32(-0.7), a, jnp.float32(1.5), entropy_coef=0.01)
    )(jnp.float32(2.0))
    assert grad == 0.0


def random_payoffs(seed, *, batch=12, contexts=4):
    """Payoffs, a mask of those received, and contexts, some of one sample or none."""
    rng = np.random.default_rng(seed)
    payoff = rng.normal(size=batch).astype(np.float32)
    received = rng.random(batch) < rng.random()
    return payoff, received, rng.integers(contexts, size=batch)


@FEW
@given(SEEDS)
def test_mean_baseline_is_the_mean_of_received_payoffs(seed):
    payoff, received, _ = random_payoffs(seed)
    want = payoff[received].mean() if received.any() else 0.0
    got = jax.jit(mean_baseline)(jnp.array(payoff), jnp.array(received))
    assert float(got) == pytest.approx(want, abs=1e-6)


def leave_one_out_mean(payoff, received, context, i, pair):
    """Baseline of sample i, by a loop over the others."""
    others = [
        payoff[j]
        for j in range(len(payoff))
        if j not in (i, pair) and context[j] == context[i] and received[j]
    ]
    if others:
        return float(np.mean(others))
    return float(payoff[received].mean()) if received.any() else 0.0


@FEW
@given(SEEDS)
def test_leave_one_out_baseline_is_the_mean_of_the_others(seed):
    payoff, received, context = random_payoffs(seed)
    args = jnp.array(payoff), jnp.array(received), jnp.array(context)
    got = LEAVE_ONE_OUT(*args, num_contexts=4)
    want = [leave_one_out_mean(payoff, received, context, i, i) for i in range(12)]
    np.testing.assert_allclose(got, want, atol=1e-5)


@FEW
@given(SEEDS)
def test_leave_one_out_baseline_leaves_out_antithetic_pairs(seed):
    payoff, received, context = random_payoffs(seed)
    context = np.tile(context[:6], 2)
    args = jnp.array(payoff), jnp.array(received), jnp.array(context)
    got = LEAVE_ONE_OUT(*args, num_contexts=4, antithetic=True)
    pairs = [*range(6, 12), *range(6)]
    want = [
        leave_one_out_mean(payoff, received, context, i, pairs[i]) for i in range(12)
    ]
    np.testing.assert_allclose(got, want, atol=1e-5)


@FEW
@given(SEEDS, st.floats(0.1, 1.0))
def test_losses_are_clipped_at_the_quantile_of_received_losses(seed, quantile):
    loss, received, _ = random_payoffs(seed)
    got = jax.jit(clip_at_quantile)(jnp.array(loss), jnp.array(received), quantile)
    if received.any():
        limit = np.quantile(loss[received], quantile)
        np.testing.assert_allclose(got, np.minimum(loss, limit), atol=1e-5)
    else:
        np.testing.assert_array_equal(got, loss)


def test_quantile_one_clips_nothing():
    loss = jnp.array([3.0, -1.0, 7.0, 7.0])
    np.testing.assert_array_equal(clip_at_quantile(loss, jnp.ones(4, bool), 1.0), loss)


def test_antithetic_pairs_are_noise_and_its_negative(key):
    noise = jax.random.normal(key, (5, 3, 2))
    pairs = antithetic_pairs(noise)
    assert pairs.shape == (10, 3, 2)
    np.testing.assert_array_equal(pairs[:5], noise)
    np.testing.assert_array_equal(pairs[5:], -noise)


def test_random_orthogonal_matrices_are_orthogonal_and_uniform(key):
    matrices = np.asarray(random_orthogonal_matrices(key, 4000, 5))
    products = matrices @ matrices.swapaxes(1, 2)
    np.testing.assert_allclose(
        products, np.broadcast_to(np.eye(5), products.shape), atol=1e-5
    )
    # A uniform direction's squared coordinates are Beta(1/2, (D − 1) / 2), its signs
    # equally likely; a plain QR factorization would fix the sign of the last row.
    for row in (matrices[:, 0], matrices[:, -1]):
        for coordinate in (0, 4):
            squares = row[:, coordinate] ** 2
            assert stats.kstest(squares, stats.beta(0.5, 2.0).cdf).pvalue > 1e-3
        assert np.all(np.abs(row.mean(axis=0)) < 5 * (0.2 / 4000) ** 0.5)


@pytest.mark.parametrize("step", [0.01, 1.0])
def test_mean_of_spsa_is_the_gradient_of_a_quadratic(step):
    """Exact for ½vᵀAv + bᵀv over all 2⁴ directions, at any step."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    matrix, b, v = root @ root.T, rng.normal(size=4), rng.normal(size=4)

    def loss(v):
        return jnp.float32(0.5 * v @ matrix @ v + b @ v)

    signs = np.array([[1 - 2 * (i >> k & 1) for k in range(4)] for i in range(16)])
    estimates = [
        spsa_gradient_estimate(
            loss(v + step * d), loss(v - step * d), jnp.float32(d), step
        )
        for d in signs
    ]
    want = matrix @ v + b
    np.testing.assert_allclose(np.mean(estimates, axis=0), want, rtol=2e-3, atol=2e-3)
    # One direction gives the directional derivative along it.
    np.testing.assert_allclose(estimates[3] @ signs[3] / 4, want @ signs[3], rtol=2e-3)
