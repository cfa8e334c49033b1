"""The transmitter's gradients against those of a loss that one can write down.

The judge is l = ‖x_p − t_m‖², the receiver's loss if it were a parabola.
"""

import dataclasses
from collections import Counter

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
from syntony.systems.link.gradient_estimators import (
    PerturbationConfig,
    PerturbedBatch,
    backprop_loss_and_grad,
    collect_perturbed_losses,
    orthogonal_noise,
    policy_gradient,
    sample_messages,
    spsa_loss_and_grad,
)
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule

MESSAGES, BATCH, DRAWS = 3, 30, 3000
VARIANCE = jnp.float32(0.3)
RNG = np.random.default_rng(0)
CODEBOOK = jnp.array(RNG.normal(size=(MESSAGES, 2, 2)), jnp.float32)
TARGET = jnp.array(RNG.normal(size=(MESSAGES, 2, 2)), jnp.float32)
PERFECT = Feedback()


def judge(key, sent, message):
    del key
    return jnp.sum((sent - TARGET[message]) ** 2, axis=(-2, -1))


def smoothed_gradient():
    """∇ E_w ‖a x + w − t‖² = 2 a (a x − t), each message being one of M."""
    a = np.sqrt(1.0 - float(VARIANCE))
    return 2.0 * a * (a * np.asarray(CODEBOOK) - np.asarray(TARGET)) / MESSAGES


@jax.jit
def draw_estimates(exploration, feedback, keys):
    def draw(key):
        experience = collect_perturbed_losses(
            exploration, judge, feedback, CODEBOOK, VARIANCE, key, batch_size=BATCH
        )
        return policy_gradient(exploration, experience, CODEBOOK, VARIANCE)

    return jax.vmap(draw)(keys)


def estimates(baseline, antithetic, feedback=PERFECT):
    """Returns many gradients; always those of the same draws."""
    exploration = PerturbationConfig(baseline=baseline, antithetic=antithetic)
    keys = jax.random.split(jax.random.key(0), DRAWS)
    return np.asarray(draw_estimates(exploration, feedback, keys))


def assert_mean(draws, want, *, slack=0.0):
    """Asserts the mean within 5 standard errors, which are small enough to tell."""
    error = draws.std(axis=0) / len(draws) ** 0.5
    assert error.max() < 0.1 * np.abs(want).max()
    miss = np.abs(draws.mean(axis=0) - want)
    assert np.all(miss < 5 * error + slack * np.abs(want).max())


EVERY = pytest.mark.parametrize("antithetic", [False, True])
BASELINES = pytest.mark.parametrize("baseline", ["none", "batch", "message"])


@EVERY
@BASELINES
def test_policy_gradient_is_that_of_the_smoothed_loss(baseline, antithetic):
    draws = estimates(baseline, antithetic)
    # A batch's mean holds each draw once; a pair's two shares in it cancel.
    shrunk = 1.0 - 1.0 / BATCH if (baseline, antithetic) == ("batch", False) else 1.0
    assert_mean(draws, shrunk * smoothed_gradient())


@EVERY
@BASELINES
def test_erased_and_noisy_losses_leave_the_mean_as_it_is(baseline, antithetic):
    draws = estimates(baseline, antithetic, Feedback(erasure_prob=0.4, noise_std=0.5))
    slack = 2.0 / BATCH if baseline == "batch" else 0.0
    assert_mean(draws, smoothed_gradient(), slack=slack)


@EVERY
def test_orthogonal_directions_leave_nothing_linear_to_chance(antithetic, key):
    """A parabola's gradient comes out of a single batch, of 4 directions a message.

    Pairs cancel what is even, which without them the mean has to.
    """
    exploration = PerturbationConfig(
        antithetic=antithetic, perturbation_directions="orthogonal"
    )
    batch = MESSAGES * 4 * (2 if antithetic else 1)

    def draw(key):
        experience = collect_perturbed_losses(
            exploration, judge, PERFECT, CODEBOOK, VARIANCE, key, batch_size=batch
        )
        return policy_gradient(exploration, experience, CODEBOOK, VARIANCE)

    draws = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(key, DRAWS)))
    if antithetic:
        want = np.broadcast_to(smoothed_gradient(), draws.shape)
        np.testing.assert_allclose(draws, want, rtol=1e-3, atol=1e-3)
    slack = 0.0 if antithetic else 1.0 / batch
    miss = np.abs(draws.mean(axis=0) - smoothed_gradient())
    error = draws.std(axis=0) / DRAWS**0.5
    assert np.all(miss < 5 * error + slack * np.abs(smoothed_gradient()).max() + 1e-4)


