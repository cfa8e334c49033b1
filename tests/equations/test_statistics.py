"""What samples say together: by hand, against SciPy, and by how often it holds."""

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from syntony.equations.statistics import (
    area_under_curve,
    bootstrap_interval,
    combined_interval,
    interquartile_mean,
    optimality_gap,
    performance_profile,
    pool_scores,
    probability_of_improvement,
    probability_of_improvement_interval,
    steps_to_threshold,
    stratified_bootstrap_interval,
    welch_interval,
    wilson_interval,
)

SCORES = arrays.arrays(
    float, st.integers(1, 12), elements=st.sampled_from([-2.0, 0.0, 0.25, 0.5, 1.0])
)
"""Few values, so that many of them tie."""


def test_samples_without_spread_leave_no_doubt():
    assert bootstrap_interval(np.full(7, 2.5)) == (2.5, 2.5)


def test_two_samples_by_hand():
    # The mean of two draws from {0, 1} is 0, ½ or 1 with weights ¼, ½, ¼: the middle
    # 95 % reaches from 0 to 1, the middle 40 % holds ½ alone.
    pair = np.array([0.0, 1.0])
    assert bootstrap_interval(pair) == (0.0, 1.0)
    assert bootstrap_interval(pair, level=0.4) == (0.5, 0.5)


def test_agrees_with_scipy():
    samples = np.random.default_rng(1).gamma(2.0, size=200)
    theirs = scipy.stats.bootstrap(
        (samples,), np.mean, n_resamples=20_000, method="percentile", rng=2
    ).confidence_interval
    ours = bootstrap_interval(samples, resamples=20_000)
    # The standard error of a 2.5 % quantile of 20,000 draws is 0.02 of their spread.
    spread = samples.std() / len(samples) ** 0.5
    np.testing.assert_allclose(ours, theirs, atol=5 * 0.02 * spread)


def test_interval_of_a_normal_mean_has_the_width_of_theory():
    samples = np.random.default_rng(3).normal(size=4000)
    low, high = bootstrap_interval(samples, resamples=4000)
    assert high - low == pytest.approx(2 * 1.96 / 4000**0.5, rel=0.1)


def test_same_samples_same_interval():
    samples = np.random.default_rng(4).normal(size=50)
    assert bootstrap_interval(samples) == bootstrap_interval(samples)


@pytest.mark.parametrize(("events", "trials"), [(0, 100), (3, 1000), (50, 100)])
def test_wilson_by_its_formula(events: int, trials: int):
    z, p = 1.959963985, events / trials
    middle = p + z**2 / (2 * trials)
    spread = z * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    low, high = wilson_interval(events, trials)
    scale = 1 + z**2 / trials
    assert low == pytest.approx((middle - spread) / scale, abs=1e-9)
    assert high == pytest.approx((middle + spread) / scale, abs=1e-9)


@given(SCORES)
def test_interquartile_mean_is_the_trimmed_mean_of_scipy(scores: np.ndarray):
    theirs = scipy.stats.trim_mean(scores, 0.25)
    assert interquartile_mean([scores]) == pytest.approx(theirs)
    halves = [scores, scores + 1.0]
    theirs = scipy.stats.trim_mean(np.concatenate(halves), 0.25)
    assert interquartile_mean(halves) == pytest.approx(theirs)


def test_a_task_of_more_seeds_counts_no_more():
    """Twice {0} and {4, 8}: the middle two of 0, 0, 4, 8 are 0 and 4."""
    strata = [np.array([0.0]), np.array([8.0, 4.0])]
    assert sorted(pool_scores(strata)) == [0.0, 0.0, 4.0, 8.0]
    assert interquartile_mean(strata) == 2.0


def test_optimality_gap_by_hand():
    """Short of 1 by 1, 0.5 and nothing; what is above 1 makes up for none of it."""
    assert optimality_gap([np.array([0.0, 0.5, 3.0])]) == pytest.approx(0.5)
    assert optimality_gap([np.array([0.0, 2.0])], best=2.0) == pytest.approx(1.0)


def test_stratified_interval_agrees_with_scipy():
    rng = np.random.default_rng(5)
    strata = [rng.normal(size=30), 3.0 + 2.0 * rng.normal(size=20)]
    theirs = scipy.stats.bootstrap(
        strata,
        lambda a, b, axis: (a.mean(axis) + b.mean(axis)) / 2,
        n_resamples=20_000,
        method="percentile",
        rng=6,
    ).confidence_interval
    ours = stratified_bootstrap_interval(
        strata, lambda drawn: (drawn[0].mean() + drawn[1].mean()) / 2, resamples=20_000
    )
    spread = math.hypot(1 / 30**0.5, 2 / 20**0.5) / 2
    np.testing.assert_allclose(ours, theirs, atol=5 * 0.02 * spread)


def test_interval_of_the_iqm_agrees_with_scipy():
    finals = np.random.default_rng(0).uniform(size=20)
    theirs = scipy.stats.bootstrap(
        (finals,),
        lambda x, axis: scipy.stats.trim_mean(x, 0.25, axis=axis),
        n_resamples=4000,
        method="percentile",
        rng=1,
    ).confidence_interval
    ours = stratified_bootstrap_interval([finals], interquartile_mean)
    # Quantiles of 2,000 draws are sure to about a twentieth of their spread.
    spread = (theirs.high - theirs.low) / 4
    np.testing.assert_allclose(ours, theirs, atol=4 * 0.07 * spread)


