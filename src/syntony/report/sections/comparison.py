"""Section of several runs: which one is better, as `syntony compare` says."""

from collections.abc import Sequence

from syntony.comparison.compare import compare
from syntony.comparison.tables import comparison_tables
from syntony.errors import InvalidInputError
from syntony.report.components import Section, SectionPart, Table
from syntony.report.runs import ReportRun


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
        Table(table.title, list(table.header), [list(row) for row in table.rows])
        for table in comparison_tables(results)
    ]
    notes = [f"{note[0].upper()}{note[1:]}." for note in results["notes"]]
    return [Section("comparison", "Comparison", parts, notes)]
