"""Quality of gradient samples with known means and variances."""

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


def noisy_samples(mean, power, num_samples, seed):
    """Samples of a mean with noise of this total power."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(num_samples, SIZE)) * np.sqrt(power / SIZE)
    return (mean + noise).astype(np.float32)


@pytest.mark.parametrize(("angle", "noise"), [(0.0, 4.0), (0.5, 50.0), (2.0, 20.0)])
def test_quality_of_samples_by_theory(angle, noise):
    """E ĝ has three times the norm of g and another direction; samples are noisy."""
    reference, orthogonal = directions()
    mean = 3.0 * (np.cos(angle) * reference + np.sin(angle) * orthogonal)
    samples = noisy_samples(mean, noise * 9.0, 2000, seed=1)
    got = measure_gradient_quality(
        samples, noisy_samples(reference, 10.0, 1000, seed=2)
    )
    want = {
        "mean_cosine_similarity": np.cos(angle),
        "norm_ratio": 3.0,
        "noise_to_signal": noise,
        # In many dimensions all samples have nearly the same norm.
        "cosine_similarity": np.cos(angle) / np.sqrt(1.0 + noise),
    }
    for name, value in want.items():
        measured = getattr(got, name)
        margin = 4 * measured.standard_error + 0.002
        assert measured.value == pytest.approx(value, abs=margin)
        assert measured.standard_error < 0.1 * max(1.0, value)


def test_standard_errors_against_repetitions():
    reference, orthogonal = directions()
    repetitions = [
        measure_gradient_quality(
            noisy_samples(reference + orthogonal, 20.0, 200, seed),
            noisy_samples(reference, 10.0, 200, 1000 + seed),
        )
        for seed in range(60)
    ]
    for name in repetitions[0]._fields:
        values, errors = np.transpose([getattr(q, name) for q in repetitions])
        assert errors.mean() == pytest.approx(values.std(), rel=0.3)


def test_quality_of_too_few_samples_is_nan():
    reference, _ = directions()
    rng = np.random.default_rng(3)
    samples = rng.choice([-1.0, 1.0], size=(20, 1)) * np.ones((1, SIZE))
    # Samples that cancel have less signal than pure noise.
    samples = np.concatenate([samples, -samples])
    assert np.isnan(
        measure_gradient_quality(
            samples, noisy_samples(reference, 1.0, 100, 0)
        ).norm_ratio.value
    )


@pytest.mark.slow
def test_samples_are_the_links_gradients():
    state = LINK.init(jax.random.key(0))
    link = with_gradient_estimator(LINK, GRADIENT_ESTIMATORS["paper"])
    got, loss = sample_gradients(link, state, jax.random.key(1), 3)
    assert got.shape == (3, 8)
    codebook = link.codebook(state.transmitter)
    keys = jax.random.split(jax.random.key(1), 3)
    estimates = [link.estimate_gradient(state, codebook, key) for key in keys]
    want = np.stack([estimate.grad.reshape(-1) for estimate in estimates])
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)
    losses = [float(estimate.loss) for estimate in estimates]
    assert loss == pytest.approx(np.mean(losses), rel=1e-4)


def test_links_accept_all_gradient_estimators():
    for estimator in GRADIENT_ESTIMATORS.values():
        assert with_gradient_estimator(LINK, estimator).gradient == estimator.gradient


@pytest.mark.slow
def test_train_for_counts_iterations_from_the_start():
    state = train_for(LINK, LINK.init(jax.random.key(0)), 3)
    assert int(state.iterations) == 3
    assert int(train_for(LINK, state, 3).iterations) == 3


@pytest.mark.parametrize("name", ["model", "paper"])
def test_black_box_channels_have_no_gradient(name):
    link = dataclasses.replace(LINK, channel=BlackBoxChannel(function=lambda x: x))
    with pytest.raises(InvalidInputError, match="gradient"):
        with_gradient_estimator(link, GRADIENT_ESTIMATORS[name])


def test_the_quantizer_has_no_gradient():
    link = dataclasses.replace(LINK, channel=channel("quantizer"))
    with pytest.raises(InvalidInputError, match="quantizer"):
        with_gradient_estimator(link, GRADIENT_ESTIMATORS["model"])
