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

from syntony.errors import BadInput
from syntony.run import journal
from syntony.run.books import SAVE_SECONDS
from syntony.run.checkpoint import of_seed, step_of
from syntony.run.folder import Folder
from syntony.run.lock import holder_of, left_as
from syntony.run.plan import MOST_SEEDS, MOST_STEPS
from syntony.run.progress import RATES, duration, interval, scores_of, title
from syntony.study.curves import points_of
from syntony.study.groups import settings_of

BARS = "▁▂▃▄▅▆▇█"
BAR = 24
"""Characters of the bar that says how much is done."""
WIDTHS = (6, 60)
"""Characters of a curve, at least and at most."""
BESIDE = 74
"""Characters that stand beside a curve."""
MOST_ROWS = 24
"""Curves that are shown: what a small terminal has room for."""
RECENT = 0.1
"""The last part of the time so far, by which speed is judged."""
SILENT_SECONDS = 3 * SAVE_SECONDS
"""Without news for so long, a run is taken to have stopped."""

State = Literal["running", "finished", "stopped", "killed", "silent"]
COLOURS = {"running": "green", "finished": "cyan", "killed": "red"}


class Look(NamedTuple):
    """What a run's folder said when it was looked at."""

    path: Path
    about: str
    """The system, and what it learns in."""
    seeds: range
    steps: int
    """Where each seed ends."""
    lines: list[journal.Line]
    reached: dict[int, int]
    """The step at which each seed was measured or saved last."""
    state: State
    silence: float
    """Seconds since anything was written."""

    @property
    def done(self) -> float:
        """The part of all steps that has been taken."""
        taken = sum(min(step, self.steps) for step in self.reached.values())
        return taken / (self.steps * len(self.seeds))


def look(path: Path) -> Look:
    """Returns what a run's folder says now.

    Raises:
        BadInput: it holds no run, or one that makes no sense.
    """
    folder = Folder(path)
    settings, world = settings_of(folder)
    counts = {"steps": MOST_STEPS, "seeds": MOST_SEEDS, "seed": MOST_STEPS}
    steps, seeds, first = (_count(settings, n, most) for n, most in counts.items())
    lines, every = journal.read(folder.metrics), range(first, first + seeds)
    about = f"{settings['system']} {'over' if settings['system'] == 'link' else 'on'} "
    reached = {seed: _reached(folder, lines, seed) for seed in every}
    silence = max(0.0, time.time() - _newest(folder))
    complete = all(step >= steps for step in reached.values())
    return Look(
        path=path,
        about=about + world if world else settings["system"],
        seeds=every,
        steps=steps,
        lines=lines,
        reached=reached,
        state="finished" if complete else _state(folder, silence),
        silence=silence,
    )


def speed(look: Look) -> float:
    """Returns the steps a second of all seeds together, of late; 0 if not known."""
    marks = sorted((x.get("wall_s") or 0.0, x["seed"], x["step"]) for x in look.lines)
    if not marks:
        return 0.0
    last = marks[-1][0]
    since = max([w for w, *_ in marks if w <= last * (1 - RECENT)], default=marks[0][0])
    before: dict[int, int] = {}
    latest: dict[int, int] = {}
    for wall_s, seed, step in marks:
        if wall_s <= since:
            before[seed] = step
        latest[seed] = step
    gained = sum(step - before.get(seed, 0) for seed, step in latest.items())
    return max(gained, 0) / (last - since) if last > since else 0.0


def left(look: Look) -> float | None:
    """Returns the seconds until all seeds are at their end; None if not known."""
    pace = speed(look)
    total = look.steps * len(look.seeds)
    return (1 - look.done) * total / pace if pace > 0 else None


