"""The process of a trial: its start, its stop and how it ended."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from syntony.errors import InvalidInputError, visible
from syntony.studies.trial import Job, Outcome
from syntony.training.atomic_io import open_to_append
from syntony.training.folder_walk import MAX_ARRAY_BYTES
from syntony.training.safe_io import open_untrusted

CORES_VARIABLE = "SYNTONY_TRIAL_CORES"
"""Environment variable with the numbers of the CPU cores of a trial."""
MAX_TAIL_BYTES = 10_000
"""Bytes at the end of a log in which the error is looked for."""
MAX_ERROR = 400
"""Most characters of an error."""
Process = subprocess.Popen[bytes]


def start_process(
    job: Job, *, run: Path | None = None, environment: Mapping[str, str] | None = None
) -> Process:
    """Starts the command of a job, in a session of its own.

    Ctrl-C in the terminal does not reach it: who starts it stops it.

    Args:
        job: the job; what it prints is appended to its log.
        run: another run folder.
        environment: variables in addition to those of this process.
    """
    with open_to_append(job.log) as log:
        return subprocess.Popen(
            job.command(run),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=job.folder if job.folder.is_dir() else None,
            env={**os.environ, **(environment or {})},
        )


def stop_process(process: Process) -> None:
    """Asks a trial to save its state and end."""
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()


def outcome_of(job: Job, code: int) -> Outcome:
    """Outcome of a command that has ended."""
    return Outcome(job.name, code, "" if code == 0 else last_line(job.log))


def last_line(log: Path) -> str:
    """Last line of a log that is not empty, without `syntony:` before it."""
    try:
        with open_untrusted(log, MAX_ARRAY_BYTES) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MAX_TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except (OSError, InvalidInputError):
        return ""
    texts = [line.strip() for line in lines if line.strip()]
    line = texts[-1].removeprefix("syntony: ") if texts else ""
    return visible(line[:MAX_ERROR])


def run_to_end(job: Job, *, run: Path | None = None) -> Outcome:
    """Runs a job in this process's place, e.g. as a task of a cluster.

    If this call is interrupted, the trial is stopped, and its state saved.
    """
    process = start_process(job, run=run)
    try:
        return outcome_of(job, process.wait())
    finally:
        stop_process(process)
        process.wait()
