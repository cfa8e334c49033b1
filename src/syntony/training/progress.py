"""Progress display of a run: a progress bar, and one line per evaluation.

Without a terminal that can move its cursor (a file, a pipe, `TERM=dumb`) there is no
bar: a header says what runs, and the line of an evaluation the speed and the time left.
"""

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

from syntony.systems.registry import system_label, system_name
from syntony.systems.system import ActsInEpisodes, HasChannel, System
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
            file=cast(TextIO, self._log),
            quiet=quiet,
            highlight=False,
            soft_wrap=not self._log.isatty(),
        )
        self._main_metric, self._latest_values = "", dict[int, float]()
        self._start: tuple[float, int] | None = None
        self._pace = ""
        is_live = self._console.is_terminal and not self._console.is_dumb_terminal
        # Refreshed by the main thread, not by a thread of its own.
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[speed]}"),
            console=self._console,
            auto_refresh=False,
            disable=quiet or not is_live,
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

    def print_header(self, device: str) -> None:
        """Prints what runs, where there is no bar: run, system, seeds, device.

        Args:
            device: what the run computes on.
        """
        if not self._bar.disable:
            return
        seeds = ", ".join(map(str, self._config.all_seeds))
        steps = f"{self._config.steps:,} {self._config.system.step_unit} each"
        self.print_line(f"run     {self._path}")
        self.print_line(f"system  {describe_system(self._config.system)}")
        self.print_line(f"seeds   {seeds} ({steps})")
        self.print_line(f"device  {device}")

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
        if gained > 0 and seconds > 0:
            remaining = self._total_steps - completed
            left = format_duration(remaining * seconds / gained)
            # The last word: a line of the terminal is short.
            unit = self._config.system.step_unit.rpartition(" ")[2]
            self._pace = f"{gained / seconds:,.0f} {unit}/s, {left} left"
        shown = [self._pace, self._score().partition(" (")[0]]
        speed = ", ".join(filter(None, shown))
        self._bar.update(self._task_id, completed=completed, speed=speed)

    def print_evaluation(self, row: MetricsRow) -> None:
        """Prints the metrics of an evaluation, as many as a line holds."""
        self._main_metric = eval_metric_names(row)[0]
        self._latest_values[row["seed"]] = row[self._main_metric] or 0.0
        pace = self._pace if self._bar.disable else ""
        width = self._console.width if self._log.isatty() else LOG_WIDTH
        self.print_line(evaluation_line(row, width, pace))

    def print_constant_return(self, value: float) -> None:
        """Prints that no episode had another return, and what to check."""
        self.print_line(
            f"note: every episode of every evaluation had the return {value:.3f}; "
            "check the rewards: those of two sides that play each other add up to a "
            "constant (train one: ?team=), and rare ones take more steps to find"
        )

    def print_summary(self) -> None:
        """Prints the last score, the path of the run, and the command to type next."""
        score = self._score()
        self.print_line(f"done: {score}" if score else "done: nothing was left to do")
        self.print_line(f"run: {self._path} (metrics.jsonl, model.npz, checkpoints/)")
        self.print_line(f"next: {program_name()} evaluate {self._path}")
        if self._log.error is not None:
            reason = self._log.error.strerror
            warnings.warn(
                f"the log of {self._path} could not be written ({reason}), and was "
                "left out from there on; the run itself is complete",
                stacklevel=2,
            )

    def _score(self) -> str:
        """Newest value of the main metric, of several seeds their mean; or nothing."""
        if not self._latest_values:
            return ""
        mean = sum(self._latest_values.values()) / len(self._latest_values)
        text = f"{metric_label(self._main_metric)} "
        text += f"{mean:{_number_format(self._main_metric)}}"
        seeds = len(self._latest_values)
        return text if seeds == 1 else f"{text} (mean of {seeds} seeds)"


LOG_WIDTH = 80
"""Columns of a line in a file or a pipe, where no terminal says how many it has."""


def describe_system(system: System) -> str:
    """Name of a system with its task and its channel, as `smpe on TASK`."""
    text = system_label(system_name(system))
    if isinstance(system, ActsInEpisodes):
        text += f" on {system.task.id}"
    if isinstance(system, HasChannel):
        text += f" over {system.channel.id}"
    return text


def evaluation_line(row: MetricsRow, width: int, pace: str = "") -> str:
    """Line about an evaluation that fits a width; intervals in full if they do.

    Args:
        row: row of the metrics log.
        width: columns at most.
        pace: speed and time left; stands before all metrics but the first.
    """
    names = eval_metric_names(row)
    duration = format_duration(row["wall_s"]).replace(" ", "")
    head = [f"seed {row['seed']}", f"{row['step']:>9,}", f"{duration:>6}"]
    full = [f"{metric_label(name)} {format_interval(row, name)}" for name in names]
    line = "  ".join([*head, full[0], *filter(None, [pace]), *full[1:]])
    if len(line) <= width:
        return line
    short = [_short_value(row, name) for name in names[1:]]
    line = "  ".join([*head, _value_and_margin(row, names[0])])
    for part in filter(None, [pace, *short]):
        if len(line) + 2 + len(part) <= width:
            line += f"  {part}"
    return line


def _value_and_margin(row: MetricsRow, name: str) -> str:
    """Mean and half the width of its interval, e.g. `return 0.080 ±0.05`."""
    text = f"{metric_label(name)} {_format_number(row[name], _number_format(name))}"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if low is None or high is None:
        return text
    margin = (high - low) / 2
    return f"{text} ±{margin:{'.0e' if name in ERROR_RATE_METRICS else '.2g'}}"


def _short_value(row: MetricsRow, name: str) -> str:
    """Mean with a short label, e.g. `greedy 0.03` of the greedy return."""
    label = metric_label(name).removeprefix("return ")
    number_format = ".1e" if name in ERROR_RATE_METRICS else ".3g"
    return f"{label} {_format_number(row[name], number_format)}"


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