def test_orthogonal_directions_smooth_over_a_ball(key):
    """∇ E_v (x + v)³ = 3 x² + 3 E v², and E v² = C σ² / (2 C + 2) in a ball."""
    uses, x = 2, 0.4
    exploration = PerturbationConfig(
        baseline="none", perturbation_directions="orthogonal"
    )
    codebook = jnp.full((1, uses, 2), x / np.sqrt(1.0 - float(VARIANCE)))

    def cubic(key, sent, message):
        del key, message
        return jnp.sum(sent**3, axis=(-2, -1))

    def draw(key):
        experience = collect_perturbed_losses(
            exploration, cubic, PERFECT, codebook, VARIANCE, key, batch_size=8
        )
        return policy_gradient(exploration, experience, codebook, VARIANCE)

    draws = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(key, DRAWS)))
    spread = uses * float(VARIANCE) / (2 * uses + 2)
    want = np.sqrt(1.0 - float(VARIANCE)) * (3 * x**2 + 3 * spread)
    assert_mean(draws, np.full((1, uses, 2), want))


def test_orthogonal_noise_has_the_energy_and_angles_it_should(key):
    noise = np.asarray(orthogonal_noise(key, 7, 3, VARIANCE)).reshape(7, 6, 6)
    products = noise @ noise.swapaxes(1, 2)
    want = 3 * float(VARIANCE) * np.eye(6)
    np.testing.assert_allclose(products, np.broadcast_to(want, (7, 6, 6)), atol=1e-5)


def test_baselines_and_pairs_make_it_quieter():
    """Hard and easy messages: each remedy takes away a part of the noise."""

    def noise(baseline, antithetic):
        return estimates(baseline, antithetic).var(axis=0).sum()

    none, batch, message = (noise(b, False) for b in ("none", "batch", "message"))
    assert none > 1.5 * batch
    assert batch > 1.05 * message
    assert none > 1.5 * noise("none", True)
    # With all losses there, what a pair shares cancels, whatever it is.
    assert noise("batch", True) == pytest.approx(noise("none", True), rel=1e-3)


def test_policy_gradient_by_hand():
    """One draw of one message: l · (2 a / σ²) w = 5 · (2 √0.75 / 0.25) · w."""
    experience = PerturbedBatch(
        message=jnp.array([0]),
        noise=jnp.array([[[0.3, -0.1]]]),
        loss=jnp.array([5.0]),
        received_mask=jnp.array([True]),
    )
    exploration = PerturbationConfig(baseline="none", antithetic=False)
    codebook = jnp.ones((2, 1, 2))
    got = policy_gradient(exploration, experience, codebook, jnp.float32(0.25))
    score = 2.0 * 0.75**0.5 / 0.25
    want = [[[5.0 * score * 0.3, -5.0 * score * 0.1]], [[0.0, 0.0]]]
    np.testing.assert_allclose(got, want, rtol=1e-4)


def experience_of(loss, arrived):
    rng = np.random.default_rng(1)
    return PerturbedBatch(
        message=jnp.arange(len(loss)) % MESSAGES,
        noise=jnp.array(rng.normal(size=(len(loss), 2, 2)), jnp.float32),
        loss=jnp.array(loss, jnp.float32),
        received_mask=jnp.array(arrived),
    )


def test_late_losses_go_with_the_noise_that_made_them():
    experience = experience_of(np.arange(9.0), np.ones(9, bool))
    exploration = PerturbationConfig(antithetic=False)
    then = policy_gradient(exploration, experience, CODEBOOK, VARIANCE)
    now = policy_gradient(exploration, experience, CODEBOOK + 3.0, VARIANCE)
    np.testing.assert_allclose(then, now, rtol=1e-3, atol=1e-3)


def test_what_did_not_arrive_counts_for_nothing():
    arrived = np.arange(9) % 4 > 0
    exploration = PerturbationConfig(antithetic=False, loss_clip_quantile=0.8)
    loss = np.linspace(1.0, 2.0, 9)
    one, other = (
        policy_gradient(exploration, experience_of(x, arrived), CODEBOOK, VARIANCE)
        for x in (loss, np.where(arrived, loss, 1e3))
    )
    np.testing.assert_allclose(one, other, rtol=1e-5)
    none = experience_of(loss, np.zeros(9, bool))
    for baseline in ("none", "batch", "message"):
        exploration = dataclasses.replace(exploration, baseline=baseline)
        got = policy_gradient(exploration, none, CODEBOOK, VARIANCE)
        np.testing.assert_array_equal(got, 0.0)


