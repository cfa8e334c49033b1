"""The books of a run that is going on: what is written down, and in which order."""

import time
from collections.abc import Iterable
from pathlib import Path

from syntony.run import checkpoint, history, journal
from syntony.run.export import export
from syntony.run.folder import Folder
from syntony.run.lanes import Lane, Leg
from syntony.run.plan import Plan
from syntony.run.progress import Screen
from syntony.run.sinks import Sinks
from syntony.systems.system import System

SAVE_SECONDS = 300.0
"""The longest that a seed learns without being saved."""


class Books:
    """Writes to a run folder and to the screen; only the main thread does."""

    def __init__(
        self, folder: Folder, plan: Plan, screen: Screen, sinks: Sinks, began: float
    ):
        self._folder, self._plan = folder, plan
        self._screen, self._sinks = screen, sinks
        self._began = began
        self._saved_at: dict[int, float] = {}

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._folder.path

    @property
    def wall_s(self) -> float:
        """Seconds that the run has taken, all its sittings together."""
        return time.perf_counter() - self._began

    def enter(self, leg: Leg) -> None:
        """Writes down what a leg measured, and saves where that is due."""
        seed, step = leg.lane.seed, leg.lane.step
        if leg.measured is not None:
            # Before the line: what is taken again takes the place of itself.
            history.record(self._folder, self._plan, leg.lane)
            head = {"step": step, "seed": seed, "wall_s": round(self.wall_s, 3)}
            # The line first: a line beyond the checkpoint is measured again, but one
            # that is missing before it would be missing for ever.
            journal.append(self._folder.metrics, head | leg.measured)
            self._screen.evaluated(head | leg.measured)
            self._sinks.write(head | leg.measured)
        last = self._saved_at.setdefault(seed, self.wall_s)
        if leg.measured is not None or self.wall_s - last > SAVE_SECONDS:
            self._save(leg.lane)

    def obituary(self, leg: Leg) -> str:
        """Says what diverged, what is left, and what to try."""
        folder, seed = self._folder.checkpoints, leg.lane.seed
        left = [str(path) for path in checkpoint.of_seed(folder, seed)]
        return (
            f"seed {seed} diverged at step {leg.lane.step}: {leg.diverged}; "
            f"last good checkpoint: {left[0] if left else 'none'}; "
            "try lower learning rates, with another --out"
        )

    def obstacle(self, leg: Leg) -> str:
        """Says what a black box failed with, and how to go on."""
        return (
            f"seed {leg.lane.seed}, {leg.blocked}; "
            f"all up to there is saved in {self._folder.path}, to be resumed"
        )

    def close(self, lanes: Iterable[Lane], system: System) -> None:
        """Saves what is not saved yet, and exports what was learned."""
        states = {}
        for lane in lanes:
            if lane.progress is None:
                continue
            folder, seed = self._folder.checkpoints, lane.seed
            if not checkpoint.path_of(folder, seed, lane.step).exists():
                self._save(lane)
            states[seed] = lane.progress.state
        export(self._folder, system, states)

    def _save(self, lane: Lane) -> None:
        checkpoint.save(
            self._folder.checkpoints,
            lane.seed,
            lane.step,
            lane.progress,
            wall_s=self.wall_s,
        )
        self._saved_at[lane.seed] = self.wall_s
