"""What a person sees of a run: a bar over all seeds, and a line an evaluation."""

import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from syntony.training.metrics_log import MetricsRow
from syntony.training.run_config import RunConfig

ERROR_RATE_METRICS = {"eval/bler"}
"""Scores that may be very small."""


class ProgressDisplay:
    """Shows a run; without a terminal, as plain lines; if quiet, not at all."""

    def __init__(self, config: RunConfig, path: Path, *, quiet: bool = False):
        self._config, self._path = config, path
        self._console = Console(quiet=quiet, highlight=False, soft_wrap=True)
        self._main_metric, self._latest_values = "", dict[int, float]()
        self._start: tuple[float, int] | None = None
        # Drawn by the main thread alone, between its other duties.
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[pace]}"),
            console=self._console,
            auto_refresh=False,
            disable=quiet or not self._console.is_terminal,
            transient=True,
        )
        total = config.steps * config.seeds
        self._task_id = self._bar.add_task("", total=total, pace="")

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
        """Prints a line above the bar."""
        self._bar.console.print(text, markup=False)

    def set_status(self, status: str) -> None:
        """Says what goes on; where there is no bar, on a line of its own."""
        if self._bar.disable:
            self.print_line(status)
        self._bar.update(self._task_id, description=status)

    def refresh(self) -> None:
        self._bar.refresh()

    def update_progress(self, steps: Iterable[int]) -> None:
        """Moves the bar to where the seeds are."""
        done = sum(min(step, self._config.steps) for step in steps)
        now = time.perf_counter()
        self._start = self._start or (now, done)
        seconds, gained = now - self._start[0], done - self._start[1]
        pace = ""
        if gained > 0 and seconds > 0:
            left = (self._config.steps * self._config.seeds - done) * seconds / gained
            pace = f"{gained / seconds:,.0f} steps/s, {format_duration(left)} left"
        if self._latest_values:
            mean = sum(self._latest_values.values()) / len(self._latest_values)
            pace += f", {metric_label(self._main_metric)} {mean:{_number_format(self._main_metric)}}"
        self._bar.update(self._task_id, completed=done, pace=pace)

    def print_evaluation(self, row: MetricsRow) -> None:
        """Prints what an evaluation found, with the intervals of the means."""
        seed, step, wall_s = (row[name] for name in ("seed", "step", "wall_s"))
        scores = eval_metric_names(row)
        self._main_metric = scores[0]
        self._latest_values[seed] = row[scores[0]] or 0.0
        words = [
            f"{metric_label(name)} {format_interval(row, name)}" for name in scores
        ]
        head = f"seed {seed}  step {step:>10,}  {format_duration(wall_s):>7}"
        self.print_line("  ".join([head, *words]))

    def print_summary(self) -> None:
        """Says where everything is, and what to type next."""
        self.print_line(
            f"done: {self._path} holds metrics.jsonl, model.npz, checkpoints/"
        )
        self.print_line(f"next: syntony evaluate {self._path}")


def eval_metric_names(row: MetricsRow) -> list[str]:
    """Returns the names of what has an interval, returns first."""
    scores = [name for name in row if f"{name}_low" in row]
    return sorted(scores, key=lambda name: (not name.startswith("eval/return"), name))


def metric_label(name: str) -> str:
    """Returns how a score is called in print: `eval/return_mean` is the return."""
    return name.removeprefix("eval/").replace("_mean", "").replace("_", " ")


def format_interval(row: MetricsRow, name: str) -> str:
    """Returns a mean and its interval, e.g. `0.412 [0.380, 0.447]`."""
    mean, low, high = (row[n] for n in (name, f"{name}_low", f"{name}_high"))
    form = _number_format(name)
    return f"{_format_number(mean, form)} [{_format_number(low, form)}, {_format_number(high, form)}]"


def format_duration(seconds: float) -> str:
    """Returns a time in two units at most, e.g. `3m 20s`."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {whole % 60:02d}s" if minutes else f"{whole}s"


def _number_format(name: str) -> str:
    # Returns are of order one; error rates are not.
    return ".2e" if name in ERROR_RATE_METRICS else ".3f"


def _format_number(value: float | None, format_spec: str) -> str:
    return "nan" if value is None else f"{value:{format_spec}}"
