"""Mean over seeds with its confidence interval."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit


class ConfidenceBand(NamedTuple):
    """Mean at each step, and its confidence interval."""

    mean: Float[np.ndarray, " T"]
    low: Float[np.ndarray, " T"]
    high: Float[np.ndarray, " T"]


def mean_over_seeds(
    scores: Float[np.ndarray, "S T"], *, level: float = 0.95
) -> ConfidenceBand:
    """Mean over seeds with Student's interval, at each step.

        x̄ ± t_{n−1} s / √n

    The interval is wide for few seeds, and NaN for one. The percentile bootstrap gives
    narrower ones, but they cover the true mean of 2, 3 and 5 normal seeds in 51, 75 and
    82 cases of 100 instead of 95.

    Args:
        scores: one row per seed.
        level: confidence level, in (0, 1).
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
    return ConfidenceBand(mean, mean - margin, mean + margin)
