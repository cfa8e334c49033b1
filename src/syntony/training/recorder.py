"""Recording of a run: metrics, checkpoints and exports, in a safe order."""

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from syntony.errors import InvalidInputError
from syntony.systems.system import System
from syntony.training import checkpoint, metrics_log, snapshots
from syntony.training.export import export_model
from syntony.training.integrity import (
    CheckpointRecord,
    LogHashes,
    stored_sessions,
)
from syntony.training.kept_checkpoints import best_rows
from syntony.training.locks import HeldLock
from syntony.training.loggers import LoggerCollection
from syntony.training.metrics_log import MetricsRow
from syntony.training.primary_metrics import best_row
from syntony.training.program_name import program_name
from syntony.training.progress import ProgressDisplay, constant_return
from syntony.training.run_config import RunConfig
from syntony.training.run_folder import RunFolder
from syntony.training.seed_scheduler import ChunkResult, SeedRun
from syntony.training.sessions import SESSIONS_KEY, end_session
from syntony.training.verification import SEAL_KEY, seal

CHECKPOINT_INTERVAL_SECONDS = 300.0
"""Most seconds between two checkpoints of a seed."""
STOPPED_SEEDS_FIELD = "stopped_seeds"
"""Entry of `settings.json`: the seeds whose training a callback has ended."""


def stopped_seeds(settings: Mapping[str, object]) -> list[int]:
    """Seeds whose training a callback has ended.

    Args:
        settings: content of `settings.json`.

    Raises:
        InvalidInputError: the entry is no list of seeds.
    """
    seeds = settings.get(STOPPED_SEEDS_FIELD, [])
    if not isinstance(seeds, list) or any(type(seed) is not int for seed in seeds):
        raise InvalidInputError(
            f"{STOPPED_SEEDS_FIELD} is {seeds!r}; expected a list of seeds"
        )
    return seeds


class RunIdentity(NamedTuple):
    """Facts that the files of a run hold of it, to tell them from those of others."""

    settings_sha256: bytes
    """Digest of the settings that determine learning."""
    start: int
    """Which start of the run this is, counted from 1."""
    log_hashes: LogHashes
    """Hashes of the metrics log, updated with each row."""


