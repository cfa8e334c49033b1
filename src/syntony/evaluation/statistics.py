"""What several seeds say together: a mean, and how sure one can be of it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit


class ConfidenceBand(NamedTuple):
    """A mean along training, and the interval in which the true one lies."""

    mean: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]


def mean_over_seeds(
    scores: Float[np.ndarray, "seeds points"], *, level: float = 0.95
) -> ConfidenceBand:
    """Returns the mean over seeds with Student's interval, point by point.

        x̄ ± t_{n−1} s / √n

    It is wide for few seeds, as it must be: what looks better there, the percentile
    bootstrap, covers the true mean of 2, 3 and 5 normal seeds in 51, 75 and 82 cases of
    100, not in 95. Of one seed nothing can be said; its interval is NaN.

    Args:
        scores: one row a seed.
        level: how often the interval is to cover the true mean, in (0, 1).
    """
    seeds, mean = len(scores), scores.mean(axis=0)
    if seeds == 1:
        return ConfidenceBand(
            mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
        )
    error = scores.std(axis=0, ddof=1) / np.sqrt(seeds)
    reach = stdtrit(seeds - 1, (1 + level) / 2) * error
    return ConfidenceBand(mean, mean - reach, mean + reach)
