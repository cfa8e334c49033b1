"""Mean over seeds by hand, against SciPy, and by coverage."""

import numpy as np
import pytest
from scipy import stats

from syntony.evaluation.statistics import mean_over_seeds


def test_two_seeds_by_hand():
    """Mean 2, s = √2, standard error 1; t₁ at 97.5 % is tan(0.475 π) = 12.706."""
    band = mean_over_seeds(np.array([[1.0], [3.0]]))
    assert band.mean == pytest.approx([2.0])
    assert band.high == pytest.approx([2 + np.tan(0.475 * np.pi)])
    assert band.low == pytest.approx([2 - np.tan(0.475 * np.pi)])


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_interval_against_scipy(level: float):
    scores = np.random.default_rng(0).normal(size=(6, 4))
    interval = stats.ttest_1samp(scores, 0.0).confidence_interval(level)
    band = mean_over_seeds(scores, level=level)
    np.testing.assert_allclose(band.low, interval.low, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(band.high, interval.high, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_coverage_of_the_interval(seeds: int):
    """4,000 intervals: within 4 standard errors of √(0.95 · 0.05 / 4000)."""
    band = mean_over_seeds(np.random.default_rng(1).normal(size=(seeds, 4000)))
    covered = np.mean((band.low <= 0) & (band.high >= 0))
    assert covered == pytest.approx(0.95, abs=4 * 0.00345)


def test_one_seed_has_no_interval():
    band = mean_over_seeds(np.array([[1.0, 2.0]]))
    assert band.mean == pytest.approx([1.0, 2.0])
    assert np.isnan(band.low).all()
    assert np.isnan(band.high).all()


def test_equal_seeds_have_a_point_interval():
    band = mean_over_seeds(np.full((3, 2), 2.5))
    np.testing.assert_array_equal(band.low, band.mean)
    np.testing.assert_array_equal(band.high, band.mean)
