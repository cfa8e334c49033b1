"""A comparison as tables: rows of text, and the files that hold them."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from syntony.errors import InvalidInputError
from syntony.training.atomic_io import atomic_write
from syntony.training.progress import ERROR_RATE_METRICS

Results = Mapping[str, Any]

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
"""What some characters are in LaTeX."""


class TextTable(NamedTuple):
    """Rows of text under their heads; the first column names the row."""

    title: str
    header: list[str]
    rows: list[list[str]]


def comparison_tables(results: Results) -> list[TextTable]:
    """Returns what `compare` found: of each task, and then over all."""
    every = [table for task in results["tasks"] for table in _task_tables(task)]
    overall = results["overall"]
    if rows := [_score_row(group, "") for group in overall["groups"]]:
        title = f"Over {len(overall['tasks'])} tasks: {', '.join(overall['tasks'])}"
        heads = ["", "seeds", "IQM", "mean", "median", "optimality gap"]
        every.append(TextTable(title, heads, rows))
    if pairs := overall["improvement"]:
        every.append(_improvement_table("Over the tasks that both have run", pairs))
    return every


def write_comparison(results: Results, folder: Path) -> list[Path]:
    """Writes a comparison as Markdown, LaTeX, CSV and JSON; returns the files.

    Raises:
        BadInput: there can be no such folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise InvalidInputError(
            f"cannot write to {folder}: {failure.strerror}"
        ) from None
    texts = {
        "comparison.md": to_markdown(results),
        "comparison.tex": to_latex(results),
        "comparison.csv": groups_to_csv(results),
        "improvement.csv": pairs_to_csv(results),
        "comparison.json": json.dumps(results, indent=1, allow_nan=False) + "\n",
    }
    for name, text in texts.items():
        with atomic_write(folder / name) as file:
            file.write(text.encode())
    return [folder / name for name in texts]


def to_markdown(results: Results) -> str:
    """Returns all tables, and the notes, in Markdown."""
    lines = ["# Comparison"]
    for table in comparison_tables(results):
        rule = ["---"] + ["---:"] * (len(table.header) - 1)
        lines += ["", f"## {table.title}", ""]
        rows = [table.header, rule, *table.rows]
        lines += [
            f"| {' | '.join(_escape_markdown(cell) for cell in row)} |" for row in rows
        ]
    lines += ["", *(f"* {note}" for note in results["notes"])]
    return "\n".join(lines).rstrip() + "\n"


def to_latex(results: Results) -> str:
    """Returns all tables in LaTeX, for the package booktabs."""
    parts = [_to_latex_table(table) for table in comparison_tables(results)]
    notes = [f"% {' '.join(note.split())}" for note in results["notes"]]
    return "\n".join(["% needs \\usepackage{booktabs}", *notes, "", *parts])


def groups_to_csv(results: Results) -> str:
    """Returns a row for each group on each task."""
    rows = [
        {"task": task["task"], "score": task["score"], "step": task["step"]}
        | {name: value for name, value in group.items() if name != "scores"}
        | {"reach": task["reach"]}
        for task in results["tasks"]
        for group in task["groups"]
    ]
    return _to_csv(list(rows[0]), rows)


def pairs_to_csv(results: Results) -> str:
    """Returns a row for each pair of groups on each task, and for each pair overall."""
    heads = ["task", "x", "y", "probability", "low", "high"]
    heads += ["difference", "difference_low", "difference_high"]
    rows = [
        {"task": task["task"], **pair}
        for task in results["tasks"]
        for pair in task["improvement"]
    ]
    every = [{"task": "", **pair} for pair in results["overall"]["improvement"]]
    return _to_csv(heads, rows + every)


