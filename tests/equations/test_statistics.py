"""Statistics and intervals by hand, against formulas and SciPy, and by coverage."""

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from syntony.equations import statistics
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
"""Few values, so that there are many ties."""


def test_bootstrap_of_equal_samples_is_a_point():
    assert bootstrap_interval(np.full(7, 2.5)) == (2.5, 2.5)


def test_bootstrap_of_two_samples_by_hand():
    # The mean of two samples from {0, 1} is 0, ½ or 1, with weights ¼, ½, ¼: the middle
    # 95 % is from 0 to 1, and the middle 40 % is ½ alone.
    pair = np.array([0.0, 1.0])
    assert bootstrap_interval(pair) == (0.0, 1.0)
    assert bootstrap_interval(pair, level=0.4) == (0.5, 0.5)


def test_bootstrap_with_another_seed():
    samples = np.random.default_rng(1).gamma(2.0, size=200)
    theirs = scipy.stats.bootstrap(
        (samples,), np.mean, n_resamples=20_000, method="percentile", rng=2
    ).confidence_interval
    ours = bootstrap_interval(samples, resamples=20_000)
    # The standard error of a 2.5 % quantile of 20,000 resamples is 0.02 of their std.
    spread = samples.std() / len(samples) ** 0.5
    np.testing.assert_allclose(ours, theirs, atol=5 * 0.02 * spread)


def test_bootstrap_of_a_normal_mean_has_the_theoretical_width():
    samples = np.random.default_rng(3).normal(size=4000)
    low, high = bootstrap_interval(samples, resamples=4000)
    assert high - low == pytest.approx(2 * 1.96 / 4000**0.5, rel=0.1)


def test_bootstrap_is_deterministic():
    samples = np.random.default_rng(4).normal(size=50)
    assert bootstrap_interval(samples) == bootstrap_interval(samples)


@pytest.mark.parametrize(("events", "trials"), [(0, 100), (3, 1000), (50, 100)])
def test_wilson_against_its_formula(events: int, trials: int):
    z, p = 1.959963985, events / trials
    center = p + z**2 / (2 * trials)
    margin = z * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    low, high = wilson_interval(events, trials)
    scale = 1 + z**2 / trials
    assert low == pytest.approx((center - margin) / scale, abs=1e-9)
    assert high == pytest.approx((center + margin) / scale, abs=1e-9)


@given(SCORES)
def test_interquartile_mean_is_the_trimmed_mean_of_scipy(scores: np.ndarray):
    theirs = scipy.stats.trim_mean(scores, 0.25)
    assert interquartile_mean([scores]) == pytest.approx(theirs)
    halves = [scores, scores + 1.0]
    theirs = scipy.stats.trim_mean(np.concatenate(halves), 0.25)
    assert interquartile_mean(halves) == pytest.approx(theirs)


def test_tasks_have_equal_weight():
    """{0} is repeated beside {4, 8}: the middle two of 0, 0, 4, 8 are 0 and 4."""
    scores_per_task = [np.array([0.0]), np.array([8.0, 4.0])]
    assert sorted(pool_scores(scores_per_task)) == [0.0, 0.0, 4.0, 8.0]
    assert interquartile_mean(scores_per_task) == 2.0


def test_optimality_gap_by_hand():
    """The gaps are 1, 0.5 and 0: a score above 1 compensates for none."""
    assert optimality_gap([np.array([0.0, 0.5, 3.0])]) == pytest.approx(0.5)
    assert optimality_gap([np.array([0.0, 2.0])], best=2.0) == pytest.approx(1.0)


def test_stratified_bootstrap_agrees_with_scipy():
    rng = np.random.default_rng(5)
    scores_per_task = [rng.normal(size=30), 3.0 + 2.0 * rng.normal(size=20)]
    theirs = scipy.stats.bootstrap(
        scores_per_task,
        lambda a, b, axis: (a.mean(axis) + b.mean(axis)) / 2,
        n_resamples=20_000,
        method="percentile",
        rng=6,
    ).confidence_interval
    ours = stratified_bootstrap_interval(
        scores_per_task, lambda x: (x[0].mean(-1) + x[1].mean(-1)) / 2, resamples=20_000
    )
    spread = math.hypot(1 / 30**0.5, 2 / 20**0.5) / 2
    np.testing.assert_allclose(ours, theirs, atol=5 * 0.02 * spread)


