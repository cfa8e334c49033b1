"""Intervals of means, by hand and against SciPy."""

import numpy as np
import pytest
import scipy.stats

from syntony.equations.statistics import bootstrap_interval, wilson_interval


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
