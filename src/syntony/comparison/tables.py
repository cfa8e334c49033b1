"""Tables of a comparison, as text, Markdown, LaTeX, CSV and JSON."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from syntony.comparison.results import (
    ComparisonResults,
    GroupResult,
    OverallGroup,
    Pair,
    TaskPair,
    TaskResult,
)
from syntony.errors import InvalidInputError
from syntony.training.atomic_io import atomic_write
from syntony.training.progress import ERROR_RATE_METRICS

LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "²": r"\textsuperscript{2}",
    "±": r"$\pm$",
    "−": "$-$",
    "<": "$<$",
    ">": "$>$",
    "=": "$=$",
}
"""LaTeX code of special characters."""
MINUS_SIGN = re.compile(r"(?<![\w.:-])-(?=\.?\d)")
"""Sign of a negative number; the hyphens of names and exponents are none."""


class TextTable(NamedTuple):
    """Table of text; the first column holds the names of the rows."""

    title: str
    header: list[str]
    rows: list[list[str]]


def comparison_tables(results: ComparisonResults) -> list[TextTable]:
    """Tables of the results of `compare`: of each task, then over all tasks."""
    tables = [table for task in results["tasks"] for table in _task_tables(task)]
    overall = results["overall"]
    if rows := [_score_row(group, "") for group in overall["groups"]]:
        title = f"Over {len(overall['tasks'])} tasks: {', '.join(overall['tasks'])}"
        header = ["", "seeds", "IQM", "mean", "median", "optimality gap"]
        tables.append(TextTable(title, header, rows))
    if pairs := overall["probability_of_improvement"]:
        tables.append(_improvement_table("Over the tasks that both have run", pairs))
    return tables


def write_comparison(results: ComparisonResults, folder: Path) -> list[Path]:
    """Writes a comparison as Markdown, LaTeX, CSV and JSON; returns the files.

    Args:
        results: the results of `compare`.
        folder: folder of the files; it is made if needed.

    Raises:
        InvalidInputError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"cannot write to {folder}: {error.strerror}") from None
    texts = {
        "comparison.md": to_markdown(results),
        "comparison.tex": to_latex(results),
        "comparison.csv": groups_to_csv(results),
        "probability_of_improvement.csv": pairs_to_csv(results),
        "comparison.json": json.dumps(results, indent=1, allow_nan=False) + "\n",
    }
    for name, text in texts.items():
        with atomic_write(folder / name) as file:
            file.write(text.encode())
    return [folder / name for name in texts]


def to_markdown(results: ComparisonResults) -> str:
    """All tables and notes in Markdown."""
    lines = ["# Comparison"]
    for table in comparison_tables(results):
        alignment = ["---"] + ["---:"] * (len(table.header) - 1)
        lines += ["", f"## {table.title}", ""]
        rows = [table.header, alignment, *table.rows]
        lines += [
            f"| {' | '.join(_escape_markdown(cell) for cell in row)} |" for row in rows
        ]
    lines += ["", *(f"* {note}" for note in results["notes"])]
    return "\n".join(lines).rstrip() + "\n"


def to_latex(results: ComparisonResults) -> str:
    """All tables in LaTeX, for the package booktabs; notes are comments."""
    parts = [_to_latex_table(table) for table in comparison_tables(results)]
    notes = [f"% {' '.join(note.split())}" for note in results["notes"]]
    return "\n".join(["% needs \\usepackage{booktabs}", *notes, "", *parts])


def groups_to_csv(results: ComparisonResults) -> str:
    """CSV with a row for each group on each task."""
    rows = [
        {"task": task["task"], "metric": task["metric"], "step": task["step"]}
        | {name: value for name, value in group.items() if name != "scores"}
        | {"threshold": task["threshold"]}
        for task in results["tasks"]
        for group in task["groups"]
    ]
    return _to_csv(list(rows[0]), rows)


def pairs_to_csv(results: ComparisonResults) -> str:
    """CSV with a row for each pair of groups, on each task and over all tasks."""
    header = ["task", "x", "y", "probability", "low", "high"]
    header += ["difference", "difference_low", "difference_high"]
    rows = [
        {"task": task["task"], **pair}
        for task in results["tasks"]
        for pair in task["probability_of_improvement"]
    ]
    overall = results["overall"]["probability_of_improvement"]
    return _to_csv(header, rows + [{"task": "", **pair} for pair in overall])


