"""Callbacks: a user's functions, called at every evaluation of each seed.

One may log numbers of its own, and end the training of its seed:

    def stop_when_solved(run, step, metrics):
        if metrics["eval/return_mean"] > 0.95:
            raise syntony.StopTraining
        return {"own/team_size": run.system.task.num_agents}
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
    summarize_exception,
)
from syntony.training.checkpoint import Checkpoint
from syntony.training.integrity import METRIC_NAME
from syntony.training.metrics_log import NAME_RULE, MetricsRow
from syntony.training.program_name import program_name
from syntony.training.run import Run
from syntony.training.run_config import RunConfig
from syntony.training.seed_scheduler import SeedRun

Callback = Callable[[Run, int, MetricsRow], Mapping[str, object] | None]
"""From the run, the step and the metrics of an evaluation to further metrics."""


class StopTraining(Exception):  # noqa: N818
    """Raised by a callback to end the training of its seed, as if it were done."""


class CallbackResult(NamedTuple):
    """Result of all callbacks at one evaluation."""

    metrics: MetricsRow
    """Their numbers by name."""
    stops: bool
    """Whether one of them ended the training of the seed."""
    error: InvalidInputError | None
    """Error of the first one that failed; later ones were not called."""


class CallbackRunner:
    """The callbacks of a run, and the states that they see; for the main thread.

    Args:
        path: the run folder.
        config: the configuration of the run.
        callbacks: the functions, in the order in which they are called.
        seed_runs: progress of each seed at the start.
    """

    def __init__(
        self,
        path: Path,
        config: RunConfig,
        callbacks: Sequence[Callback],
        seed_runs: Iterable[SeedRun],
    ):
        self._path, self._config, self.callbacks = path, config, callbacks
        self._live: dict[int, Checkpoint] = {}
        # Without callbacks nothing keeps a state that training has left behind.
        for seed_run in seed_runs if callbacks else ():
            self._update(seed_run, 0.0)

    def call(self, seed_run: SeedRun, row: MetricsRow) -> CallbackResult:
        """Calls all callbacks for one evaluation.

        Args:
            seed_run: progress of the seed at its evaluation.
            row: `step`, `seed`, `wall_s` and the metrics.
        """
        if not self.callbacks:
            return CallbackResult({}, False, None)
        self._update(seed_run, row["wall_s"])
        run = Run(self._path, self._config, live=dict(self._live))
        metrics: MetricsRow = {}
        stops = False
        for callback in self.callbacks:
            name = getattr(callback, "__name__", type(callback).__name__)
            try:
                returned = callback(run, row["step"], row | metrics)
                metrics |= _checked_metrics(returned, row | metrics)
            except StopTraining:
                stops = True
            except USER_CODE_EXCEPTIONS as error:
                return CallbackResult(metrics, stops, self._failure(name, row, error))
        return CallbackResult(metrics, stops, None)

    def _update(self, seed_run: SeedRun, wall_s: float) -> None:
        if seed_run.train_state is not None:
            saved = Checkpoint(seed_run.train_state, seed_run.step, wall_s)
            self._live[seed_run.seed] = saved

    def _failure(
        self, name: str, row: MetricsRow, cause: BaseException
    ) -> InvalidInputError:
        is_ours = isinstance(cause, InvalidInputError)
        what = str(cause) if is_ours else f"raised {summarize_exception(cause)}"
        error = InvalidInputError(
            f"seed {row['seed']}, step {row['step']}: callback {name} {what}; all up "
            f"to there is saved; go on with: {program_name()} resume {self._path}"
        )
        error.__cause__ = cause
        return error


def check_callbacks(callbacks: object) -> None:
    """Raises InvalidInputError if this is no list of functions."""
    if not isinstance(callbacks, list | tuple) or not all(map(callable, callbacks)):
        raise InvalidInputError(
            f"callbacks is {callbacks!r}; expected a list of functions of the run, "
            "the step and the metrics"
        )


def _checked_metrics(returned: object, row: MetricsRow) -> MetricsRow:
    """Numbers that a callback returned, as a metrics row can hold them."""
    if returned is None:
        return {}
    if not isinstance(returned, Mapping):
        raise InvalidInputError(
            f"returned {type(returned).__name__}; expected a dict of numbers, or None"
        )
    for name in returned:
        if not isinstance(name, str) or not all(name.partition("/")):
            raise InvalidInputError(
                f"returned a number named {name!r}; expected a name with a slash, "
                "e.g. 'own/distance'"
            )
        if not METRIC_NAME.fullmatch(name):
            raise InvalidInputError(f"returned a number named {name!r}; {NAME_RULE}")
        if name in row:
            raise InvalidInputError(
                f"returned {name!r}, which the run logs already; expected another name"
            )
    return {name: _checked_number(name, value) for name, value in returned.items()}


def _checked_number(name: str, value: object) -> float | None:
    if value is None:
        return None
    array = np.asarray(value)
    is_number = array.ndim == 0 and array.dtype.kind in "biuf"
    if not is_number or not math.isfinite(array):
        raise InvalidInputError(
            f"returned {value!r} for {name!r}; expected a finite number, or None"
        )
    return float(array)
