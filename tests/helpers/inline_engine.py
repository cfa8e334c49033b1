"""An engine of a user: it trains in the process of the study, one trial at a time."""

from syntony.cli import main
from syntony.studies.engine import EngineOptions
from syntony.studies.trial import Job, Outcome


class InlineEngine:
    """Trains a trial at each look at it."""

    slots, cores = 1, 1

    def __init__(self, options: EngineOptions):
        del options
        self._jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def poll(self) -> list[Outcome]:
        ended = [self._train(job) for job in self._jobs]
        self._jobs.clear()
        return ended

    def stop(self, name: str) -> None:
        self._jobs = [job for job in self._jobs if job.name != name]

    def close(self) -> None:
        self._jobs.clear()

    def _train(self, job: Job) -> Outcome:
        return Outcome(job.name, main(["train", *job.arguments, "--out", str(job.run)]))
