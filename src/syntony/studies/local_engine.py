"""Engine of this machine: one process for each trial.

A pool of workers would lose the trials of others when one worker is killed.
"""

import os
from typing import NamedTuple

from syntony.errors import InvalidInputError
from syntony.studies.engine import EngineOptions
from syntony.studies.processes import (
    CORES_VARIABLE,
    Process,
    outcome_of,
    start_process,
    stop_process,
)
from syntony.studies.trial import Job, Outcome
from syntony.training.devices import process_cpu_count


class Slot(NamedTuple):
    """A running trial, and which part of the machine it has."""

    number: int
    job: Job
    process: Process


class LocalEngine:
    """Runs each trial as a process, on CPU cores and GPUs of its own."""

    def __init__(self, options: EngineOptions):
        self._options = options
        total = process_cpu_count()
        if not 1 <= options.cores <= total:
            raise InvalidInputError(
                f"cores is {options.cores}; expected 1 to {total}, as many as there are"
            )
        fitting = total // options.cores
        if options.gpus:
            fitting = len(visible_gpus()) // options.gpus
        if fitting < 1:
            raise InvalidInputError(
                f"gpus is {options.gpus}; expected at most {len(visible_gpus())}, "
                "those of this machine"
            )
        self._slots = options.workers or fitting
        self._is_shared = self._slots * options.cores > total
        self._running: dict[str, Slot] = {}

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def cores(self) -> int:
        return min(self._slots * self._options.cores, process_cpu_count())

    def submit(self, job: Job) -> None:
        used = {slot.number for slot in self._running.values()}
        number = next(n for n in range(self._slots) if n not in used)
        process = start_process(job, environment=self._environment(number))
        self._running[job.name] = Slot(number, job, process)

    def poll(self) -> list[Outcome]:
        codes = {name: x.process.poll() for name, x in self._running.items()}
        ended = {name: code for name, code in codes.items() if code is not None}
        outcomes = [outcome_of(self._running[name].job, c) for name, c in ended.items()]
        for name in ended:
            stop_process(self._running.pop(name).process)
        return outcomes

    def stop(self, name: str) -> None:
        stop_process(self._running[name].process)

    def close(self) -> None:
        for slot in self._running.values():
            slot.process.kill()
            slot.process.wait()
            stop_process(slot.process)
        self._running.clear()

    def _environment(self, number: int) -> dict[str, str]:
        """Variables with the cores and GPUs of a slot."""
        cores, gpus = self._options.cores, self._options.gpus
        variables: dict[str, str] = {}
        if not self._is_shared and hasattr(os, "sched_getaffinity"):
            known = sorted(os.sched_getaffinity(0))[number * cores :][:cores]
            variables[CORES_VARIABLE] = ",".join(map(str, known))
        if gpus:
            own = visible_gpus()[number * gpus :][:gpus]
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(own)
        return variables


def visible_gpus() -> list[str]:
    """Numbers of the NVIDIA GPUs that this process may use."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [x for x in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if x]
    try:
        return [str(i) for i, _ in enumerate(os.listdir("/proc/driver/nvidia/gpus"))]
    except OSError:
        return []
