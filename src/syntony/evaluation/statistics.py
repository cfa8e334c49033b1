"""Mean over seeds with its confidence interval."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit, stdtrit

MIN_SEEDS_FOR_INTERVAL = 3
"""Seeds from which an interval is shown: that of two says less than the two."""
RATE_RANGE = (0.0, 1.0)
"""Lowest and highest error rate."""


class ConfidenceBand(NamedTuple):
    """Mean at each step, and its confidence interval."""

    mean: Float[np.ndarray, " T"]
    low: Float[np.ndarray, " T"]
    high: Float[np.ndarray, " T"]


def mean_over_seeds(
    scores: Float[np.ndarray, "S T"],
    *,
    level: float = 0.95,
    possible: tuple[float, float] | None = None,
) -> ConfidenceBand:
    """Mean over seeds with Student's interval, at each step.

        x̄ ± t_{n−1} s / √n

    The interval is wide for few seeds, and NaN for one. The percentile bootstrap gives
    narrower ones, but they cover the true mean of 2, 3 and 5 normal seeds in 51, 75 and
    82 cases of 100 instead of 95.

    Where the range [a, b] of scores is known, the interval is that of the logit of
    p = (x̄ − a) / (b − a), and ends within the range. Near 0, e.g. of error rates, that
    is the interval of the logarithm.

        logit p ± t_{n−1} s / (√n (b − a) p (1 − p))

    Args:
        scores: one row per seed.
        level: confidence level, in (0, 1).
        possible: lowest and highest possible score; None: unknown.
    """
    seeds, mean = len(scores), scores.mean(axis=0)
    if seeds == 1:
        return ConfidenceBand(
            mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
        )
    # As `scipy.stats.ttest_1samp`, which takes half a second to import and warns of
    # seeds that are all equal.
    standard_error = scores.std(axis=0, ddof=1) / np.sqrt(seeds)
    margin = stdtrit(seeds - 1, (1 + level) / 2) * standard_error
    if possible is None:
        return ConfidenceBand(mean, mean - margin, mean + margin)
    return _interval_within(mean, margin, possible)


def _interval_within(
    mean: Float[np.ndarray, " T"],
    margin: Float[np.ndarray, " T"],
    possible: tuple[float, float],
) -> ConfidenceBand:
    """Interval on the scale of the logit; at an end of the range it is that point."""
    low, high = possible
    share = np.clip((mean - low) / (high - low), 0.0, 1.0)
    slope = (high - low) * share * (1.0 - share)
    inside = slope > 0.0
    scaled = np.divide(margin, slope, out=np.zeros_like(mean), where=inside)
    center = logit(np.where(inside, share, 0.5))
    ends = (
        np.where(inside, low + (high - low) * expit(center + sign * scaled), mean)
        for sign in (-1.0, 1.0)
    )
    return ConfidenceBand(mean, *ends)
