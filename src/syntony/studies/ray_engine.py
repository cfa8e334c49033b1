"""Engine of a Ray cluster: one task for each trial.

The study folder should be on a file system that all nodes share: then a trial whose
node is lost goes on from its checkpoint on another one. On a node that does not see the
folder a trial runs in a temporary one, and its files come back as an object.
"""

import io
import os
import secrets
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from syntony.errors import InvalidInputError
from syntony.studies.engine import EngineOptions, missing_extra_error
from syntony.studies.processes import run_to_end
from syntony.studies.trial import Job, Outcome
from syntony.training.atomic_io import atomic_write_bytes
from syntony.training.safe_io import open_untrusted

if TYPE_CHECKING:
    import ray

INHERITED = ("PYTHONPATH", "XLA_FLAGS")
INHERITED_PREFIXES = ("JAX_", "XDG_", "SYNTONY_")
"""Environment variables of this process that trials on other nodes have as well."""
TOKEN_FILE = ".shared"
"""File of the study folder by which a node knows whether it sees that folder."""
STOPPED = 143
"""Exit code of a trial that was stopped."""
MAX_TOKEN_BYTES = 100
OBJECT_STORE_BYTES = 100_000_000
"""Memory for objects of a cluster that is started here: trials return few bytes."""


class TaskResult(NamedTuple):
    """Result of a task."""

    outcome: Outcome
    files: bytes
    """Archive of the run folder, where the node does not see the study; else empty."""


class RayEngine:
    """Runs each trial as a task of Ray, spread over the nodes.

    Raises:
        InvalidInputError: Ray is not installed.
    """

    def __init__(self, options: EngineOptions):
        try:
            import ray
        except ImportError:
            raise missing_extra_error("Ray", "ray") from None
        self._ray, self._options = ray, options
        self._jobs: dict[ray.ObjectRef, Job] = {}
        self._stopped: set[str] = set()
        self._started = not ray.is_initialized()
        if self._started:
            _connect(options.address)
        self._token = secrets.token_hex(16)
        folder = options.folder.path.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(folder / TOKEN_FILE, self._token.encode())
        self._task = ray.remote(
            num_cpus=options.cores,
            num_gpus=options.gpus,
            # A lost trial is submitted again by the study, which counts it.
            max_retries=0,
            scheduling_strategy="SPREAD",
        )(run_task)

    @property
    def slots(self) -> int:
        if self._options.workers is not None:
            return self._options.workers
        return max(1, self._cluster_cores() // self._options.cores)

    @property
    def cores(self) -> int:
        return min(self.slots * self._options.cores, self._cluster_cores())

    def submit(self, job: Job) -> None:
        folder = self._options.folder.path.absolute()
        self._jobs[self._task.remote(job, folder, self._token)] = job

    def poll(self) -> list[Outcome]:
        if not self._jobs:
            return []
        refs = [*self._jobs]
        ended, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0.0)
        return [self._outcome(ref, self._jobs.pop(ref)) for ref in ended]

    def stop(self, name: str) -> None:
        if name in self._stopped:
            return
        self._stopped.add(name)
        for ref, job in self._jobs.items():
            if job.name == name:
                self._ray.cancel(ref)

    def close(self) -> None:
        for ref in self._jobs:
            self._ray.cancel(ref)
        self._jobs.clear()
        if self._started:
            self._ray.shutdown()

    def _cluster_cores(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 1))

    def _outcome(self, ref: "ray.ObjectRef", job: Job) -> Outcome:
        """Outcome of a task that has ended, or whose node or worker was lost."""
        was_stopped = job.name in self._stopped
        self._stopped.discard(job.name)
        try:
            result = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            return Outcome(job.name, 1, str(error.cause))
        except self._ray.exceptions.RayError:
            return Outcome(job.name, STOPPED if was_stopped else None)
        if result.files:
            unpack(result.files, job.run)
        return result.outcome


def run_task(job: Job, folder: Path, token: str) -> TaskResult:
    """Runs a trial on a node.

    Args:
        job: the trial.
        folder: the study folder.
        token: content of a file there, if this node sees it.
    """
    if _sees(folder, token):
        return TaskResult(run_to_end(job), b"")
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        outcome = run_to_end(job._replace(log=Path(name) / "log"), run=run)
        return TaskResult(outcome, pack(run))


def pack(run: Path) -> bytes:
    """Archive of a run folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        if run.exists():
            archive.add(run, ".")
    return stream.getvalue()


def unpack(files: bytes, run: Path) -> None:
    """Writes the files of an archive into a run folder."""
    with tarfile.open(fileobj=io.BytesIO(files)) as archive:
        archive.extractall(run, filter="data")


def _sees(folder: Path, token: str) -> bool:
    try:
        with open_untrusted(folder / TOKEN_FILE, MAX_TOKEN_BYTES) as file:
            return file.read().decode(errors="replace") == token
    except (OSError, InvalidInputError):
        return False


def _connect(address: str | None) -> None:
    """Joins a cluster, or starts one on this machine."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    variables = {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }
    local = {} if address else {"object_store_memory": OBJECT_STORE_BYTES}
    ray.init(
        address=address,
        include_dashboard=False if address is None else None,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": variables},
        **local,
    )
