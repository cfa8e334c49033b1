"""Gradient estimators, against the exact gradient of l = ‖x_p − t_m‖².

A quadratic loss takes the place of the receiver's.
"""

import dataclasses
from collections import Counter
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syntony.channels.awgn import AWGN
from syntony.channels.feedback import Feedback
from syntony.errors import InvalidInputError
from syntony.networks.modems import GaussianReceiver
from syntony.systems.link import gradient_estimators
from syntony.systems.link.gradient_estimators import (
    PerturbationConfig,
    PerturbedBatch,
    backprop_loss_and_grad,
    collect_perturbed_losses,
    gradient_cosine_similarity,
    orthogonal_noise,
    policy_loss_and_grad,
    sample_messages,
    spsa_loss_and_grad,
)
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule

MESSAGES, BATCH_SIZE, DRAWS = 3, 30, 3000
VARIANCE = jnp.float32(0.3)
RNG = np.random.default_rng(0)
CODEBOOK = jnp.array(RNG.normal(size=(MESSAGES, 2, 2)), jnp.float32)
TARGET = jnp.array(RNG.normal(size=(MESSAGES, 2, 2)), jnp.float32)
PERFECT = Feedback()
CONFIG = PerturbationConfig()
# As one program: op by op, dozens are compiled.
policy_gradient = jax.jit(gradient_estimators.policy_gradient)
NONE_PENDING = PerturbedBatch.zeros(0, BATCH_SIZE, 2)


def quadratic_loss(key, channel_state, sent, message):
    del key
    return channel_state, jnp.sum((sent - TARGET[message]) ** 2, axis=(-2, -1))


def smoothed_gradient():
    """∇ E_w ‖a x + w − t‖² = 2 a (a x − t), each message being one of M."""
    a = np.sqrt(1.0 - float(VARIANCE))
    return 2.0 * a * (a * np.asarray(CODEBOOK) - np.asarray(TARGET)) / MESSAGES


@jax.jit
def sample_gradients(config, feedback, keys):
    def sample(key):
        _, batch = collect_perturbed_losses(
            config,
            quadratic_loss,
            feedback,
            CODEBOOK,
            VARIANCE,
            (),
            key,
            batch_size=BATCH_SIZE,
        )
        return policy_gradient(config, batch, CODEBOOK, VARIANCE)

    return jax.vmap(sample)(keys)


def estimates(baseline, antithetic, feedback=PERFECT):
    """Many gradients, always from the same keys."""
    config = PerturbationConfig(baseline=baseline, antithetic=antithetic)
    keys = jax.random.split(jax.random.key(0), DRAWS)
    return np.asarray(sample_gradients(config, feedback, keys))


def assert_mean(draws, want, *, slack=0.0):
    """Asserts the mean within 5 standard errors, which must be small."""
    error = draws.std(axis=0) / len(draws) ** 0.5
    assert error.max() < 0.1 * np.abs(want).max()
    difference = np.abs(draws.mean(axis=0) - want)
    assert np.all(difference < 5 * error + slack * np.abs(want).max())


ANTITHETIC = pytest.mark.parametrize("antithetic", [False, True])
BASELINES = pytest.mark.parametrize("baseline", ["none", "batch", "message"])


@ANTITHETIC
@BASELINES
def test_policy_gradient_is_that_of_the_smoothed_loss(baseline, antithetic):
    draws = estimates(baseline, antithetic)
    # The batch's mean contains each sample; in pairs its two contributions cancel.
    factor = (
        1.0 - 1.0 / BATCH_SIZE if (baseline, antithetic) == ("batch", False) else 1.0
    )
    assert_mean(draws, factor * smoothed_gradient())


@ANTITHETIC
@BASELINES
def test_erased_and_noisy_losses_do_not_change_the_mean(baseline, antithetic):
    draws = estimates(baseline, antithetic, Feedback(erasure_prob=0.4, noise_std=0.5))
    slack = 2.0 / BATCH_SIZE if baseline == "batch" else 0.0
    assert_mean(draws, smoothed_gradient(), slack=slack)


@ANTITHETIC
def test_with_orthogonal_directions_linear_terms_are_exact(antithetic, key):
    """One batch of 4 directions per message gives the gradient of a quadratic loss.

    Antithetic pairs cancel the even terms; without them only their mean is zero.
    """
    config = PerturbationConfig(
        antithetic=antithetic, perturbation_directions="orthogonal"
    )
    batch_size = MESSAGES * 4 * (2 if antithetic else 1)

    def draw(key):
        _, batch = collect_perturbed_losses(
            config,
            quadratic_loss,
            PERFECT,
            CODEBOOK,
            VARIANCE,
            (),
            key,
            batch_size=batch_size,
        )
        return policy_gradient(config, batch, CODEBOOK, VARIANCE)

    draws = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(key, DRAWS)))
    if antithetic:
        want = np.broadcast_to(smoothed_gradient(), draws.shape)
        np.testing.assert_allclose(draws, want, rtol=1e-3, atol=1e-3)
    slack = 0.0 if antithetic else 1.0 / batch_size
    difference = np.abs(draws.mean(axis=0) - smoothed_gradient())
    error = draws.std(axis=0) / DRAWS**0.5
    assert np.all(
        difference < 5 * error + slack * np.abs(smoothed_gradient()).max() + 1e-4
    )