class RunRecorder:
    """Writer of a run's metrics, checkpoints and exports; used by the main thread only.

    Args:
        folder: the run folder.
        config: the configuration of the run.
        display: prints each evaluation.
        loggers: receive each row of the metrics log.
        start_time: value of `time.perf_counter()` at the start of the run, as if it
            had not been interrupted.
        lock: the lock of the folder, checked before each write.
        identity: what checkpoints and rows tell of the run.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: RunConfig,
        display: ProgressDisplay,
        loggers: LoggerCollection,
        start_time: float,
        lock: HeldLock,
        identity: RunIdentity,
    ):
        self._folder, self._config = folder, config
        self._display, self._loggers = display, loggers
        self._start_time, self._lock, self._identity = start_time, lock, identity
        self._last_saved_wall_s: dict[int, float] = {}
        self._best = best_rows(folder, config.all_seeds) if config.keep_best else {}

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._folder.path

    @property
    def wall_s(self) -> float:
        """Wall-clock seconds of the run, including those before it was resumed."""
        return time.perf_counter() - self._start_time

    def metrics_row(self, result: ChunkResult) -> MetricsRow | None:
        """Row of the metrics log for a chunk; None if it was not evaluated."""
        if result.metrics is None:
            return None
        seed, step = result.seed_run.seed, result.seed_run.step
        index = {"step": step, "seed": seed, "wall_s": round(self.wall_s, 3)}
        return index | result.metrics

    def record(self, result: ChunkResult, row: MetricsRow | None) -> None:
        """Writes a row of the metrics log, and a checkpoint if one is due.

        Raises:
            RunMovedError: the folder was moved or replaced; nothing is written.
        """
        self._lock.check()
        if row is not None:
            # Before the row: a snapshot that is taken again replaces itself.
            snapshots.record_snapshot(self._folder, self._config, result.seed_run)
            # The row before the checkpoint: a resumed run writes rows after its
            # checkpoint again, but never those before it.
            metrics_log.append_row(
                self._folder.metrics_path, row, self._identity.log_hashes
            )
            self._display.print_evaluation(row)
            self._loggers.log_metrics(row)
            self._update_best(row)
        last_saved = self._last_saved_wall_s.setdefault(
            result.seed_run.seed, self.wall_s
        )
        unsaved = self.wall_s - last_saved
        is_due = row is not None or result.kept_at is not None
        if is_due or unsaved > CHECKPOINT_INTERVAL_SECONDS:
            self._save_checkpoint(result.seed_run.at_backup(), result.kept_at)

    def record_stop(self, seed: int) -> None:
        """Stores that a callback has ended the training of a seed."""
        self._lock.check()
        settings = self._folder.read_settings()
        seeds = sorted({*stopped_seeds(settings), seed})
        self._folder.write_settings(settings | {STOPPED_SEEDS_FIELD: seeds})

    def divergence_message(self, result: ChunkResult) -> str:
        """Message for a seed that diverged: cause, last checkpoint, remedy."""
        folder, seed = self._folder.checkpoints_dir, result.seed_run.seed
        step, cause = result.seed_run.step, result.divergence
        paths = checkpoint.checkpoint_paths(folder, seed)
        return (
            f"seed {seed} diverged at step {step}: {cause}; "
            f"last good checkpoint: {paths[0] if paths else 'none'}; "
            "try lower learning rates, with another --out"
        )

    def failure_message(self, result: ChunkResult) -> str:
        """Message for a black box that failed: the error and how to resume."""
        failure = f"seed {result.seed_run.seed}, {result.error}"
        if result.seed_run.train_state is None:
            return f"{failure}; nothing has been trained that could be resumed"
        return (
            f"{failure}; all up to there is saved; go on with: "
            f"{program_name()} resume {self._folder.path}"
        )

    def finalize(self, seed_runs: Collection[SeedRun], system: System) -> None:
        """Saves the states that are not saved yet, and exports the parameters."""
        self._lock.check()
        states = {}
        for seed_run in (x.intact() for x in seed_runs):
            if seed_run.train_state is None:
                continue
            folder, seed = self._folder.checkpoints_dir, seed_run.seed
            paths = checkpoint.checkpoint_paths(folder, seed)
            if seed_run.step not in map(checkpoint.checkpoint_step, paths):
                self._save_checkpoint(seed_run)
            states[seed] = seed_run.train_state.state
        export_model(self._folder, system, states)
        settings = self._folder.read_settings()
        last_step = max((x.step for x in seed_runs), default=0)
        settings[SESSIONS_KEY] = end_session(stored_sessions(settings), last_step)
        self._folder.write_settings(settings | {SEAL_KEY: seal(self._folder)})

    def print_summary(self) -> None:
        """Prints where the run is, and a note if its return has never varied."""
        value = constant_return(metrics_log.read_rows(self._folder.metrics_path))
        if value is not None:
            self._display.print_constant_return(value)
        self._display.print_summary()

    def _update_best(self, row: MetricsRow) -> None:
        if not self._config.keep_best:
            return
        known = self._best.get(row["seed"])
        best = best_row([row] if known is None else [known, row])
        if best is not None:
            self._best[row["seed"]] = best

    def _save_checkpoint(self, seed_run: SeedRun, kept_at: int | None = None) -> None:
        best, identity = self._best.get(seed_run.seed), self._identity
        checkpoint.save_checkpoint(
            self._folder.checkpoints_dir,
            seed_run.seed,
            seed_run.step,
            seed_run.train_state,
            wall_s=self.wall_s,
            kept_at=kept_at,
            best_step=None if best is None else best["step"],
            record=CheckpointRecord(
                seed_run.seed,
                seed_run.step,
                identity.settings_sha256,
                identity.start,
                identity.log_hashes.record(seed_run.seed),
            ),
        )
        self._last_saved_wall_s[seed_run.seed] = self.wall_s
