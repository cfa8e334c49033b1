"""Engine of SLURM: arrays of jobs, submitted by submitit.

A job that is preempted, killed or reaches its time limit ends with its state saved, and
the trial is submitted again, until it is done. The study folder has to be on a file
system that all nodes share. `squeue` tells which jobs are left, so that no accounting
is needed.
"""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from syntony.errors import InvalidInputError
from syntony.studies.engine import EngineOptions, missing_extra_error
from syntony.studies.processes import Process, outcome_of, start_process, stop_process
from syntony.studies.trial import Job, Outcome
from syntony.training.atomic_io import make_folder

if TYPE_CHECKING:
    pass

DEFAULT_WORKERS = 100
"""Most jobs in the queue."""
SAVE_SECONDS = 60
"""Time before the limit of a job at which it is told to save its state."""
QUEUE_SECONDS = 5.0
"""Time between two looks at the queue."""
LOST_SECONDS = 15.0
"""Time after which a job that left the queue without a result is lost: its file may
appear late on a shared file system."""
STOP_SECONDS = 0.2


class SlurmEngine:
    """Runs each trial as a job of SLURM, several jobs in one array.

    Raises:
        InvalidInputError: submitit or SLURM is not installed.
    """

    def __init__(self, options: EngineOptions):
        try:
            import submitit
        except ImportError:
            raise missing_extra_error("submitit", "slurm") from None
        self._options = options
        folder = _new_folder(options.folder.path.absolute())
        try:
            self._executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=0)
        except RuntimeError:
            raise InvalidInputError(
                "there is no sbatch on this machine; expected a login node of SLURM"
            ) from None
        self._executor.update_parameters(**_parameters(options))
        self._new: list[Job] = []
        self._jobs: dict[str, tuple[Job, submitit.Job[int]]] = {}
        self._missing: dict[str, float] = {}
        self._looked = 0.0

    @property
    def slots(self) -> int:
        return self._options.workers or DEFAULT_WORKERS

    @property
    def cores(self) -> int:
        return self._options.cores * max(1, len(self._jobs))

    def submit(self, job: Job) -> None:
        # All jobs of one round become an array, at the next look.
        self._new.append(job)

    def poll(self) -> list[Outcome]:
        if self._new:
            tasks = [SlurmTrial(job) for job in self._new]
            submitted = self._executor.submit_array(tasks)
            for job, task in zip(self._new, submitted, strict=True):
                self._jobs[job.name] = job, task
            self._new = []
        outcomes = [self._result(name) for name in [*self._jobs] if self._has(name)]
        return outcomes + self._lost()

    def stop(self, name: str) -> None:
        self._new = [job for job in self._new if job.name != name]
        if name in self._jobs:
            _, task = self._jobs[name]
            # The batch shell is left alone: it waits for what the trial saves.
            _call("scancel", "--signal=TERM", task.job_id)
            _call("scancel", "--state=PENDING", task.job_id)

    def close(self) -> None:
        for _, task in self._jobs.values():
            _call("scancel", task.job_id)
        self._jobs.clear()

    def _has(self, name: str) -> bool:
        return self._jobs[name][1].paths.result_pickle.exists()

    def _result(self, name: str) -> Outcome:
        """Outcome of a job that has ended with a result, or with an exception."""
        job, task = self._jobs.pop(name)
        self._missing.pop(name, None)
        error = task.exception()
        if error is None:
            return outcome_of(job, task.result())
        return Outcome(name, None, str(error))

    def _lost(self) -> list[Outcome]:
        """Outcomes of jobs that are neither in the queue nor have a result."""
        if not self._jobs or time.monotonic() - self._looked < QUEUE_SECONDS:
            return []
        self._looked = now = time.monotonic()
        queued = _queued_jobs()
        for name, (_, task) in self._jobs.items():
            if task.job_id in queued:
                self._missing.pop(name, None)
            else:
                self._missing.setdefault(name, now)
        lost = [x for x, since in self._missing.items() if now - since > LOST_SECONDS]
        for name in lost:
            del self._missing[name], self._jobs[name]
        return [Outcome(name, None) for name in lost]


def _new_folder(study: Path) -> Path:
    """New folder of a random name for submitit's files.

    It holds pickles, which run code when they are read: none that was there before, in
    the study of someone else, must have the name of one.
    """
    make_folder(study / "slurm")
    folder = study / "slurm" / secrets.token_hex(8)
    folder.mkdir(mode=0o700)
    return folder


class SlurmTrial:
    """A trial as a function that SLURM calls; submitit sends it as a pickle.

    Args:
        job: the trial.
    """

    def __init__(self, job: Job):
        self._job = job

    def __call__(self) -> int:
        """Trains; returns the exit code."""
        process = start_process(self._job)
        with _stopping_at_signals(process):
            return process.wait()


@contextmanager
def _stopping_at_signals(process: Process) -> Iterator[None]:
    """Context in which SLURM's signals stop a trial, which then saves its state."""

    def stop(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        stop_process(process)

    # In the place of submitit's handlers: the study submits a trial again, not the job.
    previous = {x: signal.signal(x, stop) for x in (signal.SIGTERM, signal.SIGUSR2)}
    try:
        yield
    finally:
        stop_process(process)
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def _parameters(options: EngineOptions) -> dict[str, object]:
    """Parameters of submitit."""
    extra: dict[str, object] = {"no_requeue": True}
    parameters: dict[str, object] = {
        "job_name": "syntony",
        "time": options.minutes,
        "cpus_per_task": options.cores,
        "array_parallelism": options.workers or DEFAULT_WORKERS,
        "signal_delay_s": SAVE_SECONDS,
        "stderr_to_stdout": True,
        "additional_parameters": extra,
    }
    if options.gpus:
        parameters["gpus_per_node"] = options.gpus
    if options.partition is not None:
        parameters["partition"] = options.partition
    return parameters


def _queued_jobs() -> set[str]:
    """Ids of this user's jobs that wait or run, as `ARRAY_INDEX`.

    Raises:
        OSError: there is no squeue.
    """
    command = ["squeue", "--noheader", "--array", "--format=%i"]
    return set(_call(*command, f"--user={os.getuid()}").split())


def _call(*command: str) -> str:
    """Output of a command of SLURM; empty if it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout
