"""The functions of submitit that are used: an extra, which type checks do without."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

ResultT = TypeVar("ResultT")

class JobPaths:
    result_pickle: Path

class Job(Generic[ResultT]):
    job_id: str
    paths: JobPaths
    def result(self) -> ResultT: ...
    def exception(self) -> Exception | None: ...

class SlurmExecutor:
    def __init__(self, *, folder: Path, max_num_timeout: int) -> None: ...
    def update_parameters(self, **parameters: object) -> None: ...
    def submit_array(
        self, functions: Sequence[Callable[[], ResultT]]
    ) -> list[Job[ResultT]]: ...
