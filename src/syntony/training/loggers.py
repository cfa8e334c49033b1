"""Sinks: where else a run's numbers go. `metrics.jsonl` stays the truth.

Each begins with all that the journal holds. So a sink that is asked for late has the
whole curve, and one that had more than the checkpoint a run goes on from has it once.
"""

import math
import os
import secrets
import time
import warnings
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from syntony.errors import InvalidInputError, summarize_exception
from syntony.training.atomic_io import atomic_write
from syntony.training.metrics_log import MetricsRow
from syntony.training.run_folder import RunFolder
from syntony.training.safe_io import open_untrusted

LOGGER_FACTORIES = {
    "tensorboard": ("tensorboardX", "SummaryWriter"),
    "wandb": ("wandb", "init"),
}
"""Package and function that write each sink; Syntony's extra has the sink's name."""
INDEX_FIELDS = ("step", "seed")
FLUSH_SECONDS = 10
UNBOUNDED_QUEUE = 0
"""A queue that is never full: whoever fills it does not wait for the disk."""
MAX_ID_FILE_BYTES = 100
"""Of the file that holds an id."""
ID_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class LoggedRun(NamedTuple):
    """The run that a sink is of."""

    folder: RunFolder
    settings: dict[str, Any]
    seeds: Sequence[int]
    start_time: float
    """When it would have begun, had it never stopped: seconds since 1970."""


class TensorBoardLogger:
    """Event files in RUN/tensorboard, a folder for each seed; each sitting anew."""

    def __init__(self, logged_run: LoggedRun):
        make = logger_factory("tensorboard")
        self._start_time = logged_run.start_time
        self._writers: dict[int, Any] = {}
        for seed in logged_run.seeds:
            place = logged_run.folder.tensorboard_dir / f"seed-{seed}"
            for old in place.glob("events.out.tfevents.*"):
                old.unlink()
            self._writers[seed] = make(
                str(place),
                # A TensorBoard that looks on forgets what it has read of the old files.
                purge_step=0,
                max_queue=UNBOUNDED_QUEUE,
                flush_secs=FLUSH_SECONDS,
            )

    def log_metrics(self, row: MetricsRow) -> None:
        writer, wall_s = self._writers[row["seed"]], row.get("wall_s") or 0.0
        for name, value in finite_scalars(row).items():
            writer.add_scalar(name, value, row["step"], self._start_time + wall_s)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


class WandbLogger:
    """Runs of Weights & Biases, one for each seed, in a group.

    A seed has the same id in all its sittings. Online the service says how far it is,
    and gets what follows. Offline it cannot be asked: a sitting leaves a folder with
    the whole curve, and of folders with one id `wandb sync` lets the last one count.
    """

    def __init__(self, logged_run: LoggedRun):
        name = logged_run.folder.path.resolve().name
        group = f"{name}-{_wandb_run_id(logged_run.folder)}"
        make = logger_factory("wandb")
        self._runs = {
            seed: make(
                project=os.environ.get("WANDB_PROJECT", "syntony"),
                group=group,
                name=f"{name}-seed-{seed}",
                id=f"{_wandb_run_id(logged_run.folder)}-{seed}",
                dir=str(logged_run.folder.path),
                config=logged_run.settings | {"seed": seed},
                resume="allow",
                reinit="create_new",
            )
            for seed in logged_run.seeds
        }
        self._logged_steps = {seed: run.step for seed, run in self._runs.items()}

    def log_metrics(self, row: MetricsRow) -> None:
        seed, step = (row[name] for name in ("seed", "step"))
        if step >= self._logged_steps[seed]:
            self._runs[seed].log(finite_scalars(row), step=step)

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()


Logger = TensorBoardLogger | WandbLogger
LOGGERS: dict[str, type[Logger]] = {
    "tensorboard": TensorBoardLogger,
    "wandb": WandbLogger,
}


class LoggerCollection:
    """All sinks of a run. One that fails is given up; the run goes on without it."""

    def __init__(
        self, names: Sequence[str], logged_run: LoggedRun, rows: Iterable[MetricsRow]
    ):
        self._loggers: dict[str, Logger] = {}
        try:
            for name in names:
                self._loggers[name] = _open_logger(name, logged_run)
        except InvalidInputError:
            self.close()
            raise
        for line in rows:
            self.log_metrics(line)

    def log_metrics(self, row: MetricsRow) -> None:
        """Passes on a line of the journal."""
        for name, sink in list(self._loggers.items()):
            try:
                sink.log_metrics(row)
            except Exception as failure:
                del self._loggers[name]
                _warn_logger_failed(name, failure)

    def close(self) -> None:
        """Sees that all that was passed on arrives."""
        for name, sink in self._loggers.items():
            try:
                sink.close()
            except Exception as failure:
                _warn_logger_failed(name, failure)
        self._loggers = {}


def logger_factory(name: str) -> Any:
    """Returns what opens a sink.

    Raises:
        BadInput: its package is not installed; the message has what to type.
    """
    package, function = LOGGER_FACTORIES[name]
    try:
        # What a folder of that name in the current one is taken for has no function.
        return getattr(import_module(package), function)
    except (ImportError, AttributeError):
        raise InvalidInputError(
            f"--{name} needs {package}, which is not installed; "
            f"to install it: pip install 'syntony[{name}]'"
        ) from None


def make_logged_run(
    folder: RunFolder, settings: dict[str, Any], wall_s: float
) -> LoggedRun:
    """Returns the run that sinks are to be of.

    Args:
        settings: as in `settings.json`.
        wall_s: seconds that it has taken so far.
    """
    seeds = range(settings["seed"], settings["seed"] + settings["seeds"])
    return LoggedRun(folder, settings, seeds, time.time() - wall_s)


def finite_scalars(row: MetricsRow) -> dict[str, float]:
    """Returns what a line measured, by name; what was no number is left out."""
    return {
        name: value
        for name, value in row.items()
        if name not in INDEX_FIELDS and value is not None and math.isfinite(value)
    }


def _open_logger(name: str, logged_run: LoggedRun) -> Logger:
    try:
        return LOGGERS[name](logged_run)
    except Exception as failure:
        hint = "; without a network: WANDB_MODE=offline" if name == "wandb" else ""
        raise InvalidInputError(
            f"--{name}: {summarize_exception(failure)}{hint}"
        ) from failure


def _warn_logger_failed(name: str, error: Exception) -> None:
    warnings.warn(
        f"--{name} failed ({summarize_exception(error)}); the run goes on without it, and "
        "a resume with it writes all of it again",
        stacklevel=3,
    )


def _wandb_run_id(folder: RunFolder) -> str:
    """Returns what names a run at a service; drawn once, and kept in its folder."""
    path = folder.path / "wandb-id"
    try:
        with open_untrusted(path, MAX_ID_FILE_BYTES) as file:
            found = file.read().decode("ascii", "replace").strip()
    except FileNotFoundError:
        found = ""
    if not found.isalnum():
        found = "".join(secrets.choice(ID_ALPHABET) for _ in range(12))
        with atomic_write(path) as file:
            file.write(found.encode())
    return found
