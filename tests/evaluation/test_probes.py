"""The probes, against closed forms and SciPy."""

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


def test_components_are_the_axes_of_an_ellipse():
    """Points on (3 cos t, sin t), turned by 30°: 9/10 of the variance on one axis."""
    t = np.linspace(0.0, 2.0 * np.pi, 400, endpoint=False)
    turn = np.array([[np.cos(0.5), np.sin(0.5)], [-np.sin(0.5), np.cos(0.5)]])
    found = principal_components(np.stack([3 * np.cos(t), np.sin(t)], 1) @ turn + 7.0)
    np.testing.assert_allclose(found.explained_variance_ratio, [0.9, 0.1], rtol=1e-9)
    np.testing.assert_allclose(
        np.abs(found.projections[:, 0]), 3 * np.abs(np.cos(t)), atol=1e-9
    )
    np.testing.assert_allclose(found.projections.mean(axis=0), 0.0, atol=1e-12)


@settings(max_examples=30)
@given(arrays.arrays(float, (12, 4), elements=st.floats(-9, 9, **FINITE)))
def test_components_hold_no_more_than_all(z: np.ndarray):
    found = principal_components(z, num_components=4)
    variance = np.var(z, axis=0).sum()
    np.testing.assert_allclose(
        np.var(found.projections, axis=0).sum(), variance, rtol=1e-6, atol=1e-9
    )
    assert (np.diff(found.explained_variance_ratio) <= 1e-9).all()


def test_classes_apart_are_read_and_the_same_are_guessed():
    centres = 6.0 * np.eye(3)
    classes = np.tile(np.arange(3), 200)
    z = centres[classes] + RNG.normal(size=(600, 3))
    read = logistic_probe(z[:300], classes[:300], z[300:])
    assert np.mean(read == classes[300:]) > 0.98
    noise = RNG.normal(size=(6000, 3))
    classes = np.tile(np.arange(3), 2000)
    read = logistic_probe(noise[:3000], classes[:3000], noise[3000:])
    assert np.mean(read == classes[3000:]) == pytest.approx(1 / 3, abs=0.05)


def test_two_classes_are_split_where_a_line_says():
    """Of two normal classes as wide the best border is half way: here at 1."""
    classes = np.repeat([0, 1], 4000)
    z = RNG.normal(size=(8000, 1)) + 2.0 * classes[:, None]
    asked = np.linspace(0.0, 2.0, 401)[:, None]
    read = logistic_probe(z, classes, asked)
    border = asked[np.argmax(read == 1), 0]
    assert border == pytest.approx(1.0, abs=0.1)


def test_values_are_those_of_the_normal_equations():
    z, values = RNG.normal(size=(50, 4)), RNG.normal(size=(50, 2))
    unit = (z - z.mean(0)) / z.std(0)
    # Ridge regression as least squares over rows that pull every weight to zero.
    rows = np.vstack([unit, np.sqrt(50 * L2_PENALTY) * np.eye(4)])
    aims = np.vstack([values - values.mean(0), np.zeros((4, 2))])
    weights = np.linalg.lstsq(rows, aims, rcond=None)[0]
    expected = unit @ weights + values.mean(0)
    np.testing.assert_allclose(ridge_probe(z, values, z), expected, rtol=1e-8)


def test_what_never_varies_says_nothing():
    z = np.concatenate([RNG.normal(size=(40, 1)), np.full((40, 1), 3.0)], axis=1)
    read = ridge_probe(z, 2.0 * z[:, :1], np.array([[0.5, 99.0]]))
    assert read[0, 0] == pytest.approx(1.0, abs=0.02)


def test_explained_is_one_nothing_and_none():
    truth = np.array([[1.0, 5.0], [3.0, 5.0]])
    assert r2_score(truth, truth) == 1.0
    assert r2_score(truth, np.array([[2.0, 5.0], [2.0, 5.0]])) == 0.0
    assert r2_score(truth, np.array([[2.0, 6.0], [2.0, 6.0]])) == -1.0
    assert np.isnan(r2_score(np.ones((3, 1)), np.ones((3, 1))))