def _to_csv(header: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _task_tables(task: Results) -> list[TextTable]:
    """Returns how good groups are, how fast they became so, and who beats whom."""
    groups, score = task["groups"], task["score"]
    ended = "the last that all seeds reached"
    if task["step"] < task["slowest"]["step"]:
        ended = f"as asked; all reached {task['slowest']['step']:,}"
    if task["window"]:
        ended += f"; means over the last {task['window']:,}"
    where = f"{task['task']}, step {task['step']:,} ({ended})"
    title = f"{where}: {score}, {task['better']} is better"
    heads = ["", "seeds", "IQM", "mean", "median"]
    rows = [_score_row(group, score) for group in groups]
    heads += ["optimality gap"] if task["scale"] else []
    if any(group["paper"] is not None for group in groups):
        heads.append("paper at the same steps")
        rows = [
            [*r, _format_reported(g, score)] for r, g in zip(rows, groups, strict=True)
        ]
    found = [TextTable(title, heads, rows), _learning_speed_table(task)]
    return found + (
        [_improvement_table(task["task"], task["improvement"], score)]
        if groups[1:]
        else []
    )


def _score_row(group: Results, metric: str) -> list[str]:
    gap = group["optimality_gap"]
    row = [
        group["label"],
        str(group["seeds"]),
        _format_interval(group, "iqm", metric),
        _format_interval(group, "mean", metric),
        _format_number(group["median"], metric),
    ]
    return row if gap is None else [*row, _format_number(gap, metric)]


def _learning_speed_table(task: Results) -> TextTable:
    """Returns how fast groups of a task learn."""
    score, goal = task["score"], task["reach"]
    name = (
        "geometric mean on the way"
        if score in ERROR_RATE_METRICS
        else "mean on the way (area)"
    )
    steps = "" if goal is None else f"median steps to {_format_number(goal, score)}"
    rows = [
        [
            g["label"],
            _format_interval(g, "area", score),
            "" if goal is None else _format_steps(g),
        ]
        for g in task["groups"]
    ]
    return TextTable(f"{task['task']}: how fast", ["", name, steps], rows)


def _format_steps(group: Results) -> str:
    """Returns the median over seeds, of which some may never arrive."""
    count = f"{group['reached']} of {group['seeds']}"
    if group["reached"] == 0:
        return f"none arrived ({count})"
    steps = group["steps_to_reach"]
    return f"half never ({count})" if steps is None else f"{steps:,.0f} ({count})"


def _improvement_table(
    title_prefix: str, pairs: Sequence[Results], metric: str = ""
) -> TextTable:
    """Returns how likely a run of one group is better than a run of another.

    And by how much, where the difference of two scores means something.
    """
    cell = "{probability:.2f} [{low:.2f}, {high:.2f}]"
    heads = ["X", "than Y", "P"]
    rows = [[pair["x"], pair["y"], cell.format(**pair)] for pair in pairs]
    if all(pair.get("difference") is not None for pair in pairs):
        heads.append("mean X − mean Y")
        for row, pair in zip(rows, pairs, strict=True):
            row.append(_format_interval(pair, "difference", metric))
    return TextTable(f"{title_prefix}: probability that X does better", heads, rows)


def _format_reported(group: Results, metric: str) -> str:
    if group["paper"] is None:
        return ""
    return f"{_format_number(group['paper'], metric)} ± {group['paper_error']:g}"


def _format_interval(group: Results, name: str, metric: str) -> str:
    value, low, high = (group[f"{name}{end}"] for end in ("", "_low", "_high"))
    if low is None:
        return _format_number(value, metric)
    ends = f"[{_format_number(low, metric)}, {_format_number(high, metric)}]"
    return f"{_format_number(value, metric)} {ends}"


def _format_number(value: float, metric: str) -> str:
    if metric in ERROR_RATE_METRICS:
        return f"{value:.2e}"
    # Three digits say enough of a return, whatever its unit.
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _escape_markdown(cell: str) -> str:
    """Returns a cell that Markdown does not take for two."""
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
    return "".join(LATEX_ESCAPES.get(character, character) for character in text)
