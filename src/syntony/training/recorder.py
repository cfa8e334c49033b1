"""The books of a run that is going on: what is written down, and in which order."""

import time
from collections.abc import Iterable
from pathlib import Path

from syntony.systems.system import System
from syntony.training import checkpoint, codebook_history, metrics_log
from syntony.training.export import export_model
from syntony.training.loggers import LoggerCollection
from syntony.training.progress import ProgressDisplay
from syntony.training.run_config import RunConfig
from syntony.training.run_folder import RunFolder
from syntony.training.seed_scheduler import ChunkResult, SeedRun

CHECKPOINT_INTERVAL_SECONDS = 300.0
"""The longest that a seed learns without being saved."""


class RunRecorder:
    """Writes to a run folder and to the screen; only the main thread does."""

    def __init__(
        self,
        folder: RunFolder,
        config: RunConfig,
        display: ProgressDisplay,
        loggers: LoggerCollection,
        start_time: float,
    ):
        self._folder, self._config = folder, config
        self._display, self._loggers = display, loggers
        self._start_time = start_time
        self._last_saved_wall_s: dict[int, float] = {}

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._folder.path

    @property
    def wall_s(self) -> float:
        """Seconds that the run has taken, all its sittings together."""
        return time.perf_counter() - self._start_time

    def record(self, result: ChunkResult) -> None:
        """Writes down what a leg measured, and saves where that is due."""
        seed, step = result.seed_run.seed, result.seed_run.step
        if result.metrics is not None:
            # Before the line: what is taken again takes the place of itself.
            codebook_history.record_snapshot(
                self._folder, self._config, result.seed_run
            )
            head = {"step": step, "seed": seed, "wall_s": round(self.wall_s, 3)}
            # The line first: a line beyond the checkpoint is measured again, but one
            # that is missing before it would be missing for ever.
            metrics_log.append_row(self._folder.metrics_path, head | result.metrics)
            self._display.print_evaluation(head | result.metrics)
            self._loggers.log_metrics(head | result.metrics)
        last = self._last_saved_wall_s.setdefault(seed, self.wall_s)
        if (
            result.metrics is not None
            or self.wall_s - last > CHECKPOINT_INTERVAL_SECONDS
        ):
            self._save_checkpoint(result.seed_run)

    def divergence_message(self, result: ChunkResult) -> str:
        """Says what diverged, what is left, and what to try."""
        folder, seed = self._folder.checkpoints_dir, result.seed_run.seed
        left = [str(path) for path in checkpoint.checkpoint_paths(folder, seed)]
        return (
            f"seed {seed} diverged at step {result.seed_run.step}: {result.divergence}; "
            f"last good checkpoint: {left[0] if left else 'none'}; "
            "try lower learning rates, with another --out"
        )

    def failure_message(self, result: ChunkResult) -> str:
        """Says what a black box failed with, and how to go on."""
        return (
            f"seed {result.seed_run.seed}, {result.error}; "
            f"all up to there is saved in {self._folder.path}, to be resumed"
        )

    def finalize(self, seed_runs: Iterable[SeedRun], system: System) -> None:
        """Saves what is not saved yet, and exports what was learned."""
        states = {}
        for lane in seed_runs:
            if lane.train_state is None:
                continue
            folder, seed = self._folder.checkpoints_dir, lane.seed
            if not checkpoint.checkpoint_path(folder, seed, lane.step).exists():
                self._save_checkpoint(lane)
            states[seed] = lane.train_state.state
        export_model(self._folder, system, states)

    def _save_checkpoint(self, seed_run: SeedRun) -> None:
        checkpoint.save_checkpoint(
            self._folder.checkpoints_dir,
            seed_run.seed,
            seed_run.step,
            seed_run.train_state,
            wall_s=self.wall_s,
        )
        self._last_saved_wall_s[seed_run.seed] = self.wall_s
