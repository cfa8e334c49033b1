"""Groups of runs in numbers, at equal steps: who is better, and how sure that is."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from syntony.equations import statistics
from syntony.equations.statistics import Strata
from syntony.errors import BadInput
from syntony.run.progress import RATES
from syntony.study import papers
from syntony.study.groups import Contest, Group, Seed, contests
from syntony.study.statistics import mean_over_seeds

FEW = 5
"""Of so few seeds, and of fewer, a bootstrap's interval is too narrow."""
SHARE = 0.9
"""How much of the way to the best score is to be gone, where nothing else is asked."""
FAR = 0.8
"""A seed that has come less far than this share of the furthest is named."""
LEAST = 1e-7
"""Error rates below count as this: nobody has measured so few."""


class Comparison(NamedTuple):
    """What was compared, and what was found, as JSON can hold it."""

    contests: list[Contest]
    found: dict[str, Any]


class Course(NamedTuple):
    """A seed's curve up to the step at which all are compared."""

    seed: Seed
    steps: Float[np.ndarray, " T"]
    scores: Float[np.ndarray, " T"]
    final: float
    """What it scores there, or on average over a window before."""


Field = list[tuple[Group, list[Course]]]
"""The groups of a task, each with its seeds."""


def compare(
    runs: Sequence[str],
    *,
    at: int | None = None,
    window: int = 0,
    reach: float | None = None,
    score: str | None = None,
) -> Comparison:
    """Compares groups of runs at equal steps.

    Intervals are of 95 %: bootstraps, stratified over tasks, of interquartile means;
    Student's of means; Newcombe's of the probability of improvement.

    Args:
        runs: folders, or `NAME=FOLDER,FOLDER`.
        at: the step; by default, on each task, the last one that all seeds reached.
        window: a seed's score is the mean of its evaluations in so many steps up to
            there; by default that of one alone.
        reach: the score whose first step is told; by default nine tenths of the way
            from where all start to the best group's score.
        score: what is compared, e.g. `eval/return_mean_greedy`.

    Raises:
        BadInput: there is nothing to compare, or not at that step.
    """
    found, notes = contests(runs, score=score)
    if window < 0:
        raise BadInput(f"window is {window:,}; expected 0 steps or more")
    fields = [_field(contest, at, window) for contest in found]
    tasks = [
        _on_a_task(contest, field, reach) | {"window": window}
        for contest, field in zip(found, fields, strict=True)
    ]
    notes += [note for contest in found for note in _stragglers(contest)]
    counts = {len(courses) for field in fields for _, courses in field}
    if 1 in counts:
        notes.append("one seed says nothing of others, and has no interval")
    if counts & set(range(2, FEW + 1)):
        notes.append(
            "of few seeds, bootstrapped intervals are too narrow: those of 3, 5 and 10 "
            "hold the truth in about 76, 89 and 94 of 100 cases"
        )
    overall = _overall(found, fields)
    return Comparison(found, {"tasks": tasks, "overall": overall, "notes": notes})


def _field(contest: Contest, at: int | None, window: int) -> Field:
    """Returns all curves, cut at the step of the comparison."""
    slowest = _slowest(contest)
    first = max(seed.steps[0] for group in contest.groups for seed in group.seeds)
    last = float(slowest.steps[-1] if at is None else at)
    if last > slowest.steps[-1]:
        raise BadInput(
            f"at is {last:,.0f}, beyond step {slowest.steps[-1]:,.0f}, where seed "
            f"{slowest.seed} of {slowest.run} ends; expected no more"
        )
    if last <= first:
        raise BadInput(
            f"step {last:,.0f} is no step at which all runs of {contest.task} were "
            f"measured; expected more than {first:,.0f}"
        )
    return [
        (group, [_cut(seed, last, window) for seed in group.seeds])
        for group in contest.groups
    ]


def _slowest(contest: Contest) -> Seed:
    seeds = [seed for group in contest.groups for seed in group.seeds]
    return min(seeds, key=lambda seed: seed.steps[-1])


