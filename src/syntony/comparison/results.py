"""Types of the results of a comparison, as JSON can hold them.

An interval `_low` to `_high` is of 95 %, and None for one seed.
"""

from typing import TypedDict


class ShortestRun(TypedDict):
    """The seed whose curve ends first."""

    run: str
    seed: int
    step: int


class SeedResult(TypedDict):
    """Scores of one seed."""

    run: str
    seed: int
    score: float
    area_under_curve: float
    steps_to_threshold: float | None
    """None if the seed did not reach it."""


class GroupScores(TypedDict):
    """Statistics of the scores of a group."""

    iqm: float
    """Interquartile mean."""
    iqm_low: float | None
    iqm_high: float | None
    mean: float
    mean_low: float | None
    mean_high: float | None
    median: float


class OverallGroup(GroupScores):
    """Statistics of a group over several tasks."""

    label: str
    seeds: int
    optimality_gap: float


class GroupResult(GroupScores):
    """Statistics of a group on a task."""

    label: str
    system: str
    seeds: int
    optimality_gap: float | None
    """None where the range of the scores is not known."""
    area_under_curve: float
    area_under_curve_low: float | None
    area_under_curve_high: float | None
    seeds_reached: int
    """Number of seeds that reached the threshold."""
    steps_to_threshold: float | None
    """Median; None if fewer than half of the seeds reached it."""
    reported: float | None
    """Score that the paper reports at the same steps."""
    reported_error: float | None
    scores: list[SeedResult]


class Probability(TypedDict):
    """Probability that a run of X is better than one of Y."""

    probability: float
    low: float
    high: float


class MeanDifference(TypedDict):
    """Mean of X minus mean of Y; None for error rates."""

    difference: float | None
    difference_low: float | None
    difference_high: float | None


class Pair(Probability):
    """Two groups, by their labels."""

    x: str
    y: str


class TaskPair(Pair, MeanDifference):
    """Two groups on a task."""


class OverallPair(Pair):
    """Two groups over the tasks that both have run."""

    tasks: int


class TaskResult(TypedDict):
    """All groups on a task."""

    task: str
    metric: str
    lower_is_better: bool
    step: int
    shortest_run: ShortestRun
    threshold: float | None
    score_range: list[float] | None
    groups: list[GroupResult]
    probability_of_improvement: list[TaskPair]
    eval_window: int


class OverallResult(TypedDict):
    """All groups over several tasks."""

    tasks: list[str]
    groups: list[OverallGroup]
    probability_of_improvement: list[OverallPair]


class ComparisonResults(TypedDict):
    """Results of `syntony.comparison.compare.compare`."""

    tasks: list[TaskResult]
    overall: OverallResult
    notes: list[str]