def test_orthogonal_directions_smooth_over_a_ball(key):
    """∇ E_v (x + v)³ = 3 x² + 3 E v², and E v² = C σ² / (2 C + 2) in a ball."""
    uses, x = 2, 0.4
    config = PerturbationConfig(baseline="none", perturbation_directions="orthogonal")
    codebook = jnp.full((1, uses, 2), x / np.sqrt(1.0 - float(VARIANCE)))

    def cubic(key, channel_state, sent, message):
        del key, message
        return channel_state, jnp.sum(sent**3, axis=(-2, -1))

    def draw(key):
        _, batch = collect_perturbed_losses(
            config, cubic, PERFECT, codebook, VARIANCE, (), key, batch_size=8
        )
        return policy_gradient(config, batch, codebook, VARIANCE)

    draws = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(key, DRAWS)))
    second_moment = uses * float(VARIANCE) / (2 * uses + 2)
    want = np.sqrt(1.0 - float(VARIANCE)) * (3 * x**2 + 3 * second_moment)
    assert_mean(draws, np.full((1, uses, 2), want))


def test_orthogonal_noise_is_orthogonal_and_has_its_energy(key):
    sample = jax.jit(orthogonal_noise, static_argnums=(1, 2))
    noise = np.asarray(sample(key, 7, 3, VARIANCE)).reshape(7, 6, 6)
    products = noise @ noise.swapaxes(1, 2)
    want = 3 * float(VARIANCE) * np.eye(6)
    np.testing.assert_allclose(products, np.broadcast_to(want, (7, 6, 6)), atol=1e-5)


def test_baselines_and_pairs_reduce_the_variance():
    """Mean losses differ between messages; each method removes part of the variance."""

    def variance(baseline, antithetic):
        return estimates(baseline, antithetic).var(axis=0).sum()

    none, batch, message = (variance(b, False) for b in ("none", "batch", "message"))
    assert none > 1.5 * batch
    assert batch > 1.05 * message
    assert none > 1.5 * variance("none", True)
    # If all losses are received, the baseline cancels within a pair.
    assert variance("batch", True) == pytest.approx(variance("none", True), rel=1e-3)


def test_policy_gradient_by_hand():
    """One sample of one message: l · (2 a / σ²) w = 5 · (2 √0.75 / 0.25) · w."""
    batch = PerturbedBatch(
        message=jnp.array([0]),
        noise=jnp.array([[[0.3, -0.1]]]),
        loss=jnp.array([5.0]),
        received_mask=jnp.array([True]),
    )
    config = PerturbationConfig(baseline="none", antithetic=False)
    codebook = jnp.ones((2, 1, 2))
    got = policy_gradient(config, batch, codebook, jnp.float32(0.25))
    score = 2.0 * 0.75**0.5 / 0.25
    want = [[[5.0 * score * 0.3, -5.0 * score * 0.1]], [[0.0, 0.0]]]
    np.testing.assert_allclose(got, want, rtol=1e-4)


def batch_of(loss, received):
    rng = np.random.default_rng(1)
    return PerturbedBatch(
        message=jnp.arange(len(loss)) % MESSAGES,
        noise=jnp.array(rng.normal(size=(len(loss), 2, 2)), jnp.float32),
        loss=jnp.array(loss, jnp.float32),
        received_mask=jnp.array(received),
    )


def test_policy_gradient_depends_on_the_noise_not_on_the_codebook():
    batch = batch_of(np.arange(9.0), np.ones(9, bool))
    config = PerturbationConfig(antithetic=False)
    before = policy_gradient(config, batch, CODEBOOK, VARIANCE)
    after = policy_gradient(config, batch, CODEBOOK + 3.0, VARIANCE)
    np.testing.assert_allclose(before, after, rtol=1e-3, atol=1e-3)


def test_delayed_losses_are_used_in_order():
    """With a delay of 2, the third estimate is that of the first batch."""
    config = PerturbationConfig(antithetic=False)
    pending = PerturbedBatch.zeros(2, BATCH_SIZE, 2)

    @jax.jit
    def estimate(pending, seed):
        return policy_loss_and_grad(
            config,
            quadratic_loss,
            PERFECT,
            CODEBOOK,
            VARIANCE,
            pending,
            (),
            jax.random.key(seed),
            batch_size=BATCH_SIZE,
        )

    for seed in (0, 1):
        pending, _, loss, grad = estimate(pending, seed)
        assert float(loss) == 0.0
        np.testing.assert_array_equal(grad, 0.0)
    _, _, loss, grad = estimate(pending, 2)
    _, _, want_loss, want_grad = estimate(NONE_PENDING, 0)
    np.testing.assert_allclose(loss, want_loss, rtol=1e-5)
    np.testing.assert_allclose(grad, want_grad, rtol=1e-5)


def test_losses_that_are_not_received_have_no_effect():
    received = np.arange(9) % 4 > 0
    config = PerturbationConfig(antithetic=False, loss_clip_quantile=0.8)
    loss = np.linspace(1.0, 2.0, 9)
    got, want = (
        policy_gradient(config, batch_of(x, received), CODEBOOK, VARIANCE)
        for x in (loss, np.where(received, loss, 1e3))
    )
    np.testing.assert_allclose(got, want, rtol=1e-5)
    none = batch_of(loss, np.zeros(9, bool))
    for baseline in ("none", "batch", "message"):
        config = dataclasses.replace(config, baseline=baseline)
        got = policy_gradient(config, none, CODEBOOK, VARIANCE)
        np.testing.assert_array_equal(got, 0.0)


