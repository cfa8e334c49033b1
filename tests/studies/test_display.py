"""What is shown of a study: the table, lines, the report; on small terminals too."""

import io
import re
from pathlib import Path

import pytest
from fake_engine import endings
from rich.console import Console

from syntony.cli import main
from syntony.cli.study_display import render_study, summary
from syntony.report.components import Plot, Table
from syntony.report.study_page import study_sections
from syntony.studies.status import (
    CellStatus,
    StudyStatus,
    read_study_status,
)
from syntony.studies.study_folder import StudyFolder
from syntony.studies.trial import TrialRecord

from .conftest import Sweep


def render(status: StudyStatus, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(render_study(status))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_table_fits_80_columns():
    record = TrialRecord("a", "s", {}, (0,), "done", score=-0.123456789)
    cells = [
        CellStatus(f"smpe paper on {'Foraging-' * i}", 1000, 998, 1, 1, 0, record)
        for i in range(12)
    ]
    status = StudyStatus(Path("s"), cells, 4000.0, 100, 200, [record] * 9)
    lines = render(status)
    assert max(map(len, lines)) <= 80
    assert "-0.1235" in lines[1]
    assert "and 4 more" in " ".join(lines)
    assert re.search(
        r"11976 of 12000 done, 12 running, 12 failed, 1h.* left", lines[-1]
    )


def test_lines_without_a_terminal(sweep: Sweep, capsys: pytest.CaptureFixture[str]):
    endings["-s1"] = [(1, "disk full"), (2, "broken")]
    sweep(seeds=2, seeds_per_trial=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("equal budgets")
    assert any(re.match(r"done .*-s0: 0 s, eval/return_mean", line) for line in lines)
    assert any(line.endswith("disk full; it is started again") for line in lines)
    assert lines[-1] == "1 of 2 done, 1 failed, 2 cores"


def test_watch_compare_and_report_take_a_study(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
):
    endings["-s2"] = [(2, "broken")]
    sweep(grid={"rate": [0.1, 0.3]}, seeds=3, seeds_per_trial=1)
    assert main(["watch", "study"]) == 0
    shown = capsys.readouterr().out
    assert "5/6" in shown
    assert "broken" in shown
    assert main(["compare", "study"]) == 0
    assert re.search(r"rate=0.3 +\d", capsys.readouterr().out)
    assert main(["report", "study"]) == 0
    assert "Learning curves" in Path("study/report.html").read_text()
    assert main(["report", "study", "study"]) == 2
    assert "expected it alone" in capsys.readouterr().err


def test_the_report_has_the_best_settings_first(sweep: Sweep):
    sweep(grid={"rate": [0.1, 0.3, 0.5], "noise": [0.1]}, seeds=2)
    overview, cell, cost = study_sections(StudyFolder(Path("study")))
    assert overview.notes == [
        "Equal budgets: as many settings, seeds and steps for every system."
    ]
    best, one_slice, curves = cell.parts
    assert isinstance(best, Table)
    # A flag with one value is none that varies.
    assert best.header == ["rank", "score", "rate", "seeds", "trial"]
    assert [row[2] for row in best.rows] == ["0.3", "0.1", "0.5"]
    assert isinstance(one_slice, Plot)
    (points,) = one_slice.figure["data"]
    assert dict(zip(points["x"], points["y"], strict=True)) == pytest.approx(
        {rate: -((rate - 0.3) ** 2) + 900e-6 + 0.5e-3 for rate in (0.1, 0.3, 0.5)}
    )
    assert one_slice.figure["layout"]["xaxis"]["ticktext"] == ["0.3", "0.1", "0.5"]
    assert isinstance(curves, Plot)
    # Of each setting a line for each of its two seeds, and their mean.
    traces = curves.figure["data"]
    assert [trace.get("showlegend", True) for trace in traces] == [
        False,
        False,
        True,
    ] * 3
    assert not any("fill" in trace for trace in traces)
    assert isinstance(cost.parts[0], Table)
    assert cost.parts[0].rows[0][1:6] == ["3", "2", "900", "5,400", "5,400"]


def test_the_time_left_is_that_of_the_trials_that_are_left(sweep: Sweep):
    sweep(seeds=4, seeds_per_trial=1)
    folder = StudyFolder(Path("study"))
    names = [*folder.records()]
    for name in names[2:]:
        folder.append(name, "interrupted")
    for name in names[:2]:
        folder.append(name, "done", seconds=10.0)
    status = read_study_status(folder.path)
    # Two of about 10 seconds, one at a time: no process runs the study.
    assert status.seconds_left == pytest.approx(20.0, abs=1.0)
    assert "left" not in summary(status)
