"""A comparison as tables: rows of text, and the files that hold them."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from syntony.errors import BadInput
from syntony.run.atomic import replacing
from syntony.run.progress import RATES

Found = Mapping[str, Any]

LATEX = {
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


class Table(NamedTuple):
    """Rows of text under their heads; the first column names the row."""

    title: str
    heads: list[str]
    rows: list[list[str]]


def tables(found: Found) -> list[Table]:
    """Returns what `compare` found: of each task, and then over all."""
    every = [table for task in found["tasks"] for table in _of_a_task(task)]
    overall = found["overall"]
    if rows := [_scores(group, "") for group in overall["groups"]]:
        title = f"Over {len(overall['tasks'])} tasks: {', '.join(overall['tasks'])}"
        heads = ["", "seeds", "IQM", "mean", "median", "optimality gap"]
        every.append(Table(title, heads, rows))
    if pairs := overall["improvement"]:
        every.append(_pairs("Over the tasks that both have run", pairs))
    return every


def write(found: Found, folder: Path) -> list[Path]:
    """Writes a comparison as Markdown, LaTeX, CSV and JSON; returns the files.

    Raises:
        BadInput: there can be no such folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise BadInput(f"cannot write to {folder}: {failure.strerror}") from None
    texts = {
        "comparison.md": markdown(found),
        "comparison.tex": latex(found),
        "comparison.csv": groups_csv(found),
        "improvement.csv": pairs_csv(found),
        "comparison.json": json.dumps(found, indent=1, allow_nan=False) + "\n",
    }
    for name, text in texts.items():
        with replacing(folder / name) as file:
            file.write(text.encode())
    return [folder / name for name in texts]


def markdown(found: Found) -> str:
    """Returns all tables, and the notes, in Markdown."""
    lines = ["# Comparison"]
    for table in tables(found):
        rule = ["---"] + ["---:"] * (len(table.heads) - 1)
        lines += ["", f"## {table.title}", ""]
        rows = [table.heads, rule, *table.rows]
        lines += [f"| {' | '.join(_bars(cell) for cell in row)} |" for row in rows]
    lines += ["", *(f"* {note}" for note in found["notes"])]
    return "\n".join(lines).rstrip() + "\n"


def latex(found: Found) -> str:
    """Returns all tables in LaTeX, for the package booktabs."""
    parts = [_latex_table(table) for table in tables(found)]
    notes = [f"% {' '.join(note.split())}" for note in found["notes"]]
    return "\n".join(["% needs \\usepackage{booktabs}", *notes, "", *parts])


def groups_csv(found: Found) -> str:
    """Returns a row for each group on each task."""
    rows = [
        {"task": task["task"], "score": task["score"], "step": task["step"]}
        | {name: value for name, value in group.items() if name != "scores"}
        | {"reach": task["reach"]}
        for task in found["tasks"]
        for group in task["groups"]
    ]
    return _csv(list(rows[0]), rows)


def pairs_csv(found: Found) -> str:
    """Returns a row for each pair of groups on each task, and for each pair overall."""
    heads = ["task", "x", "y", "probability", "low", "high"]
    heads += ["difference", "difference_low", "difference_high"]
    rows = [
        {"task": task["task"], **pair}
        for task in found["tasks"]
        for pair in task["improvement"]
    ]
    every = [{"task": "", **pair} for pair in found["overall"]["improvement"]]
    return _csv(heads, rows + every)


def _csv(heads: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, heads, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _of_a_task(task: Found) -> list[Table]:
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
    rows = [_scores(group, score) for group in groups]
    heads += ["optimality gap"] if task["scale"] else []
    if any(group["paper"] is not None for group in groups):
        heads.append("paper at the same steps")
        rows = [[*r, _paper(g, score)] for r, g in zip(rows, groups, strict=True)]
    found = [Table(title, heads, rows), _pace(task)]
    return found + (
        [_pairs(task["task"], task["improvement"], score)] if groups[1:] else []
    )


def _scores(group: Found, score: str) -> list[str]:
    gap = group["optimality_gap"]
    row = [
        group["label"],
        str(group["seeds"]),
        _interval(group, "iqm", score),
        _interval(group, "mean", score),
        _number(group["median"], score),
    ]
    return row if gap is None else [*row, _number(gap, score)]


def _pace(task: Found) -> Table:
    """Returns how fast groups of a task learn."""
    score, goal = task["score"], task["reach"]
    name = "geometric mean on the way" if score in RATES else "mean on the way (area)"
    steps = "" if goal is None else f"median steps to {_number(goal, score)}"
    rows = [
        [g["label"], _interval(g, "area", score), "" if goal is None else _steps(g)]
        for g in task["groups"]
    ]
    return Table(f"{task['task']}: how fast", ["", name, steps], rows)


def _steps(group: Found) -> str:
    """Returns the median over seeds, of which some may never arrive."""
    count = f"{group['reached']} of {group['seeds']}"
    if group["reached"] == 0:
        return f"none arrived ({count})"
    steps = group["steps_to_reach"]
    return f"half never ({count})" if steps is None else f"{steps:,.0f} ({count})"


def _pairs(where: str, pairs: Sequence[Found], score: str = "") -> Table:
    """Returns how likely a run of one group is better than a run of another.

    And by how much, where the difference of two scores means something.
    """
    cell = "{probability:.2f} [{low:.2f}, {high:.2f}]"
    heads = ["X", "than Y", "P"]
    rows = [[pair["x"], pair["y"], cell.format(**pair)] for pair in pairs]
    if all(pair.get("difference") is not None for pair in pairs):
        heads.append("mean X − mean Y")
        for row, pair in zip(rows, pairs, strict=True):
            row.append(_interval(pair, "difference", score))
    return Table(f"{where}: probability that X does better", heads, rows)


def _paper(group: Found, score: str) -> str:
    if group["paper"] is None:
        return ""
    return f"{_number(group['paper'], score)} ± {group['paper_error']:g}"


def _interval(group: Found, name: str, score: str) -> str:
    value, low, high = (group[f"{name}{end}"] for end in ("", "_low", "_high"))
    if low is None:
        return _number(value, score)
    ends = f"[{_number(low, score)}, {_number(high, score)}]"
    return f"{_number(value, score)} {ends}"


def _number(value: float, score: str) -> str:
    if score in RATES:
        return f"{value:.2e}"
    # Three digits say enough of a return, whatever its unit.
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _bars(cell: str) -> str:
    """Returns a cell that Markdown does not take for two."""
    return cell.replace("|", "\\|")


def _latex_table(table: Table) -> str:
    columns = "l" + "r" * (len(table.heads) - 1)
    lines = [" & ".join(map(_latex, row)) + r" \\" for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_latex(table.title)}}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            f"    {' & '.join(map(_latex, table.heads))} \\\\",
            r"    \midrule",
            *(f"    {line}" for line in lines),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)