def test_clipping_limits_outliers():
    loss = np.linspace(1.0, 2.0, 9)
    outlier = np.where(loss == loss.max(), 1e6, loss)
    config = PerturbationConfig(antithetic=False, loss_clip_quantile=0.5)
    got, want = (
        policy_gradient(config, batch_of(x, loss > 0), CODEBOOK, VARIANCE)
        for x in (loss, outlier)
    )
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_perturbed_codewords_are_transmitted(key):
    calls = []

    def recording_loss(key, channel_state, sent, message):
        calls.append((np.asarray(sent), np.asarray(message)))
        return quadratic_loss(key, channel_state, sent, message)

    config = PerturbationConfig(antithetic=True)
    _, batch = collect_perturbed_losses(
        config, recording_loss, PERFECT, CODEBOOK, VARIANCE, (), key, batch_size=12
    )
    ((sent, message),) = calls
    noise = np.asarray(batch.noise)
    scaled = np.sqrt(1.0 - float(VARIANCE)) * np.asarray(CODEBOOK)[message]
    np.testing.assert_allclose(sent, scaled + noise, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(noise[:6], -noise[6:])
    np.testing.assert_array_equal(message[:6], message[6:])
    np.testing.assert_array_equal(batch.message, message)


SIZES = st.sampled_from([(1, 5), (7, 3), (50, 20), (12, 12)])


@settings(max_examples=20)
@given(SIZES, st.integers(0, 2**31 - 1))
def test_messages_are_as_balanced_as_possible(sizes, seed):
    batch_size, messages = sizes
    got = np.asarray(sample_messages(jax.random.key(seed), batch_size, messages))
    assert got.shape == (batch_size,)
    counts = Counter(got.tolist())
    assert set(counts) <= set(range(messages))
    most, least = max(counts.values()), min(counts.values())
    assert most - (least if len(counts) == messages else 0) <= 1


def test_the_order_of_messages_is_random(key):
    """The next message is no function of the last one."""
    message = np.asarray(sample_messages(key, 4000, 4))
    pairs = np.zeros((4, 4))
    np.add.at(pairs, (message[:-1], message[1:]), 1)
    np.testing.assert_allclose(pairs, 250, atol=5 * 250**0.5)


def test_all_messages_are_equally_likely(key):
    keys = jax.random.split(key, 3000)
    draws = np.asarray(jax.vmap(lambda k: sample_messages(k, 4, 3))(keys))
    share = np.bincount(draws.ravel()) / draws.size
    np.testing.assert_allclose(share, 1 / 3, atol=0.02)


def estimate_without_delay(estimator, key, config=CONFIG):
    return estimator(
        config,
        quadratic_loss,
        PERFECT,
        CODEBOOK,
        VARIANCE,
        NONE_PENDING,
        (),
        key,
        batch_size=12,
    )


def test_the_mean_of_spsa_is_the_gradient(key):
    def draw(key):
        config = PerturbationConfig(spsa_perturbation_size=0.5)
        return estimate_without_delay(spsa_loss_and_grad, key, config).grad

    draws = jax.jit(jax.vmap(draw))(jax.random.split(key, DRAWS))
    want = 2.0 * (CODEBOOK - TARGET) / MESSAGES
    assert_mean(np.asarray(draws), np.asarray(want))


def test_backpropagation_gives_the_gradient(key):
    estimate = jax.jit(partial(estimate_without_delay, backprop_loss_and_grad))
    _, _, loss, got = estimate(key)
    np.testing.assert_allclose(got, 2.0 * (CODEBOOK - TARGET) / MESSAGES, rtol=1e-5)
    want = np.sum((CODEBOOK - TARGET) ** 2) / MESSAGES
    assert float(loss) == pytest.approx(float(want), rel=1e-5)


def test_perturbation_variance_decreases_geometrically():
    config = PerturbationConfig(
        perturbation_variance=0.08, final_perturbation_variance=0.02
    )
    got = [float(config.variance_at(jnp.float32(p))) for p in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(got, [0.08, 0.04, 0.02], rtol=1e-5)


INVALID = [
    ("perturbation_variance", 0.0),
    ("perturbation_variance", 1.0),
    ("final_perturbation_variance", -0.1),
    ("loss_clip_quantile", 0.0),
    ("loss_clip_quantile", 1.1),
    ("temperature", 0.0),
    ("spsa_perturbation_size", 0.0),
]


@pytest.mark.parametrize(("name", "value"), INVALID)
def test_invalid_constants_are_rejected_in_one_line(name, value):
    config = dataclasses.replace(PerturbationConfig(), **{name: value})
    with pytest.raises(
        InvalidInputError, match=f"^{name} is {value}; expected [^\n]*$"
    ):
        config.check()


def test_inverse_odds_at_temperature_2_have_the_gradient_of_the_bhattacharyya_bound(
    key,
):
    """With the optimal receiver; the bound includes its adaptation to the codebook.

    ∂/∂x E[Σ_{j≠m} √(p_j / p_m)] at constant p = ∇ (1/M) Σ_m Σ_{j≠m} exp(−d²_mj / 4 N_0)
    """
    codebook = jnp.array(np.random.default_rng(3).normal(size=(4, 1, 2)), jnp.float32)
    noise_power = 0.5
    receiver = GaussianReceiver(1, 4, key=jax.random.key(0))
    optimal = eqx.tree_at(
        lambda r: (r.centroids, r.log_var),
        receiver,
        (codebook, jnp.log(noise_power)),
    )
    link = Link(
        channel=AWGN(snr_db=-10.0 * np.log10(noise_power)),
        messages=4,
        uses=1,
        receiver="gaussian",
        gradient="backprop",
        perturbation=PerturbationConfig(feedback_loss="odds", temperature=2.0),
        schedule=TrainingSchedule(batch_size=100_000),
    )
    state = jax.jit(link.init)(jax.random.key(1))._replace(receiver=optimal)
    keys = jax.random.split(key, 20)
    draw = jax.jit(lambda key: link.estimate_gradient(state, codebook, key).grad)
    draws = np.asarray([draw(key) for key in keys])

    def bound(codebook):
        square = jnp.sum((codebook[:, None] - codebook) ** 2, axis=(-2, -1))
        return jnp.mean(jnp.sum(jnp.exp(-square / (4 * noise_power)), axis=1))

    want = np.asarray(jax.grad(bound)(codebook))
    error = draws.std(axis=0) / len(draws) ** 0.5
    assert error.max() < 0.05 * np.abs(want).max()
    assert np.all(np.abs(draws.mean(axis=0) - want) < 5 * error)


# Gradients of 2,000 numbers, (1, 0, 0, ...) plus noise.
SIGNAL = jnp.zeros((200, 5, 2)).at[0, 0, 0].set(1.0)


def noisy_gradient(std, key):
    return SIGNAL + std * jax.random.normal(key, SIGNAL.shape)


def test_cosine_similarity_without_noise_is_one(key):
    got = gradient_cosine_similarity(partial(noisy_gradient, 0.0), key)
    assert got == pytest.approx(1.0)


@pytest.mark.parametrize("ratio", [1.0, 0.25])
def test_cosine_similarity_gives_the_signal_to_noise_ratio(key, ratio):
    """For 2,000 numbers with noise σ² each, s = 1 / (2000 σ²)."""
    gradient_fn = partial(noisy_gradient, (2000 * ratio) ** -0.5)
    got = gradient_cosine_similarity(gradient_fn, key, num_batches=200)
    assert got.mean() == pytest.approx(ratio / (1 + ratio), abs=0.01)


def test_cosine_similarity_ignores_delayed_losses(key):
    """Two estimates from delayed losses would be of the same batch."""
    schedule = TrainingSchedule(batch_size=16, receiver_warmup_iterations=0)
    sizes = {"messages": 4, "uses": 1, "hidden": 8, "schedule": schedule}
    link = Link(**sizes, feedback=Feedback(delay_iterations=2))
    init_key, key = jax.random.split(key)
    state = jax.jit(link.init)(init_key)
    got = link.gradient_cosine_similarity(state, key, num_batches=4)
    assert abs(float(got.mean())) < 0.9
