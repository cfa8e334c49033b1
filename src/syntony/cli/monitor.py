"""A run that goes on, seen from outside: nothing is locked, nothing is written."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from syntony.comparison.groups import read_run_settings
from syntony.errors import InvalidInputError
from syntony.evaluation.learning_curves import points_by_seed
from syntony.training import metrics_log
from syntony.training.checkpoint import checkpoint_paths, checkpoint_step
from syntony.training.locks import read_exit_status, read_lock_owner
from syntony.training.progress import (
    ERROR_RATE_METRICS,
    eval_metric_names,
    format_duration,
    format_interval,
    metric_label,
)
from syntony.training.recorder import CHECKPOINT_INTERVAL_SECONDS
from syntony.training.run_config import MAX_SEEDS, MAX_STEPS
from syntony.training.run_folder import RunFolder

SPARKLINE_CHARS = "▁▂▃▄▅▆▇█"
PROGRESS_BAR_WIDTH = 24
"""Characters of the bar that says how much is done."""
SPARKLINE_WIDTH_RANGE = (6, 60)
"""Characters of a curve, at least and at most."""
LABEL_WIDTH = 74
"""Characters that stand beside a curve."""
MAX_ROWS = 24
"""Curves that are shown: what a small terminal has room for."""
SPEED_WINDOW_FRACTION = 0.1
"""The last part of the time so far, by which speed is judged."""
STALE_AFTER_SECONDS = 3 * CHECKPOINT_INTERVAL_SECONDS
"""Without news for so long, a run is taken to have stopped."""

RunState = Literal["running", "finished", "stopped", "killed", "silent"]
STATE_COLORS = {"running": "green", "finished": "cyan", "killed": "red"}


class RunStatus(NamedTuple):
    """What a run's folder said when it was looked at."""

    path: Path
    description: str
    """The system, and what it learns in."""
    seeds: range
    steps: int
    """Where each seed ends."""
    lines: list[metrics_log.MetricsRow]
    current_steps: dict[int, int]
    """The step at which each seed was measured or saved last."""
    state: RunState
    seconds_since_update: float
    """Seconds since anything was written."""

    @property
    def fraction_done(self) -> float:
        """The part of all steps that has been taken."""
        taken = sum(min(step, self.steps) for step in self.current_steps.values())
        return taken / (self.steps * len(self.seeds))


def read_status(path: Path) -> RunStatus:
    """Returns what a run's folder says now.

    Raises:
        BadInput: it holds no run, or one that makes no sense.
    """
    folder = RunFolder(path)
    settings, world = read_run_settings(folder)
    counts = {"steps": MAX_STEPS, "seeds": MAX_SEEDS, "seed": MAX_STEPS}
    steps, seeds, first = (_read_count(settings, n, most) for n, most in counts.items())
    lines, every = (
        metrics_log.read_rows(folder.metrics_path),
        range(first, first + seeds),
    )
    about = f"{settings['system']} {'over' if settings['system'] == 'link' else 'on'} "
    reached = {seed: _current_step(folder, lines, seed) for seed in every}
    silence = max(0.0, time.time() - _last_modified(folder))
    complete = all(step >= steps for step in reached.values())
    return RunStatus(
        path=path,
        description=about + world if world else settings["system"],
        seeds=every,
        steps=steps,
        lines=lines,
        current_steps=reached,
        state="finished" if complete else _run_state(folder, silence),
        seconds_since_update=silence,
    )


def steps_per_second(status: RunStatus) -> float:
    """Returns the steps a second of all seeds together, of late; 0 if not known."""
    marks = sorted((x.get("wall_s") or 0.0, x["seed"], x["step"]) for x in status.lines)
    if not marks:
        return 0.0
    last = marks[-1][0]
    since = max(
        [w for w, *_ in marks if w <= last * (1 - SPEED_WINDOW_FRACTION)],
        default=marks[0][0],
    )
    before: dict[int, int] = {}
    latest: dict[int, int] = {}
    for wall_s, seed, step in marks:
        if wall_s <= since:
            before[seed] = step
        latest[seed] = step
    gained = sum(step - before.get(seed, 0) for seed, step in latest.items())
    return max(gained, 0) / (last - since) if last > since else 0.0


def remaining_seconds(status: RunStatus) -> float | None:
    """Returns the seconds until all seeds are at their end; None if not known."""
    pace = steps_per_second(status)
    total = status.steps * len(status.seeds)
    return (1 - status.fraction_done) * total / pace if pace > 0 else None


def sparkline(
    steps: Float[np.ndarray, " points"],
    values: Float[np.ndarray, " points"],
    *,
    last_step: float,
    low: float,
    high: float,
    width: int,
) -> str:
    """Returns a curve as a row of bars, each the mean of what falls within it.

    Args:
        end: the step at the right edge.
        low: the value of the lowest bar.
        high: that of the highest.
        width: characters.
    """
    place = np.clip((steps / max(last_step, 1.0) * width).astype(int), 0, width - 1)
    counts = np.bincount(place, minlength=width)
    sums = np.bincount(place, values, minlength=width)
    known = np.flatnonzero(counts)
    # Where nothing was measured between two evaluations, the curve is as it was.
    held = np.searchsorted(known, np.arange(place.max() + 1), side="right") - 1
    means = (sums[known] / counts[known])[np.maximum(held, 0)]
    share = (means - low) / (high - low) if high > low else np.zeros_like(means)
    heights = np.clip(
        (share * len(SPARKLINE_CHARS)).astype(int), 0, len(SPARKLINE_CHARS) - 1
    )
    bars = "".join(SPARKLINE_CHARS[height] for height in heights)
    return " " * int(known[0]) + bars[int(known[0]) :]