def _stragglers(contest: Contest) -> Iterator[str]:
    """Says who holds back a comparison by much."""
    slowest = _slowest(contest)
    furthest = max(s.steps[-1] for group in contest.groups for s in group.seeds)
    if slowest.steps[-1] < FAR * furthest:
        yield (
            f"{contest.task}: seed {slowest.seed} of {slowest.run} has come to step "
            f"{slowest.steps[-1]:,.0f}, others to {furthest:,.0f}"
        )


def _cut(seed: Seed, last: float, window: int) -> Course:
    before = seed.steps < last
    steps = np.append(seed.steps[before], last)
    scores = np.interp(steps, seed.steps, seed.scores)
    return Course(seed, steps, scores, float(scores[steps >= last - window].mean()))


def scale(contest: Contest) -> list[float] | None:
    """Returns the worst and the best score of a task, where they are known."""
    returns = contest.score.startswith("eval/return_mean")
    plain = contest.task.startswith("Foraging-") and "penalty" not in contest.task
    return [0.0, 1.0] if returns and plain else None


def height(scores: ArrayLike | float, score: str) -> Float[np.ndarray, "..."]:
    """Returns how good scores are: themselves; of error rates, minus their log₁₀.

    Error rates go by factors: from 1 to 0.1 is as far as from 0.01 to 0.001.
    """
    if score not in RATES:
        return np.asarray(scores, float)
    return np.asarray(-np.log10(np.maximum(scores, LEAST)))


def score_of(height: float, score: str) -> float:
    """Returns the score of a height."""
    return 10.0**-height if score in RATES else height


def _on_a_task(contest: Contest, field: Field, reach: float | None) -> dict[str, Any]:
    slowest, score = _slowest(contest), contest.score
    target = _target(field, score) if reach is None else float(height(reach, score))
    finals = {group.label: height(_finals(each), score) for group, each in field}
    return {
        "task": contest.task,
        "score": score,
        "better": "lower" if score in RATES else "higher",
        "step": int(field[0][1][0].steps[-1]),
        "slowest": {
            "run": str(slowest.run),
            "seed": slowest.seed,
            "step": int(slowest.steps[-1]),
        },
        "reach": None if target is None else score_of(target, score),
        "scale": scale(contest),
        "groups": [_summary(contest, *group, target) for group in field],
        "improvement": [
            {
                **{"x": x, "y": y},
                **_improvement([(finals[x], finals[y])]),
                **_difference(finals[x], finals[y], score),
            }
            for x, y in itertools.combinations(finals, 2)
        ],
    }


def _target(field: Field, score: str) -> float | None:
    """Returns a height well on the way to the best; nothing if none learned anything.

    The way starts where all did on average.
    """
    starts = [course.scores[0] for _, courses in field for course in courses]
    ends = [statistics.interquartile_mean([_finals(each)]) for _, each in field]
    start, best = (
        float(height(np.mean(starts), score)),
        float(height(ends, score).max()),
    )
    return start + SHARE * (best - start) if best > start else None


def _summary(
    contest: Contest, group: Group, courses: list[Course], target: float | None
) -> dict[str, Any]:
    """Returns the numbers of a group on a task."""
    finals, score = _finals(courses), contest.score
    curves = [(course.steps, height(course.scores, score)) for course in courses]
    areas = [score_of(statistics.area_under_curve(*c), score) for c in curves]
    goal = math.inf if target is None else target
    reached = [statistics.first_reach(*curve, goal) for curve in curves]
    paper, step = paper_curve(contest, group), courses[0].steps[-1]
    each = [
        {
            "run": str(course.seed.run),
            "seed": course.seed.seed,
            "score": course.final,
            "area": area,
            "steps_to_reach": _finite(steps),
        }
        for course, area, steps in zip(courses, areas, reached, strict=True)
    ]
    iqm = statistics.interquartile_mean
    return {
        "label": group.label,
        "system": group.system,
        "seeds": len(courses),
        **_aggregates([finals]),
        "optimality_gap": scale(contest) and statistics.optimality_gap([finals]),
        **_with_interval("area", [np.array(areas)], iqm),
        "reached": sum(map(math.isfinite, reached)),
        "steps_to_reach": _finite(float(np.median(reached))),
        "paper": paper and papers.at(paper, step),
        "paper_error": paper and paper.error,
        "scores": each,
    }


