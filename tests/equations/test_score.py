"""Policy gradients against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np

from syntony.equations import densities
from syntony.equations.score import actor_loss, score_surrogate


def test_surrogate_estimates_the_gradient_of_the_expected_payoff(key):
    """Categorical: ∂/∂logit_a E[R] = π_a (R_a − E[R]); within 5 standard errors."""
    logits = jnp.array([0.3, -0.5, 1.1])
    payoff = jnp.array([1.0, -2.0, 0.5])
    draws = 200_000
    noise = jax.random.gumbel(key, (draws, 3))
    action = densities.categorical_sample(noise, jnp.broadcast_to(logits, noise.shape))

    def surrogate(logits, action):
        log_prob = densities.categorical_log_prob(logits, action)
        return score_surrogate(log_prob, payoff[action])

    grads = -jax.vmap(jax.grad(surrogate), (None, 0))(logits, action)
    probability = jax.nn.softmax(logits)
    want = probability * (payoff - probability @ payoff)
    error = grads.std(0) / draws**0.5
    assert np.all(np.abs(grads.mean(0) - want) < 5 * error)


def test_no_gradient_passes_through_the_payoff():
    grads = jax.grad(lambda p: jnp.sum(score_surrogate(jnp.ones(3), p)))(jnp.ones(3))
    np.testing.assert_array_equal(grads, 0.0)


def test_actor_loss_by_hand():
    # −0.01·1.5 − (−0.7)·2 = 1.385
    got = actor_loss(
        jnp.float32(-0.7), jnp.float32(2.0), jnp.float32(1.5), entropy_coef=0.01
    )
    np.testing.assert_allclose(got, 1.385, rtol=1e-6)


def test_actor_loss_holds_the_advantage_still():
    grad = jax.grad(
        lambda a: actor_loss(jnp.float32(-0.7), a, jnp.float32(1.5), entropy_coef=0.01)
    )(jnp.float32(2.0))
    assert grad == 0.0