def test_bootstrap_of_the_iqm_agrees_with_scipy():
    finals = np.random.default_rng(0).uniform(size=20)
    theirs = scipy.stats.bootstrap(
        (finals,),
        lambda x, axis: scipy.stats.trim_mean(x, 0.25, axis=axis),
        n_resamples=4000,
        method="percentile",
        rng=1,
    ).confidence_interval
    ours = stratified_bootstrap_interval([finals], interquartile_mean)
    # The standard error of quantiles of 2,000 resamples is about 0.07 of their std.
    spread = (theirs.high - theirs.low) / 4
    np.testing.assert_allclose(ours, theirs, atol=4 * 0.07 * spread)


def test_tasks_are_resampled_separately():
    """Each task's scores are equal, so all resamples are."""
    scores_per_task = [np.zeros(4), np.full(4, 100.0)]
    assert stratified_bootstrap_interval(scores_per_task, interquartile_mean) == (
        50.0,
        50.0,
    )


@given(SCORES, SCORES)
def test_probability_of_improvement_is_the_mann_whitney_statistic(
    x: np.ndarray, y: np.ndarray
):
    u = scipy.stats.mannwhitneyu(x, y, method="asymptotic").statistic
    probability = probability_of_improvement(x, y)
    assert probability == pytest.approx(u / (len(x) * len(y)))
    assert probability + probability_of_improvement(y, x) == pytest.approx(1.0)


def test_probability_of_improvement_of_two_normals():
    """P(X > Y) of N(1, 1) and N(0, 1) is Φ(1/√2), within 4 standard errors."""
    rng = np.random.default_rng(7)
    x, y = rng.normal(1.0, size=2000), rng.normal(size=2000)
    probability = probability_of_improvement(x, y)
    assert probability == pytest.approx(scipy.stats.norm.cdf(0.5**0.5), abs=4 * 0.0075)