def _to_csv(header: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _task_tables(task: TaskResult) -> list[TextTable]:
    """Tables of a task: scores, learning speed and, for several groups, improvement."""
    groups, metric = task["groups"], task["metric"]
    step_note = "the last that all seeds reached"
    if task["step"] < task["shortest_run"]["step"]:
        step_note = f"as requested; all reached {task['shortest_run']['step']:,}"
    if task["eval_window"]:
        step_note += f"; means over the last {task['eval_window']:,}"
    better = "lower" if task["lower_is_better"] else "higher"
    subject = f"{task['task']}, step {task['step']:,} ({step_note})"
    header = ["", "seeds", "IQM", "mean", "median"]
    rows = [_score_row(group, metric) for group in groups]
    header += ["optimality gap"] if task["score_range"] else []
    if any(group["reported"] is not None for group in groups):
        header.append("paper at the same steps")
        rows = [
            [*r, _format_reported(g, metric)] for r, g in zip(rows, groups, strict=True)
        ]
    title = f"{subject}: {metric}, {better} is better"
    tables = [TextTable(title, header, rows), _learning_speed_table(task)]
    if len(groups) > 1:
        pairs = task["probability_of_improvement"]
        differences = [
            text for pair in pairs if (text := _format_difference(pair, metric))
        ]
        tables.append(_improvement_table(task["task"], pairs, differences))
    return tables


def _score_row(group: GroupResult | OverallGroup, metric: str) -> list[str]:
    gap = group["optimality_gap"]
    row = [
        group["label"],
        str(group["seeds"]),
        _format_interval(group["iqm"], group["iqm_low"], group["iqm_high"], metric),
        _format_interval(group["mean"], group["mean_low"], group["mean_high"], metric),
        _format_number(group["median"], metric),
    ]
    return row if gap is None else [*row, _format_number(gap, metric)]


def _learning_speed_table(task: TaskResult) -> TextTable:
    """Area under the curve, and steps to the threshold, of the groups of a task."""
    metric, threshold = task["metric"], task["threshold"]
    area = "mean over training (area under the curve)"
    if metric in ERROR_RATE_METRICS:
        area = "geometric mean over training"
    steps = ""
    if threshold is not None:
        steps = f"median steps to {_format_number(threshold, metric)}"
    rows = [
        [
            group["label"],
            _format_interval(
                group["area_under_curve"],
                group["area_under_curve_low"],
                group["area_under_curve_high"],
                metric,
            ),
            "" if threshold is None else _format_steps(group),
        ]
        for group in task["groups"]
    ]
    return TextTable(f"{task['task']}: learning speed", ["", area, steps], rows)


def _format_steps(group: GroupResult) -> str:
    """Median steps to the threshold, and how many seeds reached it."""
    count = f"{group['seeds_reached']} of {group['seeds']}"
    if group["seeds_reached"] == 0:
        return f"not reached ({count})"
    steps = group["steps_to_threshold"]
    return f"no median ({count})" if steps is None else f"{steps:,.0f} ({count})"


def _improvement_table(
    title_prefix: str, pairs: Sequence[Pair], differences: Sequence[str] = ()
) -> TextTable:
    """Probability that a run of X is better than one of Y, and their mean difference.

    Differences are left out where there are none: over tasks, and for error rates.
    """
    cell = "{probability:.2f} [{low:.2f}, {high:.2f}]"
    header = ["X", "than Y", "P"]
    rows = [[pair["x"], pair["y"], cell.format(**pair)] for pair in pairs]
    if differences:
        header.append("mean X − mean Y")
        for row, difference in zip(rows, differences, strict=True):
            row.append(difference)
    return TextTable(f"{title_prefix}: probability that X is better", header, rows)


def _format_difference(pair: TaskPair, metric: str) -> str:
    difference = pair["difference"]
    if difference is None:
        return ""
    low, high = pair["difference_low"], pair["difference_high"]
    return _format_interval(difference, low, high, metric)


def _format_reported(group: GroupResult, metric: str) -> str:
    if group["reported"] is None:
        return ""
    return f"{_format_number(group['reported'], metric)} ± {group['reported_error']:g}"


def _format_interval(
    value: float, low: float | None, high: float | None, metric: str
) -> str:
    if low is None or high is None:
        return _format_number(value, metric)
    interval = f"[{_format_number(low, metric)}, {_format_number(high, metric)}]"
    return f"{_format_number(value, metric)} {interval}"


def _format_number(value: float, metric: str) -> str:
    if metric in ERROR_RATE_METRICS:
        return f"{value:.2e}"
    # Three decimals are enough for returns near 1, one for larger ones.
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _escape_markdown(cell: str) -> str:
    """Text of a cell, with column separators escaped."""
    return cell.replace("|", "\\|")


def _to_latex_table(table: TextTable) -> str:
    columns = "l" + "r" * (len(table.header) - 1)
    lines = [" & ".join(map(_escape_latex, row)) + r" \\" for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_escape_latex(table.title)}}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            f"    {' & '.join(map(_escape_latex, table.header))} \\\\",
            r"    \midrule",
            *(f"    {line}" for line in lines),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _escape_latex(text: str) -> str:
    escaped = "".join(LATEX_ESCAPES.get(character, character) for character in text)
    return MINUS_SIGN.sub("$-$", escaped)
