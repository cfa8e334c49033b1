"""What is said of gradients, where it is known what should be said."""

import dataclasses

import jax
import numpy as np
import pytest

from syntony.channels.black_box import BlackBoxChannel
from syntony.channels.registry import channel
from syntony.errors import InvalidInputError
from syntony.evaluation.gradients import (
    GRADIENT_ESTIMATORS,
    measure_gradient_quality,
    sample_gradients,
    train_for,
    with_gradient_estimator,
)
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule

LINK = Link(messages=4, uses=1, hidden=8, schedule=TrainingSchedule(batch_size=16))
SIZE = 200


def directions():
    """Two unit vectors, orthogonal to each other."""
    rng = np.random.default_rng(0)
    matrix = np.linalg.qr(rng.normal(size=(SIZE, 2)))[0]
    return matrix.T


def noisy(mean, power, draws, seed):
    """Draws with a mean, whose noise has that power in all."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(draws, SIZE)) * np.sqrt(power / SIZE)
    return (mean + noise).astype(np.float32)


@pytest.mark.parametrize(("angle", "noise"), [(0.0, 4.0), (0.5, 50.0), (2.0, 20.0)])
def test_quality_of_draws_by_theory(angle, noise):
    """E ĝ is three times as long as g and turned from it; g's own draws are noisy."""
    right, across = directions()
    mean = 3.0 * (np.cos(angle) * right + np.sin(angle) * across)
    drawn = noisy(mean, noise * 9.0, 2000, seed=1)
    got = measure_gradient_quality(drawn, noisy(right, 10.0, 1000, seed=2))
    want = {
        "alignment": np.cos(angle),
        "size": 3.0,
        "noise": noise,
        # In many dimensions every draw is as long as any other.
        "cosine": np.cos(angle) / np.sqrt(1.0 + noise),
    }
    for name, value in want.items():
        found = getattr(got, name)
        assert found.value == pytest.approx(value, abs=4 * found.error + 0.002)
        assert found.error < 0.1 * max(1.0, value)


def test_standard_errors_are_what_repeating_it_shows():
    right, across = directions()
    found = [
        measure_gradient_quality(
            noisy(right + across, 20.0, 200, seed),
            noisy(right, 10.0, 200, 1000 + seed),
        )
        for seed in range(60)
    ]
    for name in found[0]._fields:
        values, errors = np.transpose([getattr(q, name) for q in found])
        assert errors.mean() == pytest.approx(values.std(), rel=0.3)


def test_too_few_draws_say_so():
    right, _ = directions()
    rng = np.random.default_rng(3)
    draws = rng.choice([-1.0, 1.0], size=(20, 1)) * np.ones((1, SIZE))
    # Draws that cancel have less signal than noise alone would leave.
    draws = np.concatenate([draws, -draws])
    assert np.isnan(
        measure_gradient_quality(draws, noisy(right, 1.0, 100, 0)).norm_ratio.value
    )


@pytest.mark.slow
def test_draws_are_the_links_own_gradients():
    state = LINK.init(jax.random.key(0))
    link = with_gradient_estimator(LINK, GRADIENT_ESTIMATORS["paper"])
    got, loss = sample_gradients(link, state, jax.random.key(1), 3)
    assert got.shape == (3, 8)
    codebook = link.codebook(state.transmitter)
    keys = jax.random.split(jax.random.key(1), 3)
    each = [link.estimate_gradient(state, codebook, key) for key in keys]
    want = np.stack([gradient.reshape(-1) for _, _, gradient in each])
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)
    assert loss == pytest.approx(np.mean([loss for _, loss, _ in each]), rel=1e-4)


def test_every_estimator_is_one_a_link_can_have():
    for estimator in GRADIENT_ESTIMATORS.values():
        assert with_gradient_estimator(LINK, estimator).gradient == estimator.gradient


@pytest.mark.slow
def test_links_learn_as_long_as_they_are_told():
    state = train_for(LINK, LINK.init(jax.random.key(0)), 3)
    assert int(state.iterations) == 3
    assert int(train_for(LINK, state, 3).iterations) == 3


@pytest.mark.parametrize("name", ["model", "paper"])
def test_a_black_box_has_no_gradient_to_compare_with(name):
    link = dataclasses.replace(LINK, channel=BlackBoxChannel(function=lambda x: x))
    with pytest.raises(InvalidInputError, match="gradient"):
        with_gradient_estimator(link, GRADIENT_ESTIMATORS[name])


def test_a_quantiser_has_none_either():
    link = dataclasses.replace(LINK, channel=channel("quantiser"))
    with pytest.raises(InvalidInputError, match="quantiser"):
        with_gradient_estimator(link, GRADIENT_ESTIMATORS["model"])
