"""Speed of the trainings of a study on this machine, measured by short ones."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from syntony.errors import InvalidInputError
from syntony.studies.processes import (
    Process,
    last_line,
    start_process,
    stop_process,
)
from syntony.studies.study import Cell, Flags, FlagValue, Values
from syntony.studies.trial import Job, ToArguments
from syntony.training import metrics_log
from syntony.training.run_folder import RunFolder

MEASURED_SECONDS = 3.0
"""Time over which a speed is measured, after the programs are compiled."""
MAX_SECONDS = 120.0
"""Time after which a training that shows no progress is given up."""
EVALUATIONS = 200
MAX_EVAL_EVERY = 20_000
"""Evaluations in the length of a training, and most steps between two of them: by them
its progress is known, and each one takes time."""
POLL_SECONDS = 0.2


class CellSpeed(NamedTuple):
    """Measured speed of a cell."""

    cell: Cell
    steps_per_second: float
    """Of one seed on one core, without its evaluations."""
    error: str = ""
    """Why it could not be measured; then the speed is 0."""

    def seconds(self, seeds: int) -> float:
        """Time of the training of some seeds, one after the other."""
        return seeds * self.cell.steps / self.steps_per_second


def measure_speeds(
    cells: Sequence[Cell], to_arguments: ToArguments, slots: int
) -> Iterator[CellSpeed]:
    """Yields the speed of each cell, in order.

    Args:
        cells: the cells.
        to_arguments: arguments of `syntony train` for a setting and seeds.
        slots: trainings at a time, as many as in the study.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(slots) as pool,
    ):
        jobs = [
            _short_job(cell, to_arguments, Path(folder) / str(index))
            for index, cell in enumerate(cells)
        ]
        yield from pool.map(_measure, cells, jobs)


def first_values(cell: Cell) -> Flags:
    """The first value of each flag that a cell varies; of an interval its lower end."""
    return {name: _first(x) for name, x in {**cell.grid, **cell.space}.items()}


def _first(values: Values) -> FlagValue:
    return values[0] if isinstance(values, Sequence) else values["low"]


def _short_job(cell: Cell, to_arguments: ToArguments, run: Path) -> Job:
    setting = cell.setting(first_values(cell))
    every = min(max(1, cell.steps // EVALUATIONS), MAX_EVAL_EVERY)
    often: Flags = {"eval_every": every, "eval_episodes": 1}
    arguments = to_arguments(setting._replace(flags=setting.flags | often), (0,))
    return Job(cell.title, arguments, run, run.with_suffix(".log"), Path.cwd())


def _measure(cell: Cell, job: Job) -> CellSpeed:
    process = start_process(job)
    try:
        speed = _wait_for_speed(process, job.run)
    finally:
        stop_process(process)
        process.wait()
    error = "" if speed else last_line(job.log) or "it shows no progress"
    return CellSpeed(cell, speed, error)


def _wait_for_speed(process: Process, run: Path) -> float:
    """Steps per second of a training, from its metrics; 0 if it ends before."""
    end = time.monotonic() + MAX_SECONDS
    while time.monotonic() < end:
        has_ended = process.poll() is not None
        marks = _read_marks(run)
        if len(marks) > 1:
            (start_step, start), (step, now) = marks[0], marks[-1]
            if now - start > MEASURED_SECONDS or (has_ended and now > start):
                return (step - start_step) / (now - start)
        if has_ended:
            return 0.0
        time.sleep(POLL_SECONDS)
    return 0.0


def _read_marks(run: Path) -> list[tuple[int, float]]:
    """Step and wall time of the evaluations after the first step."""
    try:
        rows = metrics_log.read_rows(RunFolder(run).metrics_path)
    except (InvalidInputError, OSError):
        return []
    return [(row["step"], row.get("wall_s") or 0.0) for row in rows if row["step"]]
