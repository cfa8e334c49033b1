"""Engines, which run trials: on this machine, on a Ray cluster, or by SLURM."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from syntony.errors import InvalidInputError, unknown_name_error
from syntony.plugins import PREFIX, import_user_object
from syntony.studies.study_folder import StudyFolder
from syntony.studies.trial import Job, Outcome

ENGINES = ("local", "ray", "slurm")


@dataclass(frozen=True)
class EngineOptions:
    """Resources of trials, and where they run."""

    folder: StudyFolder
    """The study."""
    workers: int | None = None
    """Trials at a time; None: as many as there are cores for."""
    cores: int = 1
    """CPU cores of a trial."""
    gpus: int = 0
    """GPUs of a trial."""
    address: str | None = None
    """Address of a Ray cluster; None: one on this machine is started."""
    minutes: int = 60
    """Time limit of a SLURM job; a trial goes on in the next one."""
    partition: str | None = None
    """Partition of SLURM; None: its default."""


@runtime_checkable
class Engine(Protocol):
    """Runs jobs. A user's engine is a class whose argument are `EngineOptions`.

    The command of a job may be started again at any time, on any machine that sees the
    study folder: it continues the run in its folder.
    """

    @property
    def slots(self) -> int:
        """Jobs at a time."""
        ...

    @property
    def cores(self) -> int:
        """CPU cores that all of them use."""
        ...

    def submit(self, job: Job) -> None:
        """Begins a job."""
        ...

    def poll(self) -> list[Outcome]:
        """Outcomes of the jobs that have ended since the last call."""
        ...

    def stop(self, name: str) -> None:
        """Asks a job to save its state and end; `poll` tells when it has."""
        ...

    def close(self) -> None:
        """Ends all jobs that are left."""
        ...


def make_engine(name: str, options: EngineOptions) -> Engine:
    """The engine of a name: local, ray, slurm, or `python:MODULE:CLASS`.

    Raises:
        InvalidInputError: there is no such engine, or what it needs is missing.
    """
    if name.startswith(PREFIX):
        return _user_engine(name, options)
    if name not in ENGINES:
        raise unknown_name_error("engine", name, ENGINES)
    # Imported late: an engine needs the library that it is of.
    if name == "local":
        from syntony.studies.local_engine import LocalEngine

        return LocalEngine(options)
    if name == "ray":
        from syntony.studies.ray_engine import RayEngine

        return RayEngine(options)
    from syntony.studies.slurm_engine import SlurmEngine

    return SlurmEngine(options)


def missing_extra_error(library: str, extra: str) -> InvalidInputError:
    """Error for a library that is not installed."""
    return InvalidInputError(
        f"{library} is not installed; expected: pip install 'syntony[{extra}]'"
    )


def _user_engine(name: str, options: EngineOptions) -> Engine:
    made = import_user_object(name)
    engine = made(options) if callable(made) else None
    if not isinstance(engine, Engine):
        raise InvalidInputError(
            f"{name} makes no engine; expected a class with slots, cores, submit, "
            "poll, stop and close"
        )
    return engine
