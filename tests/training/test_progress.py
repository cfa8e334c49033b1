"""The progress display, on a terminal and in a file."""

import io
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from toy_system import Toy

from syntony.training import progress
from syntony.training.progress import (
    ProgressDisplay,
    constant_return,
    eval_metric_names,
    evaluation_line,
    format_duration,
    format_interval,
    metric_label,
)
from syntony.training.run_config import RunConfig

ROW = {
    "step": 50_000,
    "seed": 1,
    "wall_s": 75.0,
    "eval/length_mean": 3.0,
    "eval/length_mean_low": 2.0,
    "eval/length_mean_high": 4.0,
    "eval/return_mean": 0.5,
    "eval/return_mean_low": 0.25,
    "eval/return_mean_high": None,
    "train/loss": 0.1,
}


def test_formats_of_numbers_and_labels():
    assert [format_duration(s) for s in (0.4, 59.6, 61.0, 3599.0, 3600.0, 9e4)] == [
        *("0s", "1m 00s", "1m 01s", "59m 59s", "1h 00m", "25h 00m")
    ]
    assert metric_label("eval/return_mean_greedy") == "return greedy"
    assert metric_label("eval/bler") == "bler"
    assert format_interval(ROW, "eval/return_mean") == "0.500 [0.250, nan]"


def test_returns_are_listed_first():
    assert eval_metric_names(ROW) == ["eval/return_mean", "eval/length_mean"]


def returns(mean: float, low: float, high: float) -> dict[str, Any]:
    """Row of an evaluation with these sampled and greedy returns."""
    ends = {"": mean, "_low": low, "_high": high}
    names = ("eval/return_mean", "eval/return_mean_greedy")
    return {f"{name}{end}": x for name in names for end, x in ends.items()}


@pytest.mark.parametrize(
    ("rows", "want"),
    [
        ([returns(0.0, 0.0, 0.0)] * 2, 0.0),
        ([returns(0.3, 0.3, 0.3), returns(0.30000001, 0.3, 0.3)], 0.3),
        # Between the episodes of an evaluation, between evaluations, and greedy alone.
        ([returns(0.0, 0.0, 0.0), returns(0.01, 0.0, 0.03)], None),
        ([returns(0.0, 0.0, 0.0), returns(1.0, 1.0, 1.0)], None),
        (
            [returns(0.0, 0.0, 0.0)] * 2
            + [returns(0.0, 0.0, 0.0) | {"eval/return_mean_greedy": 1.0}],
            None,
        ),
        # One evaluation is not enough; a link has no returns; NaN is not a number.
        ([returns(0.0, 0.0, 0.0)], None),
        ([{"eval/bler": 0.5, "eval/bler_low": 0.5, "eval/bler_high": 0.5}] * 2, None),
        ([returns(0.0, 0.0, 0.0), ROW], None),
    ],
)
def test_a_return_that_never_varies_is_found(rows, want):
    assert constant_return(rows) == want


def test_one_line_per_evaluation(capsys: pytest.CaptureFixture[str]):
    with ProgressDisplay(
        RunConfig(system=Toy(), steps=100_000), Path("run")
    ) as display:
        display.print_evaluation(ROW)
    assert capsys.readouterr().out == (
        "seed 1     50,000   1m15s  return 0.500  length 3\n"
    )


def test_a_line_has_intervals_in_full_where_there_is_room():
    row = ROW | {"eval/return_mean_high": 0.75}
    head = "seed 1     50,000   1m15s"
    full = "return 0.500 [0.250, 0.750]"
    length = "length 3.000 [2.000, 4.000]"
    assert evaluation_line(row, 200) == f"{head}  {full}  {length}"
    assert evaluation_line(row, 200, "9 steps/s") == (
        f"{head}  {full}  9 steps/s  {length}"
    )
    short = "return 0.500 ±0.25"
    assert evaluation_line(row, 80) == f"{head}  {short}  length 3"
    # What does not fit is left out; the main metric never is.
    assert evaluation_line(row, 50) == f"{head}  {short}"
    assert evaluation_line(row, 20) == f"{head}  {short}"
    bler = {"step": 0, "seed": 0, "wall_s": 4.0, "eval/bler": 8.1e-4}
    bler |= {"eval/bler_low": 7.7e-4, "eval/bler_high": 8.6e-4}
    assert (
        evaluation_line(bler, 50) == "seed 0          0      4s  bler 8.10e-04 ±5e-05"
    )


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]):
    with ProgressDisplay(
        RunConfig(system=Toy(), steps=100), Path("run"), quiet=True
    ) as display:
        display.set_status("compiling")
        display.update_progress([50])
        display.print_evaluation(ROW)
        display.print_summary()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_progress_bar(monkeypatch: pytest.MonkeyPatch):
    output = io.StringIO()

    def terminal(**options: Any) -> Console:
        options["file"] = output
        return Console(force_terminal=True, width=100, **options)

    monkeypatch.setattr(progress, "Console", terminal)
    clock = iter(range(1000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    config = RunConfig(system=Toy(), steps=100_000, seeds=2)
    with ProgressDisplay(config, Path("run")) as display:
        display.set_status("training")
        display.update_progress([0, 0])
        display.print_evaluation(ROW)
        display.update_progress([50_000, 100_010])
        display.refresh()
    text = output.getvalue()
    assert "training" in text
    assert " 75 %" in text
    # 150,000 steps in the last second of the clock; 50,000 remain.
    assert "150,000 steps/s, 0s left, return 0.500" in text
