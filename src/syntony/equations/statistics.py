"""What samples say together, and how sure that is."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.optimize import root_scalar

Sample = Float[np.ndarray, " S"]
ScoresPerTask = Sequence[np.ndarray]
"""A sample a task; as many scores in each as it has seeds."""


def interquartile_mean(scores_per_task: ScoresPerTask) -> float:
    """Returns the mean of the middle half of all scores, every stratum counting alike.

    ⌊n/4⌋ of n scores are left out at each end: of three scores none, of four the lowest
    and the highest. Where strata differ in size, each is repeated up to their least
    common multiple first.

    Source: Agarwal et al. (2021), "Deep reinforcement learning at the edge of the
        statistical precipice", section 4.2.
    """
    scores = np.sort(pool_scores(scores_per_task))
    quarter = len(scores) // 4
    return float(scores[quarter : len(scores) - quarter].mean())


def pool_scores(scores_per_task: ScoresPerTask) -> np.ndarray:
    """Returns all scores in one, those of small strata repeated: each counts alike."""
    most = math.lcm(*map(len, scores_per_task))
    return np.concatenate(
        [np.repeat(scores, most // len(scores)) for scores in scores_per_task]
    )


def optimality_gap(scores_per_task: ScoresPerTask, *, best: float = 1.0) -> float:
    """Returns by how much scores fall short of the best on average; 0 if none does.

        best − mean(min(x, best))

    Args:
        best: γ, a score beyond which nothing counts.

    Source: Agarwal et al. (2021), section 4.2.
    """
    return best - float(np.minimum(pool_scores(scores_per_task), best).mean())


def stratified_bootstrap_interval(
    scores_per_task: ScoresPerTask,
    statistic: Callable[[ScoresPerTask], float],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of a statistic of several strata.

    Each stratum is drawn again from itself, with replacement, so that a task never
    loses its share to another. The same strata always give the same interval. Of few
    scores it is too narrow: a draw never leaves the range of what was seen.

    Args:
        strata: the scores of each task, one a seed.
        statistic: of strata, a number.
        level: share of the draws that the interval holds, in (0, 1).
        resamples: number of draws.
        seed: of the draws.

    Source: Agarwal et al. (2021), section 4.1.
    """
    draw = np.random.default_rng(seed)
    found = [
        statistic([x[draw.integers(len(x), size=len(x))] for x in scores_per_task])
        for _ in range(resamples)
    ]
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(found, (tail, 1.0 - tail))
    return float(low), float(high)


