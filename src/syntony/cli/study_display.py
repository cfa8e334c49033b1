"""Progress of a study as a table; without a terminal, as lines."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from syntony.errors import visible
from syntony.studies.status import CellStatus, StudyStatus, read_study_status
from syntony.studies.trial import TrialRecord
from syntony.training.progress import format_duration

TITLE_WIDTH = 40
"""Characters of a system and its task."""
MAX_ROWS = 30
"""Most rows of the table."""
MAX_FAILURES = 5
"""Most failures that are told."""
LINE_SECONDS = 60.0
"""Time between two lines about the whole study, without a terminal."""


class StudyDisplay:
    """Shows a study that runs.

    Args:
        quiet: whether nothing is shown.
    """

    def __init__(self, *, quiet: bool = False):
        self._console = Console(highlight=False, quiet=quiet)
        self._has_terminal = self._console.is_terminal and not quiet
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._told, self._last = 0.0, ""

    def __enter__(self) -> "StudyDisplay":
        if self._has_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._has_terminal:
            self._live.stop()

    def update(self, status: StudyStatus) -> None:
        """Shows a status: the table, or a line a minute and at the end."""
        if self._has_terminal:
            shown = render_study(status)
            self._live.update(shown, refresh=True)
        elif status.is_complete or time.monotonic() - self._told > LINE_SECONDS:
            text, self._told = summary(status), time.monotonic()
            if text != self._last:
                self.tell(text)
            self._last = text

    def tell(self, text: str) -> None:
        """Shows a line, above the table."""
        self._console.print(visible(text), markup=False, soft_wrap=True)
        if not self._has_terminal:
            sys.stdout.flush()


def render_study(status: StudyStatus) -> RenderableType:
    """Status of a study as Rich prints it, at most 80 columns wide."""
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True, max_width=TITLE_WIDTH)
    for name in ("done", "running", "failed", "best"):
        table.add_column(name, justify="right", no_wrap=True)
    for cell in status.cells[:MAX_ROWS]:
        table.add_row(*map(Text, _row(cell)))
    parts: list[RenderableType] = [table]
    if len(status.cells) > MAX_ROWS:
        parts.append(Text(f"and {len(status.cells) - MAX_ROWS} more rows"))
    parts += map(Text, _failure_lines(status.failures))
    return Group(*parts, Text(summary(status)))


def summary(status: StudyStatus) -> str:
    """One line about a study: its trials, the time left and the cores."""
    cells = status.cells
    done, total = sum(x.done for x in cells), sum(x.total for x in cells)
    parts = [f"{done} of {total} done"]
    for name in ("running", "pruned", "failed"):
        if count := sum(getattr(x, name) for x in cells):
            parts.append(f"{count} {name}")
    if not status.is_complete and status.seconds_left is not None and status.slots:
        parts.append(f"{format_duration(status.seconds_left)} left")
    if status.cores:
        parts.append(f"{status.cores} {'core' if status.cores == 1 else 'cores'}")
    return ", ".join(parts)


def watch_study(path: Path, interval: float, *, once: bool) -> None:
    """Shows the study in a folder until no trial is left.

    Args:
        path: the study folder.
        interval: seconds between two updates.
        once: whether it is shown only once.

    Raises:
        InvalidInputError: the folder has no study.
    """
    console = Console(highlight=False)
    status = read_study_status(path)
    if once or not console.is_terminal:
        console.print(render_study(status), soft_wrap=True)
        return
    with Live(console=console, auto_refresh=False) as live:
        for status in _poll(path, interval):
            live.update(render_study(status), refresh=True)


def _poll(path: Path, interval: float) -> Iterator[StudyStatus]:
    while True:
        status = read_study_status(path)
        yield status
        if status.is_complete:
            return
        time.sleep(interval)


def _row(cell: CellStatus) -> list[str]:
    best = cell.best
    score = "" if best is None or best.score is None else f"{best.score:.4g}"
    title = cell.title
    if len(title) > TITLE_WIDTH:
        title = title[: TITLE_WIDTH - 1] + "…"
    done = f"{cell.done + cell.pruned}/{cell.total}"
    return [title, done, str(cell.running), str(cell.failed), score]


def _failure_lines(failures: Iterable[TrialRecord]) -> Iterator[str]:
    listed = [*failures]
    for record in listed[:MAX_FAILURES]:
        yield f"failed: {record.name}: {record.error}"
    if len(listed) > MAX_FAILURES:
        yield f"and {len(listed) - MAX_FAILURES} more"
