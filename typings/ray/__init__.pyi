"""The functions of Ray that are used: an extra, which type checks do without."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray import exceptions as exceptions

class ObjectRef: ...

class RemoteFunction:
    def remote(self, *args: object) -> ObjectRef: ...

def init(
    address: str | None = ...,
    *,
    num_cpus: int = ...,
    object_store_memory: int = ...,
    include_dashboard: bool | None = ...,
    log_to_driver: bool = ...,
    logging_level: str = ...,
    runtime_env: Mapping[str, object] = ...,
) -> object: ...
def is_initialized() -> bool: ...
def shutdown() -> None: ...
def remote(
    *, num_cpus: int, num_gpus: int, max_retries: int, scheduling_strategy: str
) -> Callable[[Callable[..., object]], RemoteFunction]: ...
def wait(
    refs: Sequence[ObjectRef], *, num_returns: int, timeout: float
) -> tuple[list[ObjectRef], list[ObjectRef]]: ...

# Whatever the task returned.
def get(ref: ObjectRef) -> Any: ...
def cancel(ref: ObjectRef) -> None: ...
def cluster_resources() -> dict[str, float]: ...
