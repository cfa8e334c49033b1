"""Messages of a conformance report."""

from syntony.conformance.suite import Report


def messages(report: Report) -> dict[str, str]:
    """Name to message of all rules that do not hold."""
    return {failure.name: failure.message for failure in report.failures}