def paper_curve(contest: Contest, group: Group) -> papers.Known | None:
    """Returns what the paper reports of a group's method on a task, if anything."""
    if contest.score != "eval/return_mean":
        return None
    return papers.known(contest.task, method(group))


def method(group: Group) -> str:
    """Returns the paper's name for what a group is; nothing if it has none."""
    own = {place.rpartition(".")[2]: value for place, value in group.changes.items()}
    return papers.method(group.system, own)


def _aggregates(strata: Strata) -> dict[str, Any]:
    """Returns the middle of scores, in three ways, with the intervals of two."""
    low = high = None
    pooled = statistics.pooled(strata)
    if len(strata) == 1:
        band = mean_over_seeds(np.asarray(strata[0])[:, None])
        low, high = _finite(float(band.low[0])), _finite(float(band.high[0]))
    return {
        **_with_interval("iqm", strata, statistics.interquartile_mean),
        "mean": float(pooled.mean()),
        "mean_low": low,
        "mean_high": high,
        "median": float(np.median(pooled)),
    }


def _with_interval(
    name: str, strata: Strata, statistic: Callable[[Strata], float]
) -> dict[str, Any]:
    """Returns a statistic and its bootstrapped interval; of one seed it has none."""
    low = high = None
    if min(map(len, strata)) > 1:
        low, high = statistics.stratified_interval(strata, statistic)
    return {name: statistic(strata), f"{name}_low": low, f"{name}_high": high}


def _improvement(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Returns P(X > Y), the mean over tasks, with its interval."""
    chances = [statistics.probability_of_improvement(x, y) for x, y in pairs]
    intervals = [
        statistics.improvement_interval(chance, len(x), len(y))
        for chance, (x, y) in zip(chances, pairs, strict=True)
    ]
    low, high = statistics.mean_interval(chances, intervals)
    return {"probability": float(np.mean(chances)), "low": low, "high": high}


def _difference(x: np.ndarray, y: np.ndarray, score: str) -> dict[str, float | None]:
    """Returns by how much the mean of X is above that of Y; nothing of error rates."""
    names = ("difference", "difference_low", "difference_high")
    if score in RATES:
        return dict.fromkeys(names)
    ends = (None, None)
    if min(len(x), len(y)) > 1:
        ends = statistics.difference_interval(x, y)
    return dict(zip(names, (float(x.mean() - y.mean()), *ends), strict=True))


def _overall(found: Sequence[Contest], fields: Sequence[Field]) -> dict[str, Any]:
    """Returns what holds over several tasks.

    Scores are averaged over the tasks that all groups have run, where their scales are
    known; probabilities of two groups, which need no scale, over those that both have.
    """
    heights: dict[str, dict[int, np.ndarray]] = {}
    for number, (contest, field) in enumerate(zip(found, fields, strict=True)):
        for group, courses in field:
            finals = height(_finals(courses), contest.score)
            heights.setdefault(group.label, {})[number] = finals
    scaled = [n for n, contest in enumerate(found) if scale(contest)]
    shared = [n for n in scaled if all(n in each for each in heights.values())]
    averaged = shared if len(shared) > 1 else []
    rows = [
        _over(label, [each[n] for n in averaged])
        for label, each in heights.items()
        if averaged
    ]
    pairs = []
    for x, y in itertools.combinations(heights, 2):
        both = [n for n in heights[x] if n in heights[y]]
        if len(both) > 1:
            of = [(heights[x][n], heights[y][n]) for n in both]
            pairs.append({"x": x, "y": y, "tasks": len(both), **_improvement(of)})
    names = [found[n].task for n in averaged]
    return {"tasks": names, "groups": rows, "improvement": pairs}


def _over(label: str, strata: Strata) -> dict[str, Any]:
    gap = statistics.optimality_gap(strata)
    seeds = sum(map(len, strata))
    return {
        "label": label,
        "seeds": seeds,
        **_aggregates(strata),
        "optimality_gap": gap,
    }


def _finals(courses: Sequence[Course]) -> Float[np.ndarray, " S"]:
    return np.array([course.final for course in courses])


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