def test_strata_are_never_mixed():
    """Each task's scores are constant: so is every draw, however far they lie apart."""
    strata = [np.zeros(4), np.full(4, 100.0)]
    assert stratified_bootstrap_interval(strata, interquartile_mean) == (50.0, 50.0)


@given(SCORES, SCORES)
def test_improvement_is_the_statistic_of_mann_and_whitney(x: np.ndarray, y: np.ndarray):
    u = scipy.stats.mannwhitneyu(x, y, method="asymptotic").statistic
    found = probability_of_improvement(x, y)
    assert found == pytest.approx(u / (len(x) * len(y)))
    assert found + probability_of_improvement(y, x) == pytest.approx(1.0)


def test_improvement_is_the_overlap_of_two_normals():
    """P(X > Y) of N(1, 1) and N(0, 1) is Φ(1/√2); 4 standard errors of 2,000 scores."""
    rng = np.random.default_rng(7)
    x, y = rng.normal(1.0, size=2000), rng.normal(size=2000)
    found = probability_of_improvement(x, y)
    assert found == pytest.approx(scipy.stats.norm.cdf(0.5**0.5), abs=4 * 0.0075)


@pytest.mark.parametrize("sizes", [(1, 1), (3, 3), (4, 9)])
@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_improvement_interval_ends_where_the_score_does(
    probability: float, sizes: tuple[int, int]
):
    x, y = sizes
    low, high = probability_of_improvement_interval(probability, x, y)
    for theta in {low, high} - {0.0, 1.0}:
        pairs = 1 + ((x + y) / 2 - 1) * (
            (1 - theta) / (2 - theta) + theta / (1 + theta)
        )
        error = math.sqrt(theta * (1 - theta) * pairs / (x * y))
        assert abs(probability - theta) == pytest.approx(1.959963985 * error, abs=1e-6)
    assert low <= probability <= high
    mirrored = probability_of_improvement_interval(1.0 - probability, x, y)
    assert mirrored == pytest.approx((1.0 - high, 1.0 - low), abs=1e-6)


@pytest.mark.parametrize("gap", [0.0, 1.0, 2.0])
def test_improvement_interval_holds_as_often_as_it_says(gap: float):
    """Of 3 against 3 the bootstrap holds 82, 72 and 36 in 100, this 90 or more."""
    rng, truth = np.random.default_rng(8), scipy.stats.norm.cdf(gap / 2**0.5)
    x, y = rng.normal(gap, size=(4000, 3, 1)), rng.normal(size=(4000, 1, 3))
    pairs_won = (x > y).sum((1, 2))
    ends = np.array(
        [probability_of_improvement_interval(won / 9, 3, 3) for won in range(10)]
    )
    low, high = ends[pairs_won].T
    # Less 4 standard errors.
    assert np.mean((low <= truth) & (truth <= high)) > 0.90 - 4 * 0.0048


@pytest.mark.parametrize("sizes", [(2, 2), (3, 7), (12, 5)])
def test_difference_interval_is_welchs(sizes: tuple[int, int]):
    rng = np.random.default_rng(sizes[0])
    x, y = rng.normal(1.0, 3.0, sizes[0]), rng.normal(0.0, 0.5, sizes[1])
    test = scipy.stats.ttest_ind(x, y, equal_var=False)
    theirs = test.confidence_interval(confidence_level=0.9)
    ours = welch_interval(x, y, level=0.9)
    assert ours == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_groups_that_do_not_vary_differ_for_sure():
    assert welch_interval(np.full(3, 2.0), np.full(5, 0.5)) == (1.5, 1.5)


def test_interval_of_a_mean_of_estimates():
    """Two of ±3 and ±4 around 1 and 5: their sum is known to ±5, their mean to ±2.5."""
    found = combined_interval([1.0, 5.0], [(-2.0, 4.0), (1.0, 9.0)])
    assert found == pytest.approx((0.5, 5.5))
    assert combined_interval([1.0], [(0.2, 1.1)]) == pytest.approx((0.2, 1.1))


@given(SCORES)
def test_share_above_is_one_less_the_empirical_distribution(scores: np.ndarray):
    thresholds = np.array([-3.0, 0.0, 0.3, 1.0])
    theirs = scipy.stats.ecdf(scores).sf.evaluate(thresholds)
    np.testing.assert_allclose(performance_profile(scores, thresholds), theirs)


def test_area_of_a_ramp_is_half_its_height():
    steps = np.array([100.0, 150.0, 300.0])
    assert area_under_curve(steps, (steps - 100.0) / 200.0) == pytest.approx(0.5)
    assert area_under_curve(steps, np.array([1.0, 1.0, 3.0])) == pytest.approx(1.75)


def test_first_reach_by_hand():
    steps, scores = np.array([0.0, 10.0, 20.0, 30.0]), np.array([0.0, 0.5, 0.2, 1.0])
    assert steps_to_threshold(steps, scores, 0.25) == 5.0
    assert steps_to_threshold(steps, scores, 0.75) == pytest.approx(
        20 + 10 * 0.55 / 0.8
    )
    assert steps_to_threshold(steps, scores, -1.0) == 0.0
    assert steps_to_threshold(steps, scores, 1.1) == math.inf
