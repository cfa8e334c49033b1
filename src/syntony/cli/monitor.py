"""Status of a run, read from its folder without locking or writing anything."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from syntony.errors import InvalidInputError, visible
from syntony.evaluation.learning_curves import points_by_seed
from syntony.evaluation.stored_run import read_run_settings, read_step_unit
from syntony.systems.registry import system_label
from syntony.training import metrics_log
from syntony.training.checkpoint import checkpoint_paths, checkpoint_step
from syntony.training.locks import read_exit_status, read_lock_owner
from syntony.training.program_name import program_name
from syntony.training.progress import (
    ERROR_RATE_METRICS,
    eval_metric_names,
    format_duration,
    format_interval,
    metric_label,
)
from syntony.training.recorder import CHECKPOINT_INTERVAL_SECONDS
from syntony.training.run_config import MAX_STEPS, stored_seeds
from syntony.training.run_folder import RunFolder

SPARKLINE_CHARS = "▁▂▃▄▅▆▇█"
PROGRESS_BAR_WIDTH = 24
"""Characters of the progress bar."""
SPARKLINE_WIDTH_RANGE = (6, 60)
"""Smallest and largest number of characters of a curve."""
LABEL_WIDTH = 74
"""Characters beside a curve."""
MAX_ROWS = 24
"""Largest number of curves: they fit into a small terminal."""
SPEED_WINDOW_FRACTION = 0.1
"""Last fraction of the elapsed time, over which the speed is averaged."""
STALE_AFTER_SECONDS = 3 * CHECKPOINT_INTERVAL_SECONDS
"""Seconds without a written file after which a run on another machine is stale."""
MIN_ERROR_RATE = 1e-6
"""Smallest error rate on the logarithmic axis: an evaluation may have no error."""

RunState = Literal["running", "finished", "stopped", "killed", "stale"]
STATE_COLORS = {"running": "green", "finished": "cyan", "killed": "red"}


class RunStatus(NamedTuple):
    """Status of a run at one time."""

    path: Path
    description: str
    """The system, and its task or channel."""
    seeds: Sequence[int]
    steps: int
    """Length of each seed."""
    step_unit: str
    """Unit of the steps, e.g. `environment steps`."""
    rows: list[metrics_log.MetricsRow]
    current_steps: dict[int, int]
    """Step of the newest evaluation or checkpoint of each seed."""
    state: RunState
    seconds_since_update: float
    """Seconds since a file was written."""

    @property
    def fraction_done(self) -> float:
        """Fraction of the steps of all seeds that is done."""
        taken = sum(min(step, self.steps) for step in self.current_steps.values())
        return taken / (self.steps * len(self.seeds))


def read_status(path: Path) -> RunStatus:
    """Reads the status of a run from its folder.

    Raises:
        InvalidInputError: the folder has no run, or its settings are invalid.
    """
    folder = RunFolder(path)
    settings, task_or_channel = read_run_settings(folder)
    steps, seeds = _read_steps(settings), stored_seeds(settings)
    rows = metrics_log.read_rows(folder.metrics_path)
    system = system_label(str(settings["system"]))
    preposition = "on" if "task" in settings else "over"
    current_steps = {seed: _current_step(folder, rows, seed) for seed in seeds}
    age = max(0.0, time.time() - _last_modified(folder))
    complete = all(step >= steps for step in current_steps.values())
    return RunStatus(
        path=path,
        description=f"{system} {preposition} {task_or_channel}"
        if task_or_channel
        else system,
        seeds=seeds,
        steps=steps,
        step_unit=read_step_unit(settings),
        rows=rows,
        current_steps=current_steps,
        state="finished" if complete else _run_state(folder, age),
        seconds_since_update=age,
    )


def steps_per_second(status: RunStatus) -> float:
    """Recent steps per second of all seeds together; 0 if unknown."""
    marks = sorted((x.get("wall_s") or 0.0, x["seed"], x["step"]) for x in status.rows)
    if not marks:
        return 0.0
    end = marks[-1][0]
    start = max(
        [wall_s for wall_s, *_ in marks if wall_s <= end * (1 - SPEED_WINDOW_FRACTION)],
        default=marks[0][0],
    )
    before: dict[int, int] = {}
    latest: dict[int, int] = {}
    for wall_s, seed, step in marks:
        if wall_s <= start:
            before[seed] = step
        latest[seed] = step
    steps = sum(step - before.get(seed, 0) for seed, step in latest.items())
    return max(steps, 0) / (end - start) if end > start else 0.0


def remaining_seconds(status: RunStatus) -> float | None:
    """Estimated seconds until all seeds are finished; None if unknown."""
    speed = steps_per_second(status)
    total = status.steps * len(status.seeds)
    return (1 - status.fraction_done) * total / speed if speed > 0 else None


def sparkline(
    steps: Float[np.ndarray, " T"],
    values: Float[np.ndarray, " T"],
    *,
    last_step: float,
    low: float,
    high: float,
    width: int,
) -> str:
    """Curve as a row of bars, each the mean of the values in its interval of steps.

    Args:
        steps: steps of the values, in ascending order.
        values: the curve.
        last_step: the step at the right edge.
        low: the value of the lowest bar.
        high: the value of the highest bar.
        width: characters from step 0 to `last_step`.
    """
    bins = np.clip((steps / max(last_step, 1.0) * width).astype(int), 0, width - 1)
    counts = np.bincount(bins, minlength=width)
    sums = np.bincount(bins, values, minlength=width)
    filled = np.flatnonzero(counts)
    # An interval without an evaluation repeats the bar before.
    source = np.searchsorted(filled, np.arange(bins.max() + 1), side="right") - 1
    means = (sums[filled] / counts[filled])[np.maximum(source, 0)]
    fraction = (means - low) / (high - low) if high > low else np.zeros_like(means)
    num_levels = len(SPARKLINE_CHARS)
    levels = np.clip((fraction * num_levels).astype(int), 0, num_levels - 1)
    bars = "".join(SPARKLINE_CHARS[level] for level in levels)
    return " " * int(filled[0]) + bars[int(filled[0]) :]


def render_status(status: RunStatus, columns: int) -> RenderableType:
    """Status as Rich prints it.

    Args:
        status: the status.
        columns: width of the terminal, in characters.
    """
    path, description = map(visible, (str(status.path), status.description))
    title = Text(f"{path}  {description}  ")
    title.append(status.state, style=STATE_COLORS.get(status.state, "yellow"))
    progress = Table.grid(padding=(0, 2))
    progress.add_row(
        ProgressBar(1.0, status.fraction_done, width=PROGRESS_BAR_WIDTH),
        _progress_text(status),
    )
    parts: list[RenderableType] = [title, progress]
    narrowest, widest = SPARKLINE_WIDTH_RANGE
    width = min(max(columns - LABEL_WIDTH, narrowest), widest)
    rows = list(_metric_rows(status, width))
    if rows:
        table = Table.grid(padding=(0, 2))
        for row in rows[:MAX_ROWS]:
            table.add_row(*map(Text, row))
        parts += [Text(), table]
    if len(rows) > MAX_ROWS:
        parts.append(Text(f"and {len(rows) - MAX_ROWS} more"))
    return Group(*parts)


def _progress_text(status: RunStatus) -> Text:
    parts = [f"{math.floor(100 * status.fraction_done)} %"]
    remaining = remaining_seconds(status)
    if status.state == "running" and remaining is not None:
        # The last word: a line of the terminal is short.
        unit = status.step_unit.rpartition(" ")[2]
        parts += [
            f"{steps_per_second(status):,.0f} {unit}/s",
            f"{format_duration(remaining)} left",
        ]
    if not status.rows:
        parts.append("no evaluation yet")
    if status.state != "finished":
        age = format_duration(status.seconds_since_update)
        parts.append(f"last update {age} ago")
    if status.state in ("stopped", "killed"):
        path = visible(str(status.path))
        parts.append(f"go on with: {program_name()} resume {path}")
    return Text(", ".join(parts))


def _metric_rows(status: RunStatus, width: int) -> Iterator[list[str]]:
    """Yields metric, seed, curve, newest value and step; seeds of a metric together."""
    newest = {row["seed"]: row for row in status.rows}
    names = (name for row in status.rows for name in eval_metric_names(row))
    for metric in dict.fromkeys(names):
        curves = {
            seed: _plotted_points(metric, points)
            for seed, points in points_by_seed(status.rows, metric).items()
        }
        low = min((values.min() for _, values in curves.values()), default=0.0)
        high = max((values.max() for _, values in curves.values()), default=0.0)
        for seed, (steps, values) in curves.items():
            last_step = float(max(status.steps, steps[-1]))
            curve = sparkline(
                steps, values, last_step=last_step, low=low, high=high, width=width
            )
            row = newest[seed]
            value = format_interval(row, metric) if f"{metric}_low" in row else ""
            yield [
                metric_label(metric),
                f"seed {seed}",
                f"{curve:{width}}",
                value,
                f"step {row['step']:,}",
            ]


def _plotted_points(
    metric: str, points: Float[np.ndarray, "2 T"]
) -> Float[np.ndarray, "2 T"]:
    """Steps and values of a curve; of error rates, their logarithms to base 10."""
    if metric not in ERROR_RATE_METRICS:
        return points
    return np.stack([points[0], np.log10(np.maximum(points[1], MIN_ERROR_RATE))])


def _run_state(folder: RunFolder, seconds_since_update: float) -> RunState:
    """State of a run with seeds that have not reached their last step."""
    if status := read_exit_status(folder.lock_path):
        # "finished" is possible: some systems stop before their last step.
        return status
    owner = read_lock_owner(folder.lock_path)
    is_ours = (
        owner is not None and owner.is_local() and _lock_inode(folder) == owner.inode
    )
    if owner is not None and is_ours:
        return "running" if owner.is_alive() else "killed"
    # On another machine, or a copy: only the age of the files is known.
    return "running" if seconds_since_update < STALE_AFTER_SECONDS else "stale"


def _lock_inode(folder: RunFolder) -> int | None:
    try:
        return folder.lock_path.lstat().st_ino
    except OSError:
        return None


def _current_step(
    folder: RunFolder, rows: Sequence[metrics_log.MetricsRow], seed: int
) -> int:
    evaluated = max((row["step"] for row in rows if row["seed"] == seed), default=0)
    saved = [
        checkpoint_step(path)
        for path in checkpoint_paths(folder.checkpoints_dir, seed)[:1]
    ]
    return max([evaluated, *saved])


def _last_modified(folder: RunFolder) -> float:
    """Time of the newest change of a file of the run, in seconds since 1970."""
    files = [folder.settings_path, folder.metrics_path, folder.checkpoints_dir]
    return max(map(_mtime, files))


def _mtime(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _read_steps(settings: Mapping[str, object]) -> int:
    steps = settings.get("steps")
    if type(steps) is not int or not 1 <= steps <= MAX_STEPS:
        expected = f"a whole number, 1 to {MAX_STEPS:,}"
        raise InvalidInputError(f"steps is {steps!r}; expected {expected}")
    return steps


def poll_status(path: Path, poll_interval: float) -> Iterable[RunStatus]:
    """Yields the status of a run until it is finished.

    Args:
        path: the run folder.
        poll_interval: seconds between two reads.
    """
    while True:
        status = read_status(path)
        yield status
        if status.state == "finished":
            return
        time.sleep(poll_interval)
