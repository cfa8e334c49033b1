"""Probes against closed forms and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from syntony.evaluation.probes import (
    L2_PENALTY,
    logistic_probe,
    principal_components,
    r2_score,
    ridge_probe,
)

RNG = np.random.default_rng(0)
FINITE = {"allow_nan": False, "allow_infinity": False, "width": 32}


def test_principal_components_of_an_ellipse():
    """Points on (3 cos t, sin t), rotated: 9/10 of the variance is on one axis."""
    t = np.linspace(0.0, 2.0 * np.pi, 400, endpoint=False)
    rotation = np.array([[np.cos(0.5), np.sin(0.5)], [-np.sin(0.5), np.cos(0.5)]])
    components = principal_components(
        np.stack([3 * np.cos(t), np.sin(t)], 1) @ rotation + 7.0
    )
    np.testing.assert_allclose(
        components.explained_variance_ratio, [0.9, 0.1], rtol=1e-9
    )
    np.testing.assert_allclose(
        np.abs(components.projections[:, 0]), 3 * np.abs(np.cos(t)), atol=1e-9
    )
    np.testing.assert_allclose(components.projections.mean(axis=0), 0.0, atol=1e-12)


@settings(max_examples=30)
@given(arrays.arrays(float, (12, 4), elements=st.floats(-9, 9, **FINITE)))
def test_principal_components_keep_the_total_variance(z: np.ndarray):
    components = principal_components(z, num_components=4)
    variance = np.var(z, axis=0).sum()
    np.testing.assert_allclose(
        np.var(components.projections, axis=0).sum(), variance, rtol=1e-6, atol=1e-9
    )
    assert (np.diff(components.explained_variance_ratio) <= 1e-9).all()


def test_logistic_probe_of_separate_and_of_equal_classes():
    centers = 6.0 * np.eye(3)
    classes = np.tile(np.arange(3), 200)
    z = centers[classes] + RNG.normal(size=(600, 3))
    predicted = logistic_probe(z[:300], classes[:300], z[300:])
    assert np.mean(predicted == classes[300:]) > 0.98
    noise = RNG.normal(size=(6000, 3))
    classes = np.tile(np.arange(3), 2000)
    predicted = logistic_probe(noise[:3000], classes[:3000], noise[3000:])
    assert np.mean(predicted == classes[3000:]) == pytest.approx(1 / 3, abs=0.05)


def test_logistic_probe_decision_boundary():
    """The optimal boundary of two normal classes of equal variance is half way: 1."""
    classes = np.repeat([0, 1], 4000)
    z = RNG.normal(size=(8000, 1)) + 2.0 * classes[:, None]
    queries = np.linspace(0.0, 2.0, 401)[:, None]
    predicted = logistic_probe(z, classes, queries)
    boundary = queries[np.argmax(predicted == 1), 0]
    assert boundary == pytest.approx(1.0, abs=0.1)


def test_ridge_probe_against_least_squares():
    z, values = RNG.normal(size=(50, 4)), RNG.normal(size=(50, 2))
    normalized = (z - z.mean(0)) / z.std(0)
    # Ridge regression is least squares with additional rows for the penalty.
    rows = np.vstack([normalized, np.sqrt(50 * L2_PENALTY) * np.eye(4)])
    targets = np.vstack([values - values.mean(0), np.zeros((4, 2))])
    weights = np.linalg.lstsq(rows, targets, rcond=None)[0]
    expected = normalized @ weights + values.mean(0)
    np.testing.assert_allclose(ridge_probe(z, values, z), expected, rtol=1e-8)


def test_ridge_probe_ignores_constant_features():
    z = np.concatenate([RNG.normal(size=(40, 1)), np.full((40, 1), 3.0)], axis=1)
    predicted = ridge_probe(z, 2.0 * z[:, :1], np.array([[0.5, 99.0]]))
    assert predicted[0, 0] == pytest.approx(1.0, abs=0.02)


def test_r2_score_by_hand():
    truth = np.array([[1.0, 5.0], [3.0, 5.0]])
    assert r2_score(truth, truth) == 1.0
    assert r2_score(truth, np.array([[2.0, 5.0], [2.0, 5.0]])) == 0.0
    assert r2_score(truth, np.array([[2.0, 6.0], [2.0, 6.0]])) == -1.0
    assert np.isnan(r2_score(np.ones((3, 1)), np.ones((3, 1))))