def test_clipping_silences_what_shouts():
    loss = np.linspace(1.0, 2.0, 9)
    loud = np.where(loss == loss.max(), 1e6, loss)
    exploration = PerturbationConfig(antithetic=False, loss_clip_quantile=0.5)
    one, other = (
        policy_gradient(exploration, experience_of(x, loss > 0), CODEBOOK, VARIANCE)
        for x in (loss, loud)
    )
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_what_is_sent_is_the_perturbed_codeword(key):
    heard = []

    def listen(key, sent, message):
        heard.append((np.asarray(sent), np.asarray(message)))
        return judge(key, sent, message)

    exploration = PerturbationConfig(antithetic=True)
    experience = collect_perturbed_losses(
        exploration, listen, PERFECT, CODEBOOK, VARIANCE, key, batch_size=12
    )
    ((sent, message),) = heard
    noise = np.asarray(experience.noise)
    scaled = np.sqrt(1.0 - float(VARIANCE)) * np.asarray(CODEBOOK)[message]
    np.testing.assert_allclose(sent, scaled + noise, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(noise[:6], -noise[6:])
    np.testing.assert_array_equal(message[:6], message[6:])
    np.testing.assert_array_equal(experience.message, message)


SIZES = st.sampled_from([(1, 5), (7, 3), (50, 20), (12, 12)])


@settings(max_examples=20)
@given(SIZES, st.integers(0, 2**31 - 1))
def test_messages_are_as_balanced_as_they_can_be(sizes, seed):
    batch, messages = sizes
    got = np.asarray(sample_messages(jax.random.key(seed), batch, messages))
    assert got.shape == (batch,)
    counts = Counter(got.tolist())
    assert set(counts) <= set(range(messages))
    most, least = max(counts.values()), min(counts.values())
    assert most - (least if len(counts) == messages else 0) <= 1


def test_every_message_is_as_likely_as_any_other(key):
    keys = jax.random.split(key, 3000)
    draws = np.asarray(jax.vmap(lambda k: sample_messages(k, 4, 3))(keys))
    share = np.bincount(draws.ravel()) / draws.size
    np.testing.assert_allclose(share, 1 / 3, atol=0.02)


def test_spsa_averages_to_the_gradient(key):
    def draw(key):
        exploration = PerturbationConfig(spsa_perturbation_size=0.5)
        return spsa_loss_and_grad(
            exploration, judge, PERFECT, CODEBOOK, key, batch_size=12
        )

    _, draws = jax.jit(jax.vmap(draw))(jax.random.split(key, DRAWS))
    want = 2.0 * (CODEBOOK - TARGET) / MESSAGES
    assert_mean(np.asarray(draws), np.asarray(want))


def test_model_gradient_is_the_gradient(key):
    loss, got = backprop_loss_and_grad(judge, CODEBOOK, key, batch_size=12)
    np.testing.assert_allclose(got, 2.0 * (CODEBOOK - TARGET) / MESSAGES, rtol=1e-5)
    want = np.sum((CODEBOOK - TARGET) ** 2) / MESSAGES
    assert float(loss) == pytest.approx(float(want), rel=1e-5)


def test_exploration_falls_geometrically():
    exploration = PerturbationConfig(
        perturbation_variance=0.08, final_perturbation_variance=0.02
    )
    got = [float(exploration.variance_at(jnp.float32(p))) for p in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(got, [0.08, 0.04, 0.02], rtol=1e-5)


BAD = [
    ("variance", 0.0),
    ("variance", 1.0),
    ("final_variance", -0.1),
    ("clip", 0.0),
    ("clip", 1.1),
    ("spsa_step", 0.0),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_constants_are_refused_in_one_line(name, value):
    exploration = dataclasses.replace(PerturbationConfig(), **{name: value})
    with pytest.raises(
        InvalidInputError, match=f"^{name} is {value}; expected [^\n]*$"
    ):
        exploration.check()


def test_odds_at_temperature_2_descend_the_union_of_bhattacharyya_bounds(key):
    """With the exact receiver, and what it would do to follow the code included.

    ∂/∂x E[Σ_{j≠m} √(p_j / p_m)], p held = ∇ (1/M) Σ_m Σ_{j≠m} exp(−d²_mj / 4 N_0)
    """
    codebook = jnp.array(np.random.default_rng(3).normal(size=(4, 1, 2)), jnp.float32)
    noise_power = 0.5
    receiver = GaussianReceiver(1, 4, key=jax.random.key(0))
    exact = eqx.tree_at(
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
    state = link.init(jax.random.key(1))._replace(receiver=exact)
    keys = jax.random.split(key, 20)
    draw = jax.jit(lambda key: link.estimate_gradient(state, codebook, key)[2])
    draws = np.asarray([draw(key) for key in keys])

    def bound(codebook):
        square = jnp.sum((codebook[:, None] - codebook) ** 2, axis=(-2, -1))
        return jnp.mean(jnp.sum(jnp.exp(-square / (4 * noise_power)), axis=1))

    want = np.asarray(jax.grad(bound)(codebook))
    error = draws.std(axis=0) / len(draws) ** 0.5
    assert error.max() < 0.05 * np.abs(want).max()
    assert np.all(np.abs(draws.mean(axis=0) - want) < 5 * error)
