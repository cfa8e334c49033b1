"""Section of several runs: which one is better, as `syntony compare` says."""

from collections.abc import Iterator, Sequence

from syntony.comparison.compare import compare
from syntony.comparison.results import ComparisonResults, TaskPair
from syntony.comparison.tables import MINUS_SIGN, comparison_tables
from syntony.errors import InvalidInputError
from syntony.report.components import Section, SectionPart, Table
from syntony.report.runs import ReportRun

MAX_VERDICTS = 6
"""Pairs of which a sentence says which is better; the tables have all."""


def comparison_sections(report_runs: Sequence[ReportRun]) -> list[Section]:
    """Section with the tables of a comparison; none where no two groups share a task.

    Args:
        report_runs: the runs; those that cannot be compared have no section.
    """
    if len(report_runs) < 2:
        return []
    try:
        results = compare([str(x.stored.path) for x in report_runs]).results
    except InvalidInputError:
        return []
    if all(len(task["groups"]) < 2 for task in results["tasks"]):
        return []
    parts: list[SectionPart] = [
        Table(
            table.title, list(table.header), [_with_minus_signs(x) for x in table.rows]
        )
        for table in comparison_tables(results)
    ]
    notes = list(_verdicts(results))[:MAX_VERDICTS]
    notes += [f"{note[0].upper()}{note[1:]}." for note in results["notes"]]
    return [Section("comparison", "Comparison", parts, notes)]


def _with_minus_signs(row: Sequence[str]) -> list[str]:
    """Row of a table, with minus signs in its numbers."""
    name, *cells = row
    return [name, *(MINUS_SIGN.sub("−", cell) for cell in cells)]


def _verdicts(results: ComparisonResults) -> Iterator[str]:
    """Yields a sentence for each pair of groups on a task: which one is better."""
    for task in results["tasks"]:
        for pair in task["probability_of_improvement"]:
            yield f"{task['task']}: {verdict(pair)}"


def verdict(pair: TaskPair) -> str:
    """Sentence that says which of two groups is better, if their seeds show it."""
    x, y = pair["x"], pair["y"]
    probability, low, high = pair["probability"], pair["low"], pair["high"]
    if probability < 0.5:
        x, y = y, x
        probability, low, high = 1.0 - probability, 1.0 - high, 1.0 - low
    chance = (
        f"a run of {x} has the better score with probability {probability:.2f} "
        f"[{low:.2f}, {high:.2f}]."
    )
    if low <= 0.5 <= high:
        return f"these seeds do not show whether {x} or {y} is better; {chance}"
    return f"{x} is better than {y}; {chance}"
