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


@pytest.mark.parametrize(
    ("scores", "possible"),
    [
        ([0.99, 1.0, 0.95], (0.0, 1.0)),
        ([1e-4, 4e-4, 2e-5], (0.0, 1.0)),
        ([-9.0, -1.0, -0.5], (-10.0, 0.0)),
        ([0.4, 0.6], (0.0, 1.0)),
    ],
)
def test_an_interval_ends_within_what_is_possible(
    scores: list[float], possible: tuple[float, float]
):
    column = np.array(scores)[:, None]
    band = mean_over_seeds(column, possible=possible)
    assert possible[0] < band.low[0] < np.mean(scores) < band.high[0] < possible[1]
    assert band.mean[0] == pytest.approx(np.mean(scores))


def test_the_interval_of_small_rates_is_that_of_the_logarithm():
    """By hand: the relative margin r = t s / (√n x̄) becomes the factors exp(±r)."""
    rates = np.array([1e-6, 2e-6, 3e-6])
    factor = np.exp(stats.t.ppf(0.975, 2) * 1e-6 / np.sqrt(3) / 2e-6)
    band = mean_over_seeds(rates[:, None], possible=(0.0, 1.0))
    assert band.low[0] == pytest.approx(2e-6 / factor, rel=1e-4)
    assert band.high[0] == pytest.approx(2e-6 * factor, rel=1e-4)


def test_seeds_at_an_end_of_the_range_have_a_point_interval():
    scores = np.array([[0.0, 1.0, np.nan]] * 3)
    band = mean_over_seeds(scores, possible=(0.0, 1.0))
    np.testing.assert_array_equal(band.low, [0.0, 1.0, np.nan])
    np.testing.assert_array_equal(band.high, [0.0, 1.0, np.nan])


def test_coverage_within_a_range():
    """Shares of three seeds around 0.9: not far below that of Student's interval."""
    scores = np.random.default_rng(2).beta(18.0, 2.0, size=(3, 4000))
    band = mean_over_seeds(scores, possible=(0.0, 1.0))
    covered = np.mean((band.low <= 0.9) & (band.high >= 0.9))
    assert 0.93 < covered < 0.98
