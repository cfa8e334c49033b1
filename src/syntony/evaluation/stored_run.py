"""A stored run: the settings, metrics and trained states that its folder holds."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from syntony.errors import InvalidInputError
from syntony.evaluation.evaluate import return_ranges
from syntony.evaluation.learning_curves import LearningCurve, read_learning_curve
from syntony.evaluation.statistics import RATE_RANGE
from syntony.systems.registry import system_label
from syntony.systems.system import ActsInEpisodes
from syntony.training import metrics_log
from syntony.training.primary_metrics import ERROR_RATE_METRICS
from syntony.training.run import Run, load
from syntony.training.run_config import task_and_channel_id
from syntony.training.run_folder import RunFolder
from syntony.training.safe_io import JsonObject
from syntony.training.verification import find_damage, warn_of_damage

MAX_CURVE_POINTS = 300
"""Points of a learning curve that a figure draws at most."""
FlatSettings = dict[str, str | int | float | None]
"""Settings by their path, e.g. `novelty.bits`."""


class StoredRun(NamedTuple):
    """A run as its folder stores it; usable without checkpoints too."""

    path: Path
    settings: JsonObject
    """Content of `settings.json`."""
    records: list[metrics_log.MetricsRow]
    """Rows of `metrics.jsonl`."""
    run: Run | None
    """The run with its trained states; None if they cannot be loaded."""
    load_error: str
    """Why `run` is None; empty otherwise."""

    @property
    def system(self) -> str:
        """Name of the system, e.g. `smpe`; of a user's own, that of its class."""
        return system_label(str(self.settings["system"]))

    @property
    def step_unit(self) -> str:
        """Unit of the steps, e.g. `environment steps`."""
        return read_step_unit(self.settings)

    @property
    def logged_metrics(self) -> set[str]:
        """Names of all metrics that were logged."""
        return {name for row in self.records for name in row if "/" in name}

    @property
    def task_or_channel(self) -> str:
        """Id of the task or channel; empty if the system has neither."""
        return task_and_channel_id(self.settings)

    @property
    def system_settings(self) -> FlatSettings:
        """Settings of the system by their path."""
        return flatten_settings(system_settings(self.settings))

    @property
    def last_step(self) -> int:
        """Highest step of a metrics row, of all seeds; 0 without rows."""
        return max((row["step"] for row in self.records), default=0)

    @property
    def wall_s(self) -> float | None:
        """Wall time in seconds at the last metrics row; None if unknown."""
        times = [row.get("wall_s") for row in self.records]
        return max((t for t in times if isinstance(t, int | float)), default=None)


def read_stored_run(run: Path | Run, *, trust: bool = False) -> StoredRun:
    """Reads a run folder.

    Args:
        run: the folder; or the run, as `load` gives it, where the system is a user's.
        trust: whether to import what the run names; see `load`.

    Raises:
        InvalidInputError: the folder holds no run, or its settings or metrics are
            damaged. States that cannot be loaded are no error: see `load_error`.
    """
    path = run_path(run)
    folder = RunFolder(path)
    settings, _ = read_run_settings(folder)
    rows = metrics_log.read_rows(folder.metrics_path)
    warn_of_damage(path, find_damage(path, settings))
    loaded, load_error = _load_or_error(run, trust=trust)
    return StoredRun(path, settings, rows, loaded, load_error)


def run_path(run: str | Path | Run) -> Path:
    """Folder of a run."""
    return run.path if isinstance(run, Run) else Path(run)


def _load_or_error(run: Path | Run, *, trust: bool) -> tuple[Run | None, str]:
    try:
        run = run if isinstance(run, Run) else load(run, trust=trust)
        # Reads the checkpoints, so that an unreadable one is reported once, early.
        _ = run.states
    except InvalidInputError as error:
        return None, str(error)
    return run, ""


def read_metric_curve(stored_run: StoredRun, metric: str) -> LearningCurve | None:
    """Learning curve of a run, with at most `MAX_CURVE_POINTS` points.

    None if the metric was not logged, or the seeds have no steps in common.
    """
    try:
        curve = read_learning_curve(stored_run.path, metric)
    except (InvalidInputError, TypeError, ValueError):
        return None
    if not len(curve.steps):
        return None
    last = len(curve.steps) - 1
    kept = np.unique(
        np.linspace(0, last, min(MAX_CURVE_POINTS, last + 1)).round().astype(int)
    )
    possible = _possible_range(stored_run, metric)
    return LearningCurve(curve.steps[kept], curve.scores[:, kept], possible)


def _possible_range(stored_run: StoredRun, metric: str) -> tuple[float, float] | None:
    """Lowest and highest possible value of a metric of a run, where known."""
    if metric in ERROR_RATE_METRICS:
        return RATE_RANGE
    system = None if stored_run.run is None else stored_run.run.system
    if not isinstance(system, ActsInEpisodes):
        return None
    return return_ranges(system.task).get(metric)


def read_run_settings(folder: RunFolder) -> tuple[JsonObject, str]:
    """Reads `settings.json`; returns it and the id of the run's task or channel.

    The id is empty if the system has neither.

    Raises:
        InvalidInputError: there is no run, or an entry that every run has is missing.
    """
    settings = folder.read_settings()
    for name, kind in (("system", str), ("settings", dict)):
        if not isinstance(settings.get(name), kind):
            raise InvalidInputError(f"{folder.settings_path}: {name} is missing")
    try:
        return settings, task_and_channel_id(settings)
    except InvalidInputError as error:
        raise InvalidInputError(f"{folder.settings_path}: {error}") from None


def read_step_unit(settings: Mapping[str, object]) -> str:
    """Unit of a run's steps, from its settings; "steps" where they have none."""
    unit = settings.get("step_unit")
    # Drawn in figures, HTML and the terminal: settings may be anyone's.
    valid = isinstance(unit, str) and re.fullmatch(r"[A-Za-z0-9 -]{1,40}", unit)
    return str(unit) if valid else "steps"


def system_settings(settings: JsonObject) -> JsonObject:
    """Settings of the system, which every run has: see `read_run_settings`."""
    nested = settings["settings"]
    assert isinstance(nested, dict)
    return nested


def flatten_settings(nested: Mapping[str, object], prefix: str = "") -> FlatSettings:
    """Nested settings by their path; an entry with an id is replaced by its id."""
    flat: FlatSettings = {}
    for name, value in nested.items():
        if isinstance(value, dict) and "id" not in value:
            flat |= flatten_settings(value, f"{prefix}{name}.")
        else:
            known = value["id"] if isinstance(value, dict) else value
            if known is not None and not isinstance(known, str | int | float):
                known = json.dumps(known)
            flat[prefix + name] = known
    return flat


def reject_duplicate_runs(runs: Sequence[str | Path]) -> None:
    """Raises InvalidInputError if two paths name the same folder."""
    paths = [Path(run).resolve() for run in runs]
    for index, path in enumerate(paths):
        if path in paths[:index]:
            raise InvalidInputError(
                f"{runs[index]} is named twice; expected different runs"
            )
