"""What a person sees of a run: a bar over all seeds, and a line an evaluation."""

import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from syntony.run.journal import Line
from syntony.run.plan import Plan

RATES = {"eval/bler"}
"""Scores that may be very small."""


class Screen:
    """Shows a run; without a terminal, as plain lines; if quiet, not at all."""

    def __init__(self, plan: Plan, path: Path, *, quiet: bool = False):
        self._plan, self._path = plan, path
        self._console = Console(quiet=quiet, highlight=False, soft_wrap=True)
        self._score, self._latest = "", dict[int, float]()
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
        total = plan.steps * plan.seeds
        self._task = self._bar.add_task("", total=total, pace="")

    def __enter__(self) -> "Screen":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        self._bar.console.print(text, markup=False)

    def doing(self, what: str) -> None:
        """Says what goes on; where there is no bar, on a line of its own."""
        if self._bar.disable:
            self.say(what)
        self._bar.update(self._task, description=what)

    def refresh(self) -> None:
        self._bar.refresh()

    def advanced(self, steps: Iterable[int]) -> None:
        """Moves the bar to where the seeds are."""
        done = sum(min(step, self._plan.steps) for step in steps)
        now = time.perf_counter()
        self._start = self._start or (now, done)
        seconds, gained = now - self._start[0], done - self._start[1]
        pace = ""
        if gained > 0 and seconds > 0:
            left = (self._plan.steps * self._plan.seeds - done) * seconds / gained
            pace = f"{gained / seconds:,.0f} steps/s, {duration(left)} left"
        if self._latest:
            mean = sum(self._latest.values()) / len(self._latest)
            pace += f", {title(self._score)} {mean:{_form(self._score)}}"
        self._bar.update(self._task, completed=done, pace=pace)

    def evaluated(self, line: Line) -> None:
        """Prints what an evaluation found, with the intervals of the means."""
        seed, step, wall_s = (line[name] for name in ("seed", "step", "wall_s"))
        scores = scores_of(line)
        self._score = scores[0]
        self._latest[seed] = line[scores[0]] or 0.0
        words = [f"{title(name)} {interval(line, name)}" for name in scores]
        head = f"seed {seed}  step {step:>10,}  {duration(wall_s):>7}"
        self.say("  ".join([head, *words]))

    def finished(self) -> None:
        """Says where everything is, and what to type next."""
        self.say(f"done: {self._path} holds metrics.jsonl, model.npz, checkpoints/")
        self.say(f"next: syntony evaluate {self._path}")


def scores_of(line: Line) -> list[str]:
    """Returns the names of what has an interval, returns first."""
    scores = [name for name in line if f"{name}_low" in line]
    return sorted(scores, key=lambda name: (not name.startswith("eval/return"), name))


def title(name: str) -> str:
    """Returns how a score is called in print: `eval/return_mean` is the return."""
    return name.removeprefix("eval/").replace("_mean", "").replace("_", " ")


def interval(line: Line, name: str) -> str:
    """Returns a mean and its interval, e.g. `0.412 [0.380, 0.447]`."""
    mean, low, high = (line[n] for n in (name, f"{name}_low", f"{name}_high"))
    form = _form(name)
    return f"{_number(mean, form)} [{_number(low, form)}, {_number(high, form)}]"


def duration(seconds: float) -> str:
    """Returns a time in two units at most, e.g. `3m 20s`."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {whole % 60:02d}s" if minutes else f"{whole}s"


def _form(name: str) -> str:
    # Returns are of order one; error rates are not.
    return ".2e" if name in RATES else ".3f"


def _number(value: float | None, form: str) -> str:
    return "nan" if value is None else f"{value:{form}}"
