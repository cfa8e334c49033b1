"""Trials of a study: run folders, as jobs of an engine and as records of a journal."""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from syntony.studies.study import Flags, Setting, cell_title

TrialState = Literal["waiting", "running", "done", "failed", "pruned"]
TRIAL_MODULE = "syntony.cli.trial"
"""Module that trains one trial in a process of its own."""

ToArguments = Callable[[Setting, tuple[int, ...]], list[str]]
"""Arguments of `syntony train` for a setting and seeds."""


class Trial(NamedTuple):
    """A setting with some seeds, which one process trains."""

    name: str
    setting: Setting
    seeds: tuple[int, ...]
    number: int | None = None
    """Number in the search of its cell; None in a grid."""

    @property
    def cell(self) -> str:
        """Name of its cell."""
        return cell_title(self.setting.system, self.setting.flags)


class Job(NamedTuple):
    """A trial as an engine runs it: a command that may be started again."""

    name: str
    arguments: Sequence[str]
    """Arguments of `syntony train`, without `--out`."""
    run: Path
    """The run folder."""
    log: Path
    """File for what it prints."""
    folder: Path
    """Working directory, in which a user's modules are found."""

    def command(self, run: Path | None = None) -> list[str]:
        """The command, which continues what is in the run folder.

        It ends, saved, when its standard input is closed.

        Args:
            run: another run folder.
        """
        out = ["--out", str(self.run if run is None else run)]
        return [sys.executable, "-m", TRIAL_MODULE, *self.arguments, *out]


class Outcome(NamedTuple):
    """The end of a job."""

    name: str
    code: int | None
    """Exit code of the command, negative for a signal; None: its machine was lost."""
    error: str = ""
    """Last line that it printed, where it failed."""

    @property
    def is_interrupted(self) -> bool:
        """Whether it was stopped from outside, and would have gone on."""
        is_killed = self.code == -signal.SIGKILL
        return self.code is None or (self.code < 0 and not is_killed) or self.code > 128


class TrialRecord(NamedTuple):
    """A trial in the journal of a study."""

    name: str
    system: str
    flags: Flags
    seeds: tuple[int, ...]
    state: TrialState = "waiting"
    steps: int = 0
    """Training length that it has reached."""
    seconds: float = 0.0
    """Time that it has taken, of all its starts."""
    failures: int = 0
    interruptions: int = 0
    error: str = ""
    score: float | None = None
    """Mean over seeds of the last evaluation."""
    metric: str = ""
    """Metric of the score."""
    number: int | None = None
    """Number in the search of its cell; None in a grid."""

    @property
    def cell(self) -> str:
        """Name of its cell."""
        return cell_title(self.system, self.flags)

    def setting(self, steps: int) -> Setting:
        """Its setting, with a training length."""
        return Setting(self.system, self.flags, steps)
