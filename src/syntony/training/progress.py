"""Progress display of a run: a progress bar, and one line per evaluation."""

import math
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from syntony.training.log_stream import LogStream
from syntony.training.metrics_log import MetricsRow
from syntony.training.primary_metrics import ERROR_RATE_METRICS
from syntony.training.program_name import program_name
from syntony.training.run_config import RunConfig


class ProgressDisplay:
    """Progress bar and evaluations of a run; without a terminal, only lines of text.

    Args:
        path: the run folder, printed at the end.
        quiet: whether to print nothing.
    """

    def __init__(self, config: RunConfig, path: Path, *, quiet: bool = False):
        self._config, self._path = config, path
        self._log = LogStream(sys.stdout)
        self._console = Console(
            file=cast(TextIO, self._log), quiet=quiet, highlight=False, soft_wrap=True
        )
        self._main_metric, self._latest_values = "", dict[int, float]()
        self._start: tuple[float, int] | None = None
        # Refreshed by the main thread, not by a thread of its own.
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[speed]}"),
            console=self._console,
            auto_refresh=False,
            disable=quiet or not self._console.is_terminal,
            transient=True,
        )
        self._total_steps = config.steps * len(config.all_seeds)
        self._task_id = self._bar.add_task("", total=self._total_steps, speed="")

    def __enter__(self) -> "ProgressDisplay":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def print_line(self, text: str) -> None:
        """Prints a line above the progress bar."""
        self._bar.console.print(text, markup=False)

    def set_status(self, status: str) -> None:
        """Shows the current activity, e.g. `compiling`; without a bar, as a line."""
        if self._bar.disable:
            self.print_line(status)
        self._bar.update(self._task_id, description=status)

    def refresh(self) -> None:
        self._bar.refresh()

    def update_progress(self, steps: Iterable[int]) -> None:
        """Updates the bar.

        Args:
            steps: the current step of each seed.
        """
        completed = sum(min(step, self._config.steps) for step in steps)
        now = time.perf_counter()
        self._start = self._start or (now, completed)
        seconds, gained = now - self._start[0], completed - self._start[1]
        speed = ""
        if gained > 0 and seconds > 0:
            remaining = self._total_steps - completed
            left = format_duration(remaining * seconds / gained)
            # The last word: a line of the terminal is short.
            unit = self._config.system.step_unit.rpartition(" ")[2]
            speed = f"{gained / seconds:,.0f} {unit}/s, {left} left"
        if self._latest_values:
            mean = sum(self._latest_values.values()) / len(self._latest_values)
            number_format = _number_format(self._main_metric)
            speed += f", {metric_label(self._main_metric)} {mean:{number_format}}"
        self._bar.update(self._task_id, completed=completed, speed=speed)

    def print_evaluation(self, row: MetricsRow) -> None:
        """Prints the metrics of an evaluation with their confidence intervals."""
        seed, step, wall_s = (row[name] for name in ("seed", "step", "wall_s"))
        names = eval_metric_names(row)
        self._main_metric = names[0]
        self._latest_values[seed] = row[names[0]] or 0.0
        values = [
            f"{metric_label(name)} {format_interval(row, name)}" for name in names
        ]
        head = f"seed {seed}  step {step:>10,}  {format_duration(wall_s):>7}"
        self.print_line("  ".join([head, *values]))

    def print_constant_return(self, value: float) -> None:
        """Prints that no episode had another return, and what to check."""
        self.print_line(
            f"note: every episode of every evaluation had the return {value:.3f}; "
            "check the rewards: those of two sides that play each other add up to a "
            "constant (train one: ?team=), and rare ones take more steps to find"
        )

    def print_summary(self) -> None:
        """Prints the path of the run and the command to type next."""
        self.print_line(
            f"done: {self._path} holds metrics.jsonl, model.npz, checkpoints/"
        )
        self.print_line(f"next: {program_name()} evaluate {self._path}")
        if self._log.error is not None:
            reason = self._log.error.strerror
            warnings.warn(
                f"the log of {self._path} could not be written ({reason}), and was "
                "left out from there on; the run itself is complete",
                stacklevel=2,
            )


RETURN_METRICS = ("eval/return_mean", "eval/return_mean_greedy")
"""Metrics whose values are returns of episodes."""


def constant_return(rows: Sequence[MetricsRow]) -> float | None:
    """The only return of all episodes of all evaluations; None if it varies.

    Args:
        rows: rows of the metrics log; None also if there are fewer than two, or no
            returns in one.
    """
    names = [f"{m}{end}" for m in RETURN_METRICS for end in ("", "_low", "_high")]
    values = [row.get(name) for row in rows for name in names]
    numbers = [value for value in values if value is not None]
    if len(rows) < 2 or len(numbers) < len(values):
        return None
    low, high = min(numbers), max(numbers)
    # Means of float32 numbers that are all the same may differ in the last digit.
    return low if math.isclose(low, high, rel_tol=1e-6) else None


def eval_metric_names(row: MetricsRow) -> list[str]:
    """Names of the metrics with a confidence interval, returns first."""
    names = [name for name in row if f"{name}_low" in row]
    return sorted(names, key=lambda name: (not name.startswith("eval/return"), name))


def metric_label(name: str) -> str:
    """Label of a metric for people, e.g. `return` for `eval/return_mean`."""
    return name.removeprefix("eval/").replace("_mean", "").replace("_", " ")


def format_interval(row: MetricsRow, name: str) -> str:
    """Formats a mean and its confidence interval, e.g. `0.412 [0.380, 0.447]`."""
    number_format = _number_format(name)
    mean, low, high = (
        _format_number(row[key], number_format)
        for key in (name, f"{name}_low", f"{name}_high")
    )
    return f"{mean} [{low}, {high}]"


def format_duration(seconds: float) -> str:
    """Formats a duration with at most two units, e.g. `3m 20s`."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {whole % 60:02d}s" if minutes else f"{whole}s"


def _number_format(name: str) -> str:
    return ".2e" if name in ERROR_RATE_METRICS else ".3f"


def _format_number(value: float | None, format_spec: str) -> str:
    return "nan" if value is None else f"{value:{format_spec}}"
