"""Loggers: TensorBoard and Weights & Biases, beside `metrics.jsonl`.

Each logger first writes all rows of the metrics log. So a logger that is added at a
resume has the whole curve, and rows later than the checkpoint from which a run resumes
are not logged twice.
"""

import math
import os
import secrets
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from syntony.errors import InvalidInputError, summarize_exception
from syntony.training.atomic_io import atomic_write_bytes
from syntony.training.metrics_log import MetricsRow
from syntony.training.run_folder import RunFolder
from syntony.training.safe_io import JsonObject, open_untrusted

LOGGER_FACTORIES = {
    "tensorboard": ("tensorboardX", "SummaryWriter"),
    "wandb": ("wandb", "init"),
}
"""Package and function of each logger; Syntony's extra has the name of the logger."""
INDEX_FIELDS = ("step", "seed", "chain")
"""Entries of a row that are no metrics."""
FLUSH_SECONDS = 10
UNBOUNDED_QUEUE = 0
"""Queue size of the event writer: training never waits for the disk."""
MAX_ID_FILE_BYTES = 100
"""Most bytes of the file that stores the id."""
ID_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class LoggedRun(NamedTuple):
    """Description of a run for its loggers."""

    folder: RunFolder
    settings: JsonObject
    """Content of `settings.json`."""
    seeds: Sequence[int]
    start_time: float
    """Seconds since 1970 of the start, as if the run had not been interrupted."""


class EventWriter(Protocol):
    """The methods of tensorboardX's `SummaryWriter` that are used here."""

    def add_scalar(self, tag: str, value: float, step: int, time: float) -> None:
        """Writes one number, with its step and the seconds since 1970."""
        ...

    def close(self) -> None:
        """Flushes and closes the file."""
        ...


class TensorBoardLogger:
    """Event files in RUN/tensorboard, one folder per seed; rewritten at each start."""

    def __init__(self, logged_run: LoggedRun):
        make = logger_factory("tensorboard")
        self._start_time = logged_run.start_time
        self._writers: dict[int, EventWriter] = {}
        for seed in logged_run.seeds:
            event_dir = logged_run.folder.tensorboard_dir / f"seed-{seed}"
            for old in event_dir.glob("events.out.tfevents.*"):
                old.unlink()
            self._writers[seed] = make(
                str(event_dir),
                # A running TensorBoard drops what it has read from the old files.
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
    """Runs of Weights & Biases: one per seed, all in one group.

    A seed keeps its id when a run is resumed. Online, the service reports its last
    step, and only later rows are sent. Offline it cannot be queried: each start leaves
    a folder with the whole curve, and `wandb sync` uses the last folder of an id.
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
    """All loggers of a run; one that fails is removed, and the run continues."""

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
        for row in rows:
            self.log_metrics(row)

    def log_metrics(self, row: MetricsRow) -> None:
        """Sends a row of the metrics log to all loggers."""
        for name, logger in list(self._loggers.items()):
            try:
                logger.log_metrics(row)
            except Exception as error:
                del self._loggers[name]
                _warn_logger_failed(name, error)

    def close(self) -> None:
        """Flushes and closes all loggers."""
        for name, logger in self._loggers.items():
            try:
                logger.close()
            except Exception as error:
                _warn_logger_failed(name, error)
        self._loggers = {}


# Of an optional package, whose types are unknown where it is not installed.
def logger_factory(name: str) -> Callable[..., Any]:
    """Imports the function that opens a logger.

    Args:
        name: a key of `LOGGER_FACTORIES`.

    Raises:
        InvalidInputError: the package is not installed; the message tells how to
            install it.
    """
    package, function = LOGGER_FACTORIES[name]
    try:
        # A folder of this name in the current folder imports as an empty package.
        return getattr(import_module(package), function)
    except (ImportError, AttributeError):
        raise InvalidInputError(
            f"--{name} needs {package}, which is not installed; "
            f"to install it: pip install 'syntony[{name}]'"
        ) from None


def make_logged_run(
    folder: RunFolder, settings: JsonObject, seeds: Sequence[int], wall_s: float
) -> LoggedRun:
    """Describes a run for its loggers.

    Args:
        settings: content of `settings.json`.
        seeds: the seeds of the run.
        wall_s: wall-clock seconds of the run so far.
    """
    return LoggedRun(folder, settings, seeds, time.time() - wall_s)


def finite_scalars(row: MetricsRow) -> dict[str, float]:
    """Finite metrics of a row by name, without step and seed."""
    return {
        name: value
        for name, value in row.items()
        if name not in INDEX_FIELDS and value is not None and math.isfinite(value)
    }


def _open_logger(name: str, logged_run: LoggedRun) -> Logger:
    try:
        return LOGGERS[name](logged_run)
    except Exception as error:
        hint = "; without a network: WANDB_MODE=offline" if name == "wandb" else ""
        raise InvalidInputError(
            f"--{name}: {summarize_exception(error)}{hint}"
        ) from error


def _warn_logger_failed(name: str, error: Exception) -> None:
    warnings.warn(
        f"--{name} failed ({summarize_exception(error)}); the run goes on without it; "
        f"`syntony resume --{name}` logs the whole run again",
        stacklevel=3,
    )


def _wandb_run_id(folder: RunFolder) -> str:
    """Random id of a run at the service, stored in the run folder."""
    path = folder.path / "wandb-id"
    try:
        with open_untrusted(path, MAX_ID_FILE_BYTES) as file:
            run_id = file.read().decode("ascii", "replace").strip()
    except FileNotFoundError:
        run_id = ""
    if not run_id.isalnum():
        run_id = "".join(secrets.choice(ID_ALPHABET) for _ in range(12))
        atomic_write_bytes(path, run_id.encode())
    return run_id
