"""Equations 2-5 and 7 of SMPE² against NumPy, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.equations import belief


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "others": rng.normal(size=(4, 3, 7)),
        "prediction": rng.normal(size=(4, 3, 7)),
        "w": rng.uniform(size=(4, 3, 7)),
        "w_target": rng.uniform(size=(4, 3, 7)),
    }


def test_reconstruction_loss_is_a_squared_distance(arrays):
    got = belief.reconstruction_loss(
        *(jnp.asarray(arrays[k]) for k in ("w_target", "others", "w", "prediction"))
    )
    error = arrays["w_target"] * arrays["others"] - arrays["w"] * arrays["prediction"]
    want = np.linalg.norm(error, axis=-1) ** 2
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_reconstruction_loss_has_no_gradient_in_the_target_filter(arrays):
    args = [jnp.asarray(arrays[k]) for k in ("w_target", "others", "w", "prediction")]
    grads = jax.grad(
        lambda *a: jnp.sum(belief.reconstruction_loss(*a)), argnums=(0, 2, 3)
    )(*args)
    w_target, others, w, prediction = (np.asarray(a) for a in args)
    error = w_target * others - w * prediction
    np.testing.assert_array_equal(grads[0], 0.0)
    np.testing.assert_allclose(grads[1], -2 * error * prediction, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(grads[2], -2 * error * w, rtol=1e-4, atol=1e-5)


def test_norm_loss_prevents_zero_filters():
    """w = w̃ = 0 has no reconstruction loss; the norm loss increases small w."""
    zero, ones = jnp.zeros(5), jnp.ones(5)
    assert belief.reconstruction_loss(zero, ones, zero, ones) == 0.0
    small = jnp.full(5, 1e-3)
    assert np.all(jax.grad(belief.norm_loss)(small) < 0)
    np.testing.assert_array_equal(jax.grad(belief.norm_loss)(zero), 0.0)


def test_norm_loss_has_the_sign_of_the_paper(arrays):
    got = belief.norm_loss(jnp.asarray(arrays["w"]))
    np.testing.assert_allclose(got, -((arrays["w"] ** 2).sum(-1)), rtol=1e-6)


def test_kl_loss_by_hand():
    # Two dimensions: (μ, σ²) = (1, 1) gives ½; (0, e²) gives ½(e² − 2 − 1).
    got = belief.kl_loss(jnp.array([1.0, 0.0]), jnp.array([0.0, 2.0]))
    assert got == pytest.approx(0.5 + 0.5 * (np.e**2 - 3.0), rel=1e-6)


def test_kl_loss_against_its_integral():
    mean, log_var = 0.7, -0.9
    x = np.linspace(-12, 12, 200_001)
    std = np.exp(0.5 * log_var)
    log_q = -0.5 * ((x - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
    log_p = -0.5 * x**2 - 0.5 * np.log(2 * np.pi)
    want = np.trapezoid(np.exp(log_q) * (log_q - log_p), x)
    got = belief.kl_loss(jnp.array([mean]), jnp.array([log_var]))
    assert got == pytest.approx(want, rel=1e-5)


def test_elbo():
    assert belief.elbo(jnp.float32(-3.0), jnp.float32(0.5)) == -3.5


def test_filtered_state_concatenates_own_and_weighted_observations():
    own, others = jnp.array([1.0, 2.0]), jnp.array([4.0, 8.0, 16.0])
    got = belief.filtered_state(own, others, jnp.array([0.5, 0.25, 0.0]))
    np.testing.assert_array_equal(got, [1, 2, 2, 2, 0])


def test_encodings_loss_weights_all_terms_but_the_critic():
    got = belief.encodings_loss(
        jnp.float32(1.0),
        jnp.float32(10.0),
        jnp.float32(-100.0),
        jnp.float32(1000.0),
        lambda_rec=0.5,
        lambda_norm=0.1,
        lambda_kl=0.01,
    )
    assert got == pytest.approx(1 + 5 - 10 + 10)


def test_soft_clip_log_var_and_its_gradient():
    x = np.concatenate([np.linspace(-50.0, 2.0, 27), np.linspace(2.0, 300.0, 99)])
    want = np.where(x <= 2.0, x, 2.0 + np.log(np.maximum(x - 1.0, 1.0)))
    got = belief.soft_clip_log_var(jnp.asarray(x))
    np.testing.assert_allclose(got, want, rtol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(belief.soft_clip_log_var(x)))(jnp.asarray(x))
    np.testing.assert_allclose(gradient, 1.0 / np.maximum(x - 1.0, 1.0), rtol=1e-5)
