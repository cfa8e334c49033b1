"""Statistics of samples and their confidence intervals. Host side, in NumPy and SciPy.

`scipy.stats` and `scipy.optimize` are imported where they are used: importing them
takes more than half a second, which commands without statistics need not spend.
"""

import functools
import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

Sample = Float[np.ndarray, " S"]
ScoresPerTask = Sequence[np.ndarray]
"""One sample per task, with one score per seed on the last axis."""
FloatOrArray = np.ndarray | float

MAX_RESAMPLED_VALUES = 1_000_000
"""Values that `bootstrap_interval` holds in memory at a time."""


def interquartile_mean(scores_per_task: ScoresPerTask) -> FloatOrArray:
    """Mean of the middle half of all scores, with equal weight for all tasks.

    ⌊n/4⌋ of n scores are left out at each end: none of three scores, the lowest and the
    highest of four. Where tasks differ in their number of seeds, scores are repeated up
    to the least common multiple first.

    Args:
        scores_per_task: scores of each task; all axes but the last are batch axes.

    Returns:
        One number per element of the batch axes.

    Source: Agarwal et al. (2021), "Deep reinforcement learning at the edge of the
        statistical precipice", section 4.2.
    """
    from scipy import stats

    return stats.trim_mean(pool_scores(scores_per_task), 0.25, axis=-1)