def render_status(status: RunStatus, columns: int) -> RenderableType:
    """Returns what a person is shown of a run, in a terminal of so many columns."""
    head = Text(
        f"{_replace_unprintable(str(status.path))}  {_replace_unprintable(status.description)}  "
    )
    head.append(status.state, style=STATE_COLORS.get(status.state, "yellow"))
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        ProgressBar(1.0, status.fraction_done, width=PROGRESS_BAR_WIDTH),
        _progress_text(status),
    )
    parts: list[RenderableType] = [head, bar]
    rows = list(
        _metric_rows(
            status,
            min(
                max(columns - LABEL_WIDTH, SPARKLINE_WIDTH_RANGE[0]),
                SPARKLINE_WIDTH_RANGE[1],
            ),
        )
    )
    if rows:
        table = Table.grid(padding=(0, 2))
        for row in rows[:MAX_ROWS]:
            table.add_row(*map(Text, row))
        parts += [Text(), table]
    if len(rows) > MAX_ROWS:
        parts.append(Text(f"and {len(rows) - MAX_ROWS} more"))
    return Group(*parts)


def _progress_text(status: RunStatus) -> Text:
    words = [f"{math.floor(100 * status.fraction_done)} %"]
    remaining = remaining_seconds(status)
    if status.state == "running" and remaining is not None:
        words += [
            f"{steps_per_second(status):,.0f} steps/s",
            f"{format_duration(remaining)} left",
        ]
    if not status.lines:
        words.append("nothing measured yet")
    if status.state != "finished":
        words.append(f"last news {format_duration(status.seconds_since_update)} ago")
    if status.state in ("stopped", "killed"):
        words.append(
            f"go on with: syntony resume {_replace_unprintable(str(status.path))}"
        )
    return Text(", ".join(words))


def _metric_rows(status: RunStatus, width: int) -> Iterator[list[str]]:
    """Yields score, seed, curve, newest value and step, seeds of a score together."""
    newest = {line["seed"]: line for line in status.lines}
    for score in dict.fromkeys(n for x in status.lines for n in eval_metric_names(x)):
        points = {
            s: _plotted_points(score, c)
            for s, c in points_by_seed(status.lines, score).items()
        }
        low = min((curve[1].min() for curve in points.values()), default=0.0)
        high = max((curve[1].max() for curve in points.values()), default=0.0)
        for seed, (steps, values) in points.items():
            end = float(max(status.steps, steps[-1]))
            curve = sparkline(
                steps, values, last_step=end, low=low, high=high, width=width
            )
            line = newest[seed]
            value = format_interval(line, score) if f"{score}_low" in line else ""
            where = f"step {line['step']:,}"
            yield [
                _replace_unprintable(metric_label(score)),
                f"seed {seed}",
                f"{curve:{width}}",
                value,
                where,
            ]


def _plotted_points(
    metric: str, points: Float[np.ndarray, "2 points"]
) -> Float[np.ndarray, "2 points"]:
    """Returns steps and heights: of rates their logarithms."""
    if metric not in ERROR_RATE_METRICS:
        return points
    # No block wrong in an evaluation is no rate of nought.
    return np.stack([points[0], np.log10(np.maximum(points[1], 1e-6))])


def _run_state(folder: RunFolder, seconds_since_update: float) -> RunState:
    """Returns whether a run that is not complete goes on."""
    if said := read_exit_status(folder.lock_path):
        # Some learn no more before their last step.
        return said
    holder = read_lock_owner(folder.lock_path)
    mine = (
        holder is not None and holder.is_local() and _lock_inode(folder) == holder.inode
    )
    if holder is not None and mine:
        return "running" if holder.is_alive() else "killed"
    # On another machine, or a copy: by whether there are news.
    return "running" if seconds_since_update < STALE_AFTER_SECONDS else "silent"


def _lock_inode(folder: RunFolder) -> int | None:
    try:
        return folder.lock_path.lstat().st_ino
    except OSError:
        return None


def _current_step(
    folder: RunFolder, lines: Sequence[metrics_log.MetricsRow], seed: int
) -> int:
    measured = max((x["step"] for x in lines if x["seed"] == seed), default=0)
    saved = [
        checkpoint_step(path)
        for path in checkpoint_paths(folder.checkpoints_dir, seed)[:1]
    ]
    return max([measured, *saved])


def _last_modified(folder: RunFolder) -> float:
    """Returns when a file of the run was changed last: seconds since 1970."""
    files = [folder.settings_path, folder.metrics_path, folder.checkpoints_dir]
    return max(map(_mtime, files))


def _mtime(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _read_count(settings: dict[str, Any], name: str, max_value: int) -> int:
    value = settings.get(name)
    least = 0 if name == "seed" else 1
    if type(value) is not int or not least <= value <= max_value:
        expected = f"a whole number, {least} to {max_value:,}"
        raise InvalidInputError(f"{name} is {value!r}; expected {expected}")
    return value


def _replace_unprintable(text: str) -> str:
    """Returns a text without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def poll_status(path: Path, poll_interval: float) -> Iterable[RunStatus]:
    """Yields a look at a run every few seconds, until it is finished."""
    while True:
        found = read_status(path)
        yield found
        if found.state == "finished":
            return
        time.sleep(poll_interval)