def sparkline(
    steps: Float[np.ndarray, " points"],
    values: Float[np.ndarray, " points"],
    *,
    end: float,
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
    place = np.clip((steps / max(end, 1.0) * width).astype(int), 0, width - 1)
    counts = np.bincount(place, minlength=width)
    sums = np.bincount(place, values, minlength=width)
    known = np.flatnonzero(counts)
    # Where nothing was measured between two evaluations, the curve is as it was.
    held = np.searchsorted(known, np.arange(place.max() + 1), side="right") - 1
    means = (sums[known] / counts[known])[np.maximum(held, 0)]
    share = (means - low) / (high - low) if high > low else np.zeros_like(means)
    heights = np.clip((share * len(BARS)).astype(int), 0, len(BARS) - 1)
    bars = "".join(BARS[height] for height in heights)
    return " " * int(known[0]) + bars[int(known[0]) :]


def picture(look: Look, columns: int) -> RenderableType:
    """Returns what a person is shown of a run, in a terminal of so many columns."""
    head = Text(f"{_plain(str(look.path))}  {_plain(look.about)}  ")
    head.append(look.state, style=COLOURS.get(look.state, "yellow"))
    bar = Table.grid(padding=(0, 2))
    bar.add_row(ProgressBar(1.0, look.done, width=BAR), _progress(look))
    parts: list[RenderableType] = [head, bar]
    rows = list(_rows(look, min(max(columns - BESIDE, WIDTHS[0]), WIDTHS[1])))
    if rows:
        table = Table.grid(padding=(0, 2))
        for row in rows[:MOST_ROWS]:
            table.add_row(*map(Text, row))
        parts += [Text(), table]
    if len(rows) > MOST_ROWS:
        parts.append(Text(f"and {len(rows) - MOST_ROWS} more"))
    return Group(*parts)


def _progress(look: Look) -> Text:
    words = [f"{math.floor(100 * look.done)} %"]
    remaining = left(look)
    if look.state == "running" and remaining is not None:
        words += [f"{speed(look):,.0f} steps/s", f"{duration(remaining)} left"]
    if not look.lines:
        words.append("nothing measured yet")
    if look.state != "finished":
        words.append(f"last news {duration(look.silence)} ago")
    if look.state in ("stopped", "killed"):
        words.append(f"go on with: syntony resume {_plain(str(look.path))}")
    return Text(", ".join(words))


def _rows(look: Look, width: int) -> Iterator[list[str]]:
    """Yields score, seed, curve, newest value and step, seeds of a score together."""
    newest = {line["seed"]: line for line in look.lines}
    for score in dict.fromkeys(n for x in look.lines for n in scores_of(x)):
        points = {s: _shown(score, c) for s, c in points_of(look.lines, score).items()}
        low = min((curve[1].min() for curve in points.values()), default=0.0)
        high = max((curve[1].max() for curve in points.values()), default=0.0)
        for seed, (steps, values) in points.items():
            end = float(max(look.steps, steps[-1]))
            curve = sparkline(steps, values, end=end, low=low, high=high, width=width)
            line = newest[seed]
            value = interval(line, score) if f"{score}_low" in line else ""
            where = f"step {line['step']:,}"
            yield [
                _plain(title(score)),
                f"seed {seed}",
                f"{curve:{width}}",
                value,
                where,
            ]


def _shown(
    score: str, curve: Float[np.ndarray, "2 points"]
) -> Float[np.ndarray, "2 points"]:
    """Returns steps and heights: of rates their logarithms."""
    if score not in RATES:
        return curve
    # No block wrong in an evaluation is no rate of nought.
    return np.stack([curve[0], np.log10(np.maximum(curve[1], 1e-6))])


def _state(folder: Folder, silence: float) -> State:
    """Returns whether a run that is not complete goes on."""
    if said := left_as(folder.lock):
        # Some learn no more before their last step.
        return said
    holder = holder_of(folder.lock)
    mine = holder is not None and holder.here() and _inode(folder) == holder.inode
    if holder is not None and mine:
        return "running" if holder.alive() else "killed"
    # On another machine, or a copy: by whether there are news.
    return "running" if silence < SILENT_SECONDS else "silent"


def _inode(folder: Folder) -> int | None:
    try:
        return folder.lock.lstat().st_ino
    except OSError:
        return None


def _reached(folder: Folder, lines: Sequence[journal.Line], seed: int) -> int:
    measured = max((x["step"] for x in lines if x["seed"] == seed), default=0)
    saved = [step_of(path) for path in of_seed(folder.checkpoints, seed)[:1]]
    return max([measured, *saved])


def _newest(folder: Folder) -> float:
    """Returns when a file of the run was changed last: seconds since 1970."""
    files = [folder.settings, folder.metrics, folder.checkpoints]
    return max(map(_changed, files))


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _count(settings: dict[str, Any], name: str, most: int) -> int:
    value = settings.get(name)
    least = 0 if name == "seed" else 1
    if type(value) is not int or not least <= value <= most:
        expected = f"a whole number, {least} to {most:,}"
        raise BadInput(f"{name} is {value!r}; expected {expected}")
    return value


def _plain(text: str) -> str:
    """Returns a text without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def follow(path: Path, every: float) -> Iterable[Look]:
    """Yields a look at a run every few seconds, until it is finished."""
    while True:
        found = look(path)
        yield found
        if found.state == "finished":
            return
        time.sleep(every)