def pool_scores(scores_per_task: ScoresPerTask) -> np.ndarray:
    """All scores in one array, repeated so that every task has equal weight."""
    num_seeds = [scores.shape[-1] for scores in scores_per_task]
    common = math.lcm(*num_seeds)
    return np.concatenate(
        [
            np.repeat(scores, common // seeds, axis=-1)
            for scores, seeds in zip(scores_per_task, num_seeds, strict=True)
        ],
        axis=-1,
    )


def optimality_gap(scores_per_task: ScoresPerTask, *, best: float = 1.0) -> float:
    """Mean amount by which scores fall short of the best.

        best − mean(min(x, best))

    Args:
        scores_per_task: scores of each task, one per seed.
        best: γ, the score above which scores are clipped.

    Source: Agarwal et al. (2021), section 4.2.
    """
    return best - float(np.minimum(pool_scores(scores_per_task), best).mean())


def stratified_bootstrap_interval(
    scores_per_task: ScoresPerTask,
    statistic: Callable[[ScoresPerTask], FloatOrArray],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic over several tasks.

    Each task is resampled from its own scores, with replacement, so that its weight
    stays the same. The interval is deterministic. For few scores it is too narrow:
    resamples never leave the range of the sample.

    Args:
        scores_per_task: scores of each task, one per seed.
        statistic: function of the scores per task; it reduces their last axis.
        level: fraction of the resamples that the interval holds, in (0, 1).
        resamples: number of resamples.
        seed: seed of the resampling.

    Source: Agarwal et al. (2021), section 4.1.
    """
    sizes = tuple(len(scores) for scores in scores_per_task)
    indices = _resampled_indices(sizes, resamples, seed)
    resampled = [x[i] for x, i in zip(scores_per_task, indices, strict=True)]
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(statistic(resampled), (tail, 1.0 - tail))
    return float(low), float(high)


@functools.lru_cache(maxsize=16)
def _resampled_indices(
    sizes: tuple[int, ...], resamples: int, seed: int
) -> list[Int[np.ndarray, "R S"]]:
    """Indices of the scores in each resample of each task."""
    rng = np.random.default_rng(seed)
    draws = [[rng.integers(n, size=n) for n in sizes] for _ in range(resamples)]
    return [np.stack(indices) for indices in zip(*draws, strict=True)]


def bootstrap_interval(
    samples: Sample,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean.

    The interval holds the middle `level` of the means of resamples, drawn with
    replacement. It is deterministic. For one sample it is a point; for samples that are
    not finite it is NaN.

    Args:
        samples: S samples.
        level: fraction of the means that the interval holds, in (0, 1).
        resamples: number of resamples.
        seed: seed of the resampling.

    Source: Efron (1979), "Bootstrap methods: another look at the jackknife".
    """
    from scipy import stats

    if not np.all(np.isfinite(samples)):
        return math.nan, math.nan
    if len(samples) == 1:
        return float(samples[0]), float(samples[0])
    interval = stats.bootstrap(
        (samples,),
        np.mean,
        confidence_level=level,
        n_resamples=resamples,
        batch=max(1, MAX_RESAMPLED_VALUES // len(samples)),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def probability_of_improvement(
    x: Float[np.ndarray, " X"], y: Float[np.ndarray, " Y"]
) -> float:
    """Probability that a score of `x` is above a score of `y`.

        P(X > Y) + P(X = Y)/2, over all X · Y pairs

    It is the Mann-Whitney statistic U, divided by X · Y.

    Args:
        x: at least one score.
        y: at least one score.

    Source: Agarwal et al. (2021), section 4.2.
    """
    above = np.count_nonzero(x[:, None] > y)
    equal = np.count_nonzero(x[:, None] == y)
    return (above + 0.5 * equal) / (len(x) * len(y))


@functools.lru_cache(maxsize=4096)
def probability_of_improvement_interval(
    probability: float, num_x: int, num_y: int, *, level: float = 0.95
) -> tuple[float, float]:
    """Interval of P(X > Y), also where all scores of one group are above the other's.

    It holds the θ for which (θ̂ − θ)² ≤ z² V(θ), with m = (x + y)/2 − 1 and

        V(θ) = θ (1 − θ) (1 + m (1 − θ)/(2 − θ) + m θ/(1 + θ)) / (x y)

    A bootstrap would give [1, 1] for three seeds that are above three others, although
    that has a probability of 1/20 for groups of equal distribution.

    Args:
        probability: θ̂, the result of `probability_of_improvement`.
        num_x: number of scores in the first group, at least 1.
        num_y: number of scores in the second group, at least 1.
        level: confidence level, in (0, 1).

    Source: Newcombe (2006), "Confidence intervals for an effect size measure based on
        the Mann-Whitney statistic. Part 2", method 5.
    """
    from scipy.optimize import root_scalar

    z, middle = float(ndtri((1 + level) / 2)), (num_x + num_y) / 2 - 1

    def excess(theta: float) -> float:
        pairs = 1 + middle * (1 - theta) / (2 - theta) + middle * theta / (1 + theta)
        variance = theta * (1 - theta) * pairs / (num_x * num_y)
        return (probability - theta) ** 2 - z**2 * variance

    def root(a: float, b: float) -> float:
        return float(root_scalar(excess, bracket=(a, b)).root)

    # Where the variance is zero, at 0 and 1, the estimate itself would be a root.
    inside = min(max(probability, 1e-9), 1 - 1e-9)
    low = 0.0 if probability <= 0.0 else root(0.0, inside)
    high = 1.0 if probability >= 1.0 else root(inside, 1.0)
    return low, high


def welch_interval(
    x: Float[np.ndarray, " X"], y: Float[np.ndarray, " Y"], *, level: float = 0.95
) -> tuple[float, float]:
    """Welch's interval of the difference of two means, x̄ − ȳ.

        x̄ − ȳ ± t_ν √(v_x + v_y),  v = s²/n
        ν = (v_x + v_y)² / (v_x²/(n_x − 1) + v_y²/(n_y − 1))

    The groups may have different variances. If both are zero, the interval is a point.

    Args:
        x: at least two scores.
        y: at least two scores.
        level: confidence level, in (0, 1).

    Source: Welch (1947), "The generalization of 'Student's' problem when several
        different population variances are involved".
    """
    from scipy import stats

    with warnings.catch_warnings():
        # SciPy warns of groups without variance; their variance of zero is exact.
        warnings.simplefilter("ignore", RuntimeWarning)
        test = stats.ttest_ind(x, y, equal_var=False)
        interval = test.confidence_interval(level)
    return float(interval.low), float(interval.high)


def combined_interval(
    estimates: Sequence[float], intervals: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """Interval of the mean of independent estimates, from the interval of each.

        θ̄ − √Σ(θ_k − l_k)²/K,  θ̄ + √Σ(u_k − θ_k)²/K

    For one estimate it is its own interval, also if that is asymmetric.

    Args:
        estimates: θ_k.
        intervals: (l_k, u_k), the interval of each estimate.

    Source: Zou & Donner (2008), "Construction of confidence limits about effect
        measures: a general approach".
    """
    mean, count = float(np.mean(estimates)), len(estimates)
    lows, highs = np.transpose(intervals)
    below = float(np.linalg.norm(np.subtract(estimates, lows))) / count
    above = float(np.linalg.norm(np.subtract(highs, estimates))) / count
    return mean - below, mean + above


def performance_profile(
    scores: Float[np.ndarray, " S"], thresholds: Float[np.ndarray, " K"]
) -> Float[np.ndarray, " K"]:
    """Performance profile: the fraction of scores above each threshold.

    Source: Agarwal et al. (2021), section 4.3.
    """
    return (scores[:, None] > thresholds[None, :]).mean(axis=0)


def area_under_curve(
    steps: Float[np.ndarray, " T"], scores: Float[np.ndarray, " T"]
) -> float:
    """Area under a curve by the trapezoidal rule, divided by the range of steps.

    Args:
        steps: increasing, at least two.
        scores: score at each step.
    """
    return float(np.trapezoid(scores, steps) / (steps[-1] - steps[0]))


def steps_to_threshold(
    steps: Float[np.ndarray, " T"], scores: Float[np.ndarray, " T"], threshold: float
) -> float:
    """Step at which a curve first reaches a threshold; infinity if it never does.

    Between measurements the curve is interpolated linearly.

    Args:
        steps: increasing.
        scores: score at each step.
        threshold: score to reach.
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
    """Wilson's interval of a probability, from the number of events.

        (p + z²/2n ± z √(p (1 − p) / n + z²/4n²)) / (1 + z²/n),  p = events / n

    Its coverage holds for rare events, and for none, as well.

    Args:
        events: number of events, 0 to `trials`.
        trials: n ≥ 1, number of trials.
        level: confidence level, in (0, 1).

    Source: Wilson, "Probable inference, the law of succession, and statistical
        inference" (1927).
    """
    from scipy import stats

    test = stats.binomtest(events, trials)
    interval = test.proportion_ci(confidence_level=level, method="wilson")
    return float(interval.low), float(interval.high)