@pytest.mark.parametrize("sizes", [(1, 1), (3, 3), (4, 9)])
@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_improvement_interval_solves_its_equation(
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
    complement = probability_of_improvement_interval(1.0 - probability, x, y)
    assert complement == pytest.approx((1.0 - high, 1.0 - low), abs=1e-6)


@pytest.mark.parametrize("gap", [0.0, 1.0, 2.0])
def test_coverage_of_the_improvement_interval(gap: float):
    """For 3 against 3 the bootstrap covers 82, 72 and 36 of 100, this 90 or more."""
    rng, true_value = np.random.default_rng(8), scipy.stats.norm.cdf(gap / 2**0.5)
    x, y = rng.normal(gap, size=(4000, 3, 1)), rng.normal(size=(4000, 1, 3))
    pairs_won = (x > y).sum((1, 2))
    ends = np.array(
        [probability_of_improvement_interval(won / 9, 3, 3) for won in range(10)]
    )
    low, high = ends[pairs_won].T
    # Less 4 standard errors.
    assert np.mean((low <= true_value) & (true_value <= high)) > 0.90 - 4 * 0.0048


@pytest.mark.parametrize("sizes", [(2, 2), (3, 7), (12, 5)])
def test_welch_interval_against_scipy(sizes: tuple[int, int]):
    rng = np.random.default_rng(sizes[0])
    x, y = rng.normal(1.0, 3.0, sizes[0]), rng.normal(0.0, 0.5, sizes[1])
    test = scipy.stats.ttest_ind(x, y, equal_var=False)
    theirs = test.confidence_interval(confidence_level=0.9)
    ours = welch_interval(x, y, level=0.9)
    assert ours == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_welch_interval_of_constant_groups_is_a_point():
    assert welch_interval(np.full(3, 2.0), np.full(5, 0.5)) == (1.5, 1.5)


def test_combined_interval_by_hand():
    """Two of ±3 and ±4 around 1 and 5: that of their sum is ±5, of their mean ±2.5."""
    interval = combined_interval([1.0, 5.0], [(-2.0, 4.0), (1.0, 9.0)])
    assert interval == pytest.approx((0.5, 5.5))
    assert combined_interval([1.0], [(0.2, 1.1)]) == pytest.approx((0.2, 1.1))


@given(SCORES)
def test_performance_profile_is_the_empirical_survival_function(scores: np.ndarray):
    thresholds = np.array([-3.0, 0.0, 0.3, 1.0])
    theirs = scipy.stats.ecdf(scores).sf.evaluate(thresholds)
    np.testing.assert_allclose(performance_profile(scores, thresholds), theirs)


def test_area_under_curve_by_hand():
    steps = np.array([100.0, 150.0, 300.0])
    assert area_under_curve(steps, (steps - 100.0) / 200.0) == pytest.approx(0.5)
    assert area_under_curve(steps, np.array([1.0, 1.0, 3.0])) == pytest.approx(1.75)


def test_steps_to_threshold_by_hand():
    steps, scores = np.array([0.0, 10.0, 20.0, 30.0]), np.array([0.0, 0.5, 0.2, 1.0])
    assert steps_to_threshold(steps, scores, 0.25) == 5.0
    assert steps_to_threshold(steps, scores, 0.75) == pytest.approx(
        20 + 10 * 0.55 / 0.8
    )
    assert steps_to_threshold(steps, scores, -1.0) == 0.0
    assert steps_to_threshold(steps, scores, 1.1) == math.inf


def bootstrap_means(samples: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means of resamples, one after the other."""
    rng, n = np.random.default_rng(seed), len(samples)
    return np.array([samples[rng.integers(n, size=n)].mean() for _ in range(resamples)])


@pytest.mark.parametrize("size", [2, 3, 10, 100])
@pytest.mark.parametrize("level", [0.95, 0.7])
def test_bootstrap_against_a_loop_over_resamples(size: int, level: float):
    samples = np.random.default_rng(size).normal(size=size)
    theirs = np.quantile(
        bootstrap_means(samples, 1000, seed=3), [(1 - level) / 2, (1 + level) / 2]
    )
    ours = bootstrap_interval(samples, level=level, seed=3)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_bootstrap_of_many_samples_in_batches(monkeypatch: pytest.MonkeyPatch):
    samples = np.random.default_rng(9).normal(size=50)
    whole = bootstrap_interval(samples)
    monkeypatch.setattr(statistics, "MAX_RESAMPLED_VALUES", 333)
    assert bootstrap_interval(samples) == whole


def test_bootstrap_of_one_sample_and_of_nan():
    assert bootstrap_interval(np.array([3.0])) == (3.0, 3.0)
    assert all(map(math.isnan, bootstrap_interval(np.array([1.0, np.nan, 2.0]))))


def test_stratified_bootstrap_against_a_loop_over_resamples():
    rng = np.random.default_rng(10)
    scores_per_task = [rng.normal(size=3), rng.normal(size=6)]
    draw = np.random.default_rng(4)
    values = [
        interquartile_mean_formula([x[draw.integers(len(x), size=len(x))] for x in s])
        for s in [scores_per_task] * 500
    ]
    theirs = np.quantile(values, [0.025, 0.975])
    ours = stratified_bootstrap_interval(
        scores_per_task, interquartile_mean, resamples=500, seed=4
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def interquartile_mean_formula(scores_per_task: list[np.ndarray]) -> float:
    common = math.lcm(*map(len, scores_per_task))
    scores = np.sort(
        np.concatenate([np.repeat(x, common // len(x)) for x in scores_per_task])
    )
    quarter = len(scores) // 4
    return float(scores[quarter : len(scores) - quarter].mean())


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 12))
def test_interquartile_mean_against_its_formula(seed: int, m: int, n: int):
    rng = np.random.default_rng(seed)
    scores = [rng.normal(size=m), rng.normal(size=n)]
    want = interquartile_mean_formula(scores)
    assert interquartile_mean(scores) == pytest.approx(want, rel=1e-12, abs=1e-12)


@given(SCORES, SCORES)
def test_probability_of_improvement_over_all_pairs(x: np.ndarray, y: np.ndarray):
    difference = x[:, None] - y[None, :]
    want = (difference > 0).mean() + (difference == 0).mean() / 2
    assert probability_of_improvement(x, y) == pytest.approx(want, rel=1e-12, abs=1e-12)


@given(st.integers(0, 1000), st.integers(2, 12), st.integers(2, 12))
def test_welch_interval_against_its_formula(seed: int, m: int, n: int):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(1.0, 3.0, m), rng.normal(0.0, 0.5, n)
    v = np.array([np.var(x, ddof=1) / m, np.var(y, ddof=1) / n])
    freedom = v.sum() ** 2 / np.sum(v**2 / [m - 1, n - 1])
    margin = scipy.special.stdtrit(freedom, 0.95) * np.sqrt(v.sum())
    center = x.mean() - y.mean()
    ours = welch_interval(x, y, level=0.9)
    np.testing.assert_allclose(ours, [center - margin, center + margin], rtol=1e-12)


def test_welch_interval_of_one_constant_group():
    """SciPy would warn; the variance of the constant group is zero."""
    y = np.array([1.0, 2.0, 4.0])
    low, high = welch_interval(np.full(3, 0.1), y)
    margin = scipy.special.stdtrit(2, 0.975) * np.sqrt(np.var(y, ddof=1) / 3)
    center = 0.1 - y.mean()
    assert (low, high) == pytest.approx((center - margin, center + margin), rel=1e-12)
