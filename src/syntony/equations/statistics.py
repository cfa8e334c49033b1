"""How sure a mean of samples is."""

import numpy as np
from jaxtyping import Float
from scipy import stats


def bootstrap_interval(
    samples: Float[np.ndarray, " S"],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of the mean of `samples`.

    S samples are drawn again from themselves, with replacement; the interval holds
    the middle `level` of the means of such draws. The same samples always give the
    same interval.

    Args:
        level: share of the means that the interval holds, in (0, 1).
        resamples: number of draws.
        seed: of the draws.

    Source: Efron (1979), "Bootstrap methods: another look at the jackknife".
    """
    draw = np.random.default_rng(seed)
    size = len(samples)
    # A draw at a time: ten thousand samples never need a matrix of ten million.
    means = [samples[draw.integers(size, size=size)].mean() for _ in range(resamples)]
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(means, (tail, 1.0 - tail))
    return float(low), float(high)


def wilson_interval(
    events: int, trials: int, *, level: float = 0.95
) -> tuple[float, float]:
    """Returns Wilson's interval of a probability, of which `events` were counted.

    (p + z²/2n ± z √(p (1 − p) / n + z²/4n²)) / (1 + z²/n),  p = events / n

    It holds what it says for rare events as well, and for none.

    Args:
        events: how often it happened, 0 to `trials`.
        trials: n ≥ 1, how often it could have.
        level: of confidence, in (0, 1).

    Source: Wilson, "Probable inference, the law of succession, and statistical
        inference" (1927).
    """
    test = stats.binomtest(events, trials)
    interval = test.proportion_ci(confidence_level=level, method="wilson")
    return float(interval.low), float(interval.high)
