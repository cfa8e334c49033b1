"""Scheduling of seeds: each is trained independently, one chunk at a time.

The number of parallel seeds, their devices and the order of their chunks have no
influence on the results.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from syntony.errors import (
    EnvironmentStepError,
    InvalidInputError,
    OutOfMemoryError,
    is_memory_error,
    summarize_exception,
)
from syntony.systems.system import DiagnosesNonFinite, System
from syntony.training.compiled import (
    BlackBoxError,
    ChunkStatus,
    CompiledPrograms,
    TrainState,
    reset_metric_sums,
)
from syntony.training.devices import DeviceSharding
from syntony.training.metrics_log import MetricsRow, means_with_intervals
from syntony.training.run_config import MAX_UPDATE_STEPS, RunConfig

TARGET_CHUNK_SECONDS = 1.0
"""Target duration of a chunk; training reacts to Ctrl-C between chunks."""
POLL_INTERVAL_SECONDS = 0.1
"""Interval at which the host checks for signals while it waits for workers."""
BACKUP_SECONDS = 30.0
"""Most seconds of training between the backup of a state and the state."""


ChunkError = InvalidInputError | EnvironmentStepError | OutOfMemoryError


class Backup(NamedTuple):
    """A training state of a seed that no chunk overwrites.

    A compiled chunk writes its result over the state that it is given, where it would
    otherwise copy it, replay buffer included. From the backup each later state can be
    computed again, with the same numbers.
    """

    train_state: TrainState
    step: int
    taken_at: float
    """Value of `time.monotonic()`."""
    num_updates: int = 0
    """Updates from here to the state of the seed."""


class SeedRun(NamedTuple):
    """Progress of one seed of a run, between two chunks."""

    seed: int
    train_state: TrainState | None = None
    """None before the start, and after a divergence."""
    step: int = 0
    next_eval_step: int | None = 0
    """Step of the next evaluation; None if the seed is done, or stopped by an error."""
    next_keep_step: int | None = None
    """Step of the next checkpoint that is kept; None: none is."""
    max_updates: int = 1
    """Most updates in the next chunk."""
    backup: Backup | None = None
    """Earlier state, where the next chunk may overwrite `train_state`; None: it may
    not."""

    def at_backup(self) -> "SeedRun":
        """This seed with a state that no chunk overwrites."""
        if self.backup is None:
            return self
        return self._replace(
            train_state=self.backup.train_state, step=self.backup.step, backup=None
        )

    def intact(self) -> "SeedRun":
        """This seed with a state that can be read: that of the backup, if need be."""
        return self.at_backup() if _is_overwritten(self.train_state) else self


class ChunkResult(NamedTuple):
    """Result of one chunk of a seed."""

    seed_run: SeedRun
    """Progress of the seed after the chunk."""
    metrics: MetricsRow | None
    """Metrics of the evaluation, if one was due."""
    kept_at: int | None = None
    """The multiple of `save_every` that was reached: its checkpoint is kept."""
    divergence: str = ""
    """The numbers that are not finite; empty if training did not diverge."""
    error: ChunkError | None = None
    """Error of the environment or the channel, if it failed, or too little memory."""


class SeedKeys(NamedTuple):
    """Independent random keys of a seed."""

    init: Key[Array, ""]
    training_eval: Key[Array, ""]
    """For evaluations during training; the step is folded in."""
    post_training_eval: Key[Array, ""]
    """For evaluations of a finished run; the number of the batch is folded in."""
    trials: Key[Array, ""]
    """For trials before the training, which choose settings."""


def seed_keys(seed: int) -> SeedKeys:
    """Random keys of a seed; they depend only on its number."""
    return SeedKeys(*jax.random.split(jax.random.key(seed), len(SeedKeys._fields)))


def schedule_seeds(
    config: RunConfig,
    seed_runs: dict[int, SeedRun],
    programs: Mapping[DeviceSharding, CompiledPrograms],
    idle_devices: list[DeviceSharding],
    pool: Executor,
    should_continue: Callable[[], bool],
    *,
    gives_up: Callable[[], bool] = lambda: False,
    overlap: bool = True,
) -> Iterator[ChunkResult]:
    """Yields the result of each chunk as workers finish them, until all seeds are done.

    The seed with the fewest steps is always advanced next: three seeds on two cores
    take one and a half times as long as two, not twice.

    Args:
        seed_runs: progress of each seed; updated in place after each chunk.
        programs: the compiled programs of each device.
        idle_devices: device of each worker.
        should_continue: called at least once per `POLL_INTERVAL_SECONDS`; once it
            returns false, no more chunks are started.
        gives_up: called while workers are waited for; once it returns true, their
            chunks are given up, which stay in progress.
        overlap: whether the next chunk of a seed may start before the caller has the
            result of the last; without, the caller may end a seed by its entry in
            `seed_runs`.
    """
    busy: dict[Future[ChunkResult], tuple[int, DeviceSharding]] = {}
    # Seeds that wait for a worker would have two states each in memory.
    keeps_backups = len(seed_runs) <= len(idle_devices)
    results: list[ChunkResult] = []
    while True:
        if not overlap:
            yield from results
            results = []
        running = {seed for seed, _ in busy.values()}
        waiting = [x for x in seed_runs.values() if x.next_eval_step is not None]
        waiting = [x for x in waiting if x.seed not in running]
        start_more = should_continue()
        for seed_run in sorted(waiting, key=lambda seed_run: seed_run.step):
            if idle_devices and start_more:
                device = idle_devices.pop()
                future = pool.submit(
                    advance_seed, config, seed_run, programs[device], device
                )
                busy[future] = (seed_run.seed, device)
        # After the workers are started: the caller may spend time on the results.
        yield from results
        if not busy:
            return
        done, _ = wait(busy, POLL_INTERVAL_SECONDS, FIRST_COMPLETED)
        if not done and gives_up():
            return
        idle_devices += [busy.pop(future)[1] for future in done]
        results = [future.result() for future in done]
        if not keeps_backups:
            results = [_without_backup(result) for result in results]
        seed_runs.update({x.seed_run.seed: x.seed_run for x in results})


def advance_seed(
    config: RunConfig,
    seed_run: SeedRun,
    programs: CompiledPrograms,
    device: DeviceSharding,
) -> ChunkResult:
    """Trains one seed for a chunk, and evaluates it if that is due.

    Where memory is short, the result has the state before the chunk, or its backup.
    """
    try:
        return _advance_seed(config, seed_run, programs, device)
    except Exception as error:
        if not is_memory_error(error):
            raise
        message = f"out of memory: {summarize_exception(error)}"
        seed_run = seed_run.intact()
        return _error_result(seed_run, seed_run.step, OutOfMemoryError(message))


def _advance_seed(
    config: RunConfig,
    seed_run: SeedRun,
    programs: CompiledPrograms,
    device: DeviceSharding,
) -> ChunkResult:
    before = _train_state_on(config.system, seed_run, programs, device)
    backup = _fresh_backup(config.system, seed_run, before)
    given = _given_state(config.system, backup, before, device)
    start = time.perf_counter()
    bounds = np.int32(_chunk_end(seed_run)), np.int32(seed_run.max_updates)
    try:
        train_state, status = programs.train_chunk(config.system, given, *bounds)
    except BlackBoxError as error:
        step = int(config.system.num_steps(error.train_state.state))
        seed_run = seed_run._replace(train_state=error.train_state, step=step)
        return _error_result(seed_run, step, error.error)
    status = jax.device_get(status)
    seconds, step = time.perf_counter() - start, int(status.step)
    _check_progress(seed_run, step)
    num_updates = int(status.num_updates)
    backup = backup._replace(num_updates=backup.num_updates + num_updates)
    if not status.is_finite:
        return _divergence_result(
            config.system, seed_run, backup, status, programs, device
        )
    updated = seed_run._replace(
        train_state=train_state,
        step=step,
        max_updates=_next_max_updates(seed_run.max_updates, num_updates, seconds),
        next_keep_step=next_keep_after(config, step),
        backup=backup if config.system.jittable else None,
    )
    result = ChunkResult(updated, None, _kept_at(config, seed_run, step))
    assert seed_run.next_eval_step is not None
    if status.is_done or step >= seed_run.next_eval_step:
        before_chunk = seed_run._replace(backup=backup)
        return _evaluated(config, before_chunk, result, status, programs, device)
    # What is recorded, while the next chunk runs, becomes the backup of that one.
    return result if result.kept_at is None else _without_backup(result)


def _evaluated(
    config: RunConfig,
    before_chunk: SeedRun,
    result: ChunkResult,
    status: ChunkStatus,
    programs: CompiledPrograms,
    device: DeviceSharding,
) -> ChunkResult:
    """Result of a chunk with its evaluation.

    Args:
        config: of the run.
        before_chunk: progress of the seed before the chunk.
        result: result of the chunk.
        status: summary of the chunk.
        programs: compiled programs.
        device: of this seed.
    """
    step = result.seed_run.step
    next_eval_step = None if status.is_done else next_eval_after(config, step)
    updated = result.seed_run._replace(next_eval_step=next_eval_step)
    train_state = updated.train_state
    assert train_state is not None
    try:
        metrics = _evaluate_seed(config, updated, train_state, programs, device)
    except (InvalidInputError, EnvironmentStepError) as error:
        # A state before the chunk: a resumed run then repeats the evaluation.
        return _error_result(before_chunk.intact(), step, error)
    # It is recorded while the next chunk runs, and becomes the backup of that one.
    seed_run = updated._replace(train_state=reset_metric_sums(train_state), backup=None)
    return result._replace(seed_run=seed_run, metrics=metrics)


def _without_backup(result: ChunkResult) -> ChunkResult:
    return result._replace(seed_run=result.seed_run._replace(backup=None))


def _fresh_backup(system: System, seed_run: SeedRun, before: TrainState) -> Backup:
    """The backup of a seed; the state before the chunk if there is none, or an old one.

    Where a host trains, states are not overwritten, and that state is at hand.
    """
    known, now = seed_run.backup, time.monotonic()
    if system.jittable and known and now - known.taken_at < BACKUP_SECONDS:
        return known
    return Backup(before, seed_run.step, now)


def _given_state(
    system: System, backup: Backup, before: TrainState, device: DeviceSharding
) -> TrainState:
    """The state that a chunk is given, which it overwrites; never the backup itself."""
    is_backup = backup.train_state is before
    return _copy(before, device) if is_backup and system.jittable else before


def _copy(train_state: TrainState, device: DeviceSharding) -> TrainState:
    return jax.device_put(train_state, device, may_alias=False)


def _is_overwritten(train_state: TrainState | None) -> bool:
    leaves = [x for x in jax.tree.leaves(train_state) if isinstance(x, jax.Array)]
    return any(x.is_deleted() for x in leaves)


def _check_progress(seed_run: SeedRun, step: int) -> None:
    """Raises InvalidInputError if the counter of steps went backwards."""
    if step < seed_run.step:
        raise InvalidInputError(
            f"seed {seed_run.seed} went from step {seed_run.step:,} to {step:,}: one "
            f"update takes more than {MAX_UPDATE_STEPS:,} steps; expected fewer, e.g. "
            "by --num-envs"
        )


def _chunk_end(seed_run: SeedRun) -> int:
    """Step at which the next chunk ends: an evaluation, or a checkpoint to keep."""
    ends = seed_run.next_eval_step, seed_run.next_keep_step
    return min(step for step in ends if step is not None)


def _kept_at(config: RunConfig, before: SeedRun, step: int) -> int | None:
    """Multiple of `save_every` that a chunk has reached; None if it reached none."""
    if before.next_keep_step is None or step < before.next_keep_step:
        return None
    assert config.save_every is not None
    return step // config.save_every * config.save_every


def _train_state_on(
    system: System,
    seed_run: SeedRun,
    programs: CompiledPrograms,
    device: DeviceSharding,
) -> TrainState:
    """Training state of a seed on a device; a new one before the first chunk."""
    train_state = seed_run.train_state
    if train_state is None:
        key = jax.device_put(seed_keys(seed_run.seed).init, device)
        train_state = programs.init(system, key)
    return jax.device_put(train_state, device)


def _divergence_result(
    system: System,
    seed_run: SeedRun,
    backup: Backup,
    status: ChunkStatus,
    programs: CompiledPrograms,
    device: DeviceSharding,
) -> ChunkResult:
    """Result of a chunk in which a number became not finite."""
    seed_run = seed_run._replace(backup=None)
    if task_error := _find_task_error(system, backup, status, programs, device):
        train_state, step, error = task_error
        seed_run = seed_run._replace(train_state=train_state, step=step)
        return _error_result(seed_run, step, error)
    diverged = seed_run._replace(
        train_state=None, step=int(status.step), next_eval_step=None
    )
    return ChunkResult(diverged, None, divergence=_describe_divergence(status))


def _error_result(seed_run: SeedRun, step: int, error: ChunkError) -> ChunkResult:
    # The seed stops until the run is resumed.
    stopped = seed_run._replace(next_eval_step=None)
    return ChunkResult(stopped, None, error=type(error)(f"step {step}: {error}"))


def _find_task_error(
    system: System,
    backup: Backup,
    status: ChunkStatus,
    programs: CompiledPrograms,
    device: DeviceSharding,
) -> tuple[TrainState, int, EnvironmentStepError] | None:
    """State and step before the update that diverged, and the error of its task.

    None if the numbers of the task are finite: then the training itself diverged.

    Args:
        backup: a state before the chunk, with the updates up to the end of it.
        status: summary of the chunk, whose last update diverged.
    """
    if not isinstance(system, DiagnosesNonFinite):
        return None
    bounds = np.int32(status.step), np.int32(backup.num_updates - 1)
    start = _given_state(system, backup, backup.train_state, device)
    last, _ = programs.train_chunk(system, start, *bounds)
    message = system.diagnose(last.state)
    if not message:
        return None
    return last, int(system.num_steps(last.state)), EnvironmentStepError(message)


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
    nonfinite = [name for name, x in samples.items() if not np.isfinite(x).all()]
    if isinstance(config.system, DiagnosesNonFinite) and nonfinite:
        message = f"the evaluation's {nonfinite[0]} is not finite"
        raise EnvironmentStepError(config.system.diagnose(train_state.state) or message)
    return means_with_intervals(samples) | mean_train_metrics(train_state)


def next_eval_after(config: RunConfig, step: int) -> int | None:
    """Step of the next evaluation after `step`; None at the end of the training."""
    if step >= config.steps:
        return None
    return min((step // config.eval_every + 1) * config.eval_every, config.steps)


def next_keep_after(config: RunConfig, step: int) -> int | None:
    """Step of the next checkpoint that is kept after `step`; None if none are."""
    if config.save_every is None:
        return None
    return (step // config.save_every + 1) * config.save_every


def mean_train_metrics(train_state: TrainState) -> MetricsRow:
    """Training metrics, averaged over the updates since the last evaluation."""
    num_updates = int(train_state.num_updates)
    if num_updates == 0:
        return {}
    sums, low = jax.device_get((train_state.metric_sums, train_state.metric_sums_low))
    return {
        name: (float(x) + float(low[name])) / num_updates for name, x in sums.items()
    }


def _next_max_updates(max_updates: int, num_updates: int, seconds: float) -> int:
    """Number of updates that take `TARGET_CHUNK_SECONDS` at the last chunk's speed.

    Grows by a factor of 10 at most.

    Args:
        max_updates: the bound of the last chunk.
        num_updates: updates in the last chunk.
        seconds: its duration.
    """
    if num_updates == 0:
        return max_updates
    target = int(num_updates / seconds * TARGET_CHUNK_SECONDS)
    return max(1, min(target, 10 * max_updates))


def _describe_divergence(status: ChunkStatus) -> str:
    """Names the metrics that are not finite; if all are finite, it is a parameter."""
    names = [
        name for name, value in status.last_metrics.items() if not np.isfinite(value)
    ]
    texts = [f"{name} is {float(status.last_metrics[name])}" for name in names[:3]]
    return ", ".join(texts) or "a weight is not finite"