def bootstrap_interval(
    samples: Sample,
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
    chances = {"level": level, "resamples": resamples, "seed": seed}
    return stratified_bootstrap_interval(
        [samples], lambda drawn: drawn[0].mean(), **chances
    )


def probability_of_improvement(
    x: Float[np.ndarray, " X"], y: Float[np.ndarray, " Y"]
) -> float:
    """Returns how often a score of `x` is above one of `y`.

        P(X > Y) + P(X = Y)/2, over all X · Y pairs

    It is the statistic U of Mann and Whitney, divided by X · Y.

    Source: Agarwal et al. (2021), section 4.2.
    """
    difference = x[:, None] - y[None, :]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def probability_of_improvement_interval(
    probability: float, num_x: int, num_y: int, *, level: float = 0.95
) -> tuple[float, float]:
    """Returns an interval of P(X > Y), also where one group is above all of the other.

    It holds the θ for which (θ̂ − θ)² ≤ z² V(θ), with m = (x + y)/2 − 1 and

        V(θ) = θ (1 − θ) (1 + m (1 − θ)/(2 − θ) + m θ/(1 + θ)) / (x y)

    A bootstrap would say [1, 1] of three seeds that are above three others, where
    chance alone does that once in twenty times.

    Args:
        probability: θ̂, as `probability_of_improvement` returns it.
        x: number of scores in the first group, at least 1.
        y: number of scores in the second, at least 1.
        level: of confidence, in (0, 1).

    Source: Newcombe (2006), "Confidence intervals for an effect size measure based on
        the Mann-Whitney statistic. Part 2", method 5.
    """
    z, middle = float(stats.norm.ppf((1 + level) / 2)), (num_x + num_y) / 2 - 1

    def beyond(theta: float) -> float:
        pairs = 1 + middle * (1 - theta) / (2 - theta) + middle * theta / (1 + theta)
        variance = theta * (1 - theta) * pairs / (num_x * num_y)
        return (probability - theta) ** 2 - z**2 * variance

    def root(a: float, b: float) -> float:
        return float(root_scalar(beyond, bracket=(a, b)).root)

    # Where the variance is zero, at 0 and 1, the estimate itself would be a root.
    inside = min(max(probability, 1e-9), 1 - 1e-9)
    low = 0.0 if probability <= 0.0 else root(0.0, inside)
    high = 1.0 if probability >= 1.0 else root(inside, 1.0)
    return low, high


def welch_interval(
    x: Float[np.ndarray, " X"], y: Float[np.ndarray, " Y"], *, level: float = 0.95
) -> tuple[float, float]:
    """Returns Welch's interval of the difference of two means, x̄ − ȳ.

        x̄ − ȳ ± t_ν √(v_x + v_y),  v = s²/n
        ν = (v_x + v_y)² / (v_x²/(n_x − 1) + v_y²/(n_y − 1))

    The groups may vary differently. Where neither varies at all it is a point.

    Args:
        x: at least two scores.
        y: at least two scores.
        level: of confidence, in (0, 1).

    Source: Welch (1947), "The generalization of 'Student's' problem when several
        different population variances are involved".
    """
    difference = float(np.mean(x) - np.mean(y))
    variances = np.array([np.var(each, ddof=1) / len(each) for each in (x, y)])
    variance = float(variances.sum())
    if variance == 0.0:
        return difference, difference
    spare = np.array([len(x) - 1, len(y) - 1])
    freedom = variance**2 / float(np.sum(variances**2 / spare))
    reach = float(stats.t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    return difference - reach, difference + reach


def combined_interval(
    estimates: Sequence[float], intervals: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """Returns the interval of the mean of independent estimates from those of each.

        θ̄ − √Σ(θ_k − l_k)²/K,  θ̄ + √Σ(u_k − θ_k)²/K

    Of one estimate it is its own interval, however lopsided.

    Source: Zou & Donner (2008), "Construction of confidence limits about effect
        measures: a general approach".
    """
    mean, count = float(np.mean(estimates)), len(estimates)
    lows, highs = np.transpose(intervals)
    below = float(np.linalg.norm(np.subtract(estimates, lows))) / count
    above = float(np.linalg.norm(np.subtract(highs, estimates))) / count
    return mean - below, mean + above


def performance_profile(
    scores: Float[np.ndarray, " S"], thresholds: Float[np.ndarray, " τ"]
) -> Float[np.ndarray, " τ"]:
    """Returns the performance profile: the share of scores above each threshold.

    Source: Agarwal et al. (2021), section 4.3.
    """
    return (scores[:, None] > thresholds[None, :]).mean(axis=0)


def area_under_curve(
    steps: Float[np.ndarray, " T"], scores: Float[np.ndarray, " T"]
) -> float:
    """Returns a curve's mean height: its area by the trapezoidal rule, over its width.

    Args:
        steps: increasing, at least two.
        scores: at these steps.
    """
    return float(np.trapezoid(scores, steps) / (steps[-1] - steps[0]))


def steps_to_threshold(
    steps: Float[np.ndarray, " T"], scores: Float[np.ndarray, " T"], threshold: float
) -> float:
    """Returns the step at which a curve first reaches a height; infinity if it never.

    Between two measurements the curve is a straight line.

    Args:
        steps: increasing.
        scores: at these steps.
        target: the height.
    """
    reached = np.flatnonzero(scores >= threshold)
    if len(reached) == 0:
        return math.inf
    first = int(reached[0])
    if first == 0:
        return float(steps[0])
    pair = slice(first - 1, first + 1)
    return float(np.interp(threshold, scores[pair], steps[pair]))


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
