"""Seeds that learn side by side, each on its own, a chunk at a time.

How many run together, where, and in which order they take turns has no influence on
what any of them computes.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.system import System
from syntony.training.compiled import (
    BlackBoxError,
    ChunkStatus,
    CompiledPrograms,
    TrainState,
    reset_metric_sums,
)
from syntony.training.devices import DeviceSharding
from syntony.training.metrics_log import MetricsRow, means_with_intervals
from syntony.training.run_config import RunConfig

TARGET_CHUNK_SECONDS = 1.0
"""How long a chunk should take: as long as Ctrl-C may have to wait."""
POLL_INTERVAL_SECONDS = 0.1
"""How often the host looks up from waiting."""


class SeedRun(NamedTuple):
    """One seed of a run, between two chunks."""

    seed: int
    train_state: TrainState | None = None
    """None before the start, and after a divergence."""
    step: int = 0
    next_eval_step: int | None = 0
    """Where the next evaluation is due; None when the seed is done."""
    max_updates: int = 1
    """Updates in the next chunk."""


class ChunkResult(NamedTuple):
    """What a worker brings back from one chunk."""

    seed_run: SeedRun
    """The seed as it now is."""
    metrics: MetricsRow | None
    """What an evaluation found, if one was due."""
    divergence: str = ""
    """What was not finite, if something was."""
    error: InvalidInputError | EnvironmentStepError | None = None
    """What a black box failed with, if it did."""


class SeedKeys(NamedTuple):
    """The sources of chance of a seed: no use of one disturbs another."""

    init: Key[Array, ""]
    training_eval: Key[Array, ""]
    """For evaluations during training; folded with the step."""
    post_training_eval: Key[Array, ""]
    """For evaluations of a run that exists; folded with a count."""


def seed_keys(seed: int) -> SeedKeys:
    """Returns the keys of a seed, which depend on nothing but its number."""
    return SeedKeys(*jax.random.split(jax.random.key(seed), len(SeedKeys._fields)))


def schedule_seeds(
    config: RunConfig,
    seed_runs: dict[int, SeedRun],
    programs: Mapping[DeviceSharding, CompiledPrograms],
    idle_devices: list[DeviceSharding],
    pool: Executor,
    should_continue: Callable[[], bool],
) -> Iterator[ChunkResult]:
    """Yields the legs of all lanes as workers finish them, until all are done.

    The lane that is furthest behind always goes next: three seeds on two cores take
    one and a half times as long as two, not twice.

    Args:
        lanes: updated in place with each leg.
        idle: a place for each worker.
        going: called often; once it says no, no more legs are started.
    """
    busy: dict[Future[ChunkResult], tuple[int, DeviceSharding]] = {}
    legs: list[ChunkResult] = []
    while True:
        running = {seed for seed, _ in busy.values()}
        waiting = [x for x in seed_runs.values() if x.next_eval_step is not None]
        waiting = [x for x in waiting if x.seed not in running]
        more = should_continue()
        for lane in sorted(waiting, key=lambda lane: lane.step):
            if idle_devices and more:
                place = idle_devices.pop()
                future = pool.submit(advance_seed, config, lane, programs[place], place)
                busy[future] = (lane.seed, place)
        # Only now, when all workers work again, the host may take its time.
        yield from legs
        if not busy:
            return
        done, _ = wait(busy, POLL_INTERVAL_SECONDS, FIRST_COMPLETED)
        idle_devices += [busy.pop(future)[1] for future in done]
        legs = [future.result() for future in done]
        seed_runs.update({leg.seed_run.seed: leg.seed_run for leg in legs})


def advance_seed(
    config: RunConfig,
    seed_run: SeedRun,
    programs: CompiledPrograms,
    device: DeviceSharding,
) -> ChunkResult:
    """Advances one seed by a chunk, and measures it where that is due."""
    assert seed_run.next_eval_step is not None
    progress = seed_run.train_state
    if progress is None:
        key = jax.device_put(seed_keys(seed_run.seed).init, device)
        progress = programs.init(config.system, key)
    progress = jax.device_put(progress, device)

    before, began = progress, time.perf_counter()
    bounds = np.int32(seed_run.next_eval_step), np.int32(seed_run.max_updates)
    try:
        progress, chunk = programs.train_chunk(config.system, progress, *bounds)
    except BlackBoxError as failure:
        step = int(config.system.num_steps(failure.train_state.state))
        seed_run = seed_run._replace(train_state=failure.train_state, step=step)
        return _error_result(seed_run, step, failure.error)
    chunk = jax.device_get(chunk)
    most = _next_max_updates(
        seed_run.max_updates, int(chunk.num_updates), time.perf_counter() - began
    )

    step = int(chunk.step)
    if not chunk.is_finite:
        if fault := _find_task_error(config.system, before, chunk, programs):
            last, step, failure = fault
            return _error_result(
                seed_run._replace(train_state=last, step=step), step, failure
            )
        ended = seed_run._replace(train_state=None, step=step, next_eval_step=None)
        return ChunkResult(ended, None, divergence=_describe_divergence(chunk))
    due = chunk.is_done or step >= seed_run.next_eval_step
    learned = seed_run._replace(train_state=progress, step=step, max_updates=most)
    if not due:
        return ChunkResult(learned, None)
    try:
        found = _evaluate_seed(config, learned, progress, programs, device)
    except (InvalidInputError, EnvironmentStepError) as failure:
        # Back to before the chunk: when it is learned again, it is measured as well.
        return _error_result(seed_run, step, failure)
    until = None if chunk.is_done else next_eval_after(config, step)
    return ChunkResult(
        learned._replace(train_state=reset_metric_sums(progress), next_eval_step=until),
        found,
    )


def _error_result(
    seed_run: SeedRun, step: int, error: InvalidInputError | EnvironmentStepError
) -> ChunkResult:
    # Nothing is left to do for this seed until the run is resumed.
    stopped = seed_run._replace(next_eval_step=None)
    return ChunkResult(stopped, None, error=type(error)(f"step {step}: {error}"))


def _find_task_error(
    system: System,
    train_state: TrainState,
    status: ChunkStatus,
    programs: CompiledPrograms,
) -> tuple[TrainState, int, EnvironmentStepError] | None:
    """Returns where the update began that diverged, and what the task did in it.

    None if the task did nothing wrong: then learning has.
    """
    if not isinstance(system, MultiAgentSystem) or system.has_external_env:
        return None
    most = np.int32(int(status.num_updates) - 1)
    last, _ = programs.train_chunk(system, train_state, np.int32(status.step), most)
    fault = system.diagnose(last.state)
    if not fault:
        return None
    return last, int(system.num_steps(last.state)), EnvironmentStepError(fault)


def _evaluate_seed(
    config: RunConfig,
    seed_run: SeedRun,
    train_state: TrainState,
    programs: CompiledPrograms,
    device: DeviceSharding,
) -> MetricsRow:
    key = jax.random.fold_in(seed_keys(seed_run.seed).training_eval, seed_run.step)
    samples = programs.evaluate(
        config.system, train_state.state, jax.device_put(key, device)
    )
    samples = jax.device_get(samples)
    if isinstance(config.system, MultiAgentSystem) and not all(
        map(_all_finite, samples.values())
    ):
        general = f"environment {config.system.task.id}: a return is not finite"
        raise EnvironmentStepError(config.system.diagnose(train_state.state) or general)
    return means_with_intervals(samples) | mean_train_metrics(train_state)


def _all_finite(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all())


def next_eval_after(config: RunConfig, step: int) -> int | None:
    """Returns where a seed at `step` is to be evaluated next; None at its end."""
    if step >= config.steps:
        return None
    return min((step // config.eval_every + 1) * config.eval_every, config.steps)


def mean_train_metrics(train_state: TrainState) -> MetricsRow:
    """Returns what the updates since the last evaluation reported, on average."""
    updates = int(train_state.num_updates)
    if updates == 0:
        return {}
    sums = jax.device_get(train_state.metric_sums)
    return {name: float(total) / updates for name, total in sums.items()}


def _next_max_updates(max_updates: int, num_updates: int, seconds: float) -> int:
    """Returns the updates that fill a chunk, judged by those that `seconds` took."""
    if num_updates == 0:
        return max_updates
    return max(
        1, min(int(num_updates / seconds * TARGET_CHUNK_SECONDS), 10 * max_updates)
    )


def _describe_divergence(status: ChunkStatus) -> str:
    """Says what diverged; where every loss is finite, it was a weight."""
    names = [
        name for name, value in status.last_metrics.items() if not np.isfinite(value)
    ]
    found = [f"{name} is {float(status.last_metrics[name])}" for name in names[:3]]
    return ", ".join(found) or "a weight is not finite"
