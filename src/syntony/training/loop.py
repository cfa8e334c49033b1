"""The training loop on the host, for all systems and seeds."""

import dataclasses
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, wait
from functools import partial
from pathlib import Path
from typing import NamedTuple

from syntony.channels.black_box import try_out
from syntony.channels.missing import require_channel
from syntony.errors import InvalidInputError
from syntony.jax_settings import (
    make_thread_pool,
    standard_jax_settings,
)
from syntony.systems.registry import system_label
from syntony.systems.system import (
    ChoosesSettings,
    HasChannel,
    System,
    closing_black_box,
)
from syntony.training import checkpoint, loggers, metrics_log
from syntony.training.callbacks import Callback, CallbackRunner, check_callbacks
from syntony.training.channel_monitor import monitored
from syntony.training.compiled import (
    CompiledPrograms,
    abstract_train_state,
    compile_programs,
)
from syntony.training.devices import (
    DeviceSharding,
    describe_devices,
    worker_devices,
)
from syntony.training.integrity import count_starts, settings_digest
from syntony.training.kept_checkpoints import check_best_metric
from syntony.training.locks import HeldLock, RunMovedError
from syntony.training.memory import (
    InsufficientMemoryError,
    check_disk,
    check_memory,
    check_programs,
    describe_kept,
)
from syntony.training.progress import ProgressDisplay
from syntony.training.provenance import collect_provenance
from syntony.training.recorder import (
    STOPPED_SEEDS_FIELD,
    RunIdentity,
    RunRecorder,
    stopped_seeds,
)
from syntony.training.run import Run, load_run_config
from syntony.training.run_config import (
    INITIAL_STEPS,
    RunConfig,
    diff_settings,
    initial_steps,
    resolve_steps,
    run_config_to_dict,
    task_and_channel_id,
    with_stored_choices,
    with_stored_keeping,
)
from syntony.training.run_folder import RunFolder, next_free_path, open_run_folder
from syntony.training.safe_io import JsonObject
from syntony.training.seed_scheduler import (
    POLL_INTERVAL_SECONDS,
    ChunkResult,
    SeedRun,
    next_eval_after,
    next_keep_after,
    schedule_seeds,
    seed_keys,
)
from syntony.training.sessions import begin_session
from syntony.training.signals import (
    SaveError,
    TrainingDivergedError,
    handle_signals,
)
from syntony.training.start_weights import (
    STARTED_FROM,
    StartWeights,
    check_same_start,
    initial_states,
    make_start,
)
from syntony.training.trust import remember_trained
from syntony.training.verification import SEAL_KEY, find_damage, warn_of_damage


@standard_jax_settings()
def train(
    system: System,
    *,
    steps: int,
    seeds: int | Sequence[int] = 1,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    eval_every: int = 50_000,
    eval_episodes: int = 100,
    preset: str = "",
    save_every: int | None = None,
    keep_best: bool = False,
    start_from: Run | str | Path | None = None,
    start_part: str | None = None,
    quiet: bool = False,
    tensorboard: bool = False,
    wandb: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Trains a system with one or more seeds and writes a run folder.

    If the folder contains a run with the same settings, that run is resumed.

    Args:
        system: the system to train.
        steps: training length of each seed, in units of `system.step_unit`. Settings
            that follow from it are resolved at the first start and do not change when
            the run is resumed, also with more steps.
        seeds: number of seeds, each an independent training; or the seeds themselves,
            e.g. `[0, 4, 7]`.
        seed: the first seed of a number of seeds.
        out: the run folder; by default a new one in `runs/`.
        eval_every: steps between evaluations.
        eval_episodes: episodes per evaluation.
        preset: name of the preset of the settings; stored in `settings.json`.
        save_every: steps between the checkpoints that are kept, for `load(path,
            checkpoint=step)`; by default only the newest ones stay.
        keep_best: whether to keep each seed's checkpoint with the best evaluation so
            far: of the highest `eval/return_mean`, or the lowest `eval/bler`; of equal
            ones the first.
        start_from: a run, or its folder, whose weights the training starts from, e.g.
            `load("runs/small", checkpoint="best")`. Seed i starts from its seed i, or
            from its first where it has no such seed; optimizer states, counters and
            replay buffers are new. Networks must have the same sizes.
        start_part: the part of those weights that is taken, e.g. "receiver"; by default
            all.
        quiet: whether to print nothing.
        tensorboard: whether to log to the run's `tensorboard/`, for TensorBoard.
        wandb: whether to log to Weights & Biases.
        callbacks: functions `f(run, step, metrics)`, called at every evaluation of
            each seed. `metrics` is the row of the metrics log, with `seed`; the
            present state of the seed is `run.states[metrics["seed"]]`. A dict that is
            returned, of names with a slash and finite numbers or None, is logged in
            the same row. `StopTraining` ends the training of the seed as done: its
            state is saved, and a resumed run goes on with it only if it has more
            steps. The other seeds go on.

    Returns:
        The finished run.

    Raises:
        InvalidInputError: a setting is invalid, the folder cannot be used, or a
            user's channel or callback failed; in the last two cases the run is saved.
        EnvironmentStepError: the environment failed, or returned a number that is
            not finite; the run is saved.
        SaveError: a file cannot be written, e.g. because the disk is full; files
            that were saved before are complete.
        TrainingInterrupted: the process received SIGINT (Ctrl-C), SIGTERM or SIGHUP;
            the run is saved.
        TrainingDivergedError: a loss or a parameter is not finite; the last
            checkpoint before that is kept.
    """
    config = RunConfig(
        system=system,
        steps=steps,
        seeds=seeds if isinstance(seeds, int) else tuple(seeds),
        seed=seed,
        eval_every=eval_every,
        eval_episodes=eval_episodes,
        preset=preset,
        save_every=save_every,
        keep_best=keep_best,
    )
    config.check()
    folder = open_run_folder(_new_run_path(config) if out is None else out)
    config = _resolve_by_folder(config, folder)
    start = make_start(start_from, start_part)
    if folder.contains_run():
        check_same_start(folder.read_settings(), start)
    outputs = RunOutputs(quiet, _logger_names(tensorboard, wandb), callbacks)
    return _execute_run(config, folder, outputs, start)


@standard_jax_settings()
def resume(
    path: str | os.PathLike[str],
    *,
    steps: int | None = None,
    system: System | None = None,
    save_every: int | None = None,
    keep_best: bool = False,
    quiet: bool = False,
    tensorboard: bool = False,
    wandb: bool = False,
    callbacks: Sequence[Callback] = (),
    trust: bool = False,
) -> Run:
    """Resumes a run from its newest checkpoints.

    The result is bit for bit that of an uninterrupted run.

    Args:
        path: the run folder.
        steps: new training length, not shorter than the old one. Settings that
            followed from the training length at the first start do not change.
        system: the system, if `settings.json` is not enough to make it.
        save_every: as for `train`, from here on; by default unchanged.
        keep_best: likewise.
        quiet: whether to print nothing.
        tensorboard: as for `train`, whether or not the run logged there before.
        wandb: likewise.
        callbacks: as for `train`; they are not stored.
        trust: as for `load`.

    Returns:
        The finished run.

    Raises:
        InvalidInputError: the folder contains no valid run, or another error of
            `train`.
        EnvironmentStepError, SaveError, TrainingInterrupted, TrainingDivergedError: as
            for `train`.
    """
    folder = open_run_folder(path)
    config = load_run_config(folder, system, trust=trust)
    config = dataclasses.replace(
        config,
        steps=config.steps if steps is None else steps,
        save_every=config.save_every if save_every is None else save_every,
        keep_best=config.keep_best or keep_best,
    )
    outputs = RunOutputs(quiet, _logger_names(tensorboard, wandb), callbacks)
    return _execute_run(config, folder, outputs)


class RunOutputs(NamedTuple):
    """Outputs of a run beside its folder; they have no influence on the results."""

    quiet: bool
    logger_names: list[str]
    callbacks: Sequence[Callback]


def _logger_names(tensorboard: bool, wandb: bool) -> list[str]:
    enabled = {"tensorboard": tensorboard, "wandb": wandb}
    return [name for name in enabled if enabled[name]]


def _new_run_path(config: RunConfig) -> Path:
    settings = run_config_to_dict(config)
    name = system_label(str(settings["system"]))
    parts = filter(None, [name, task_and_channel_id(settings)])
    return next_free_path(Path("runs"), re.sub(r"[^\w.-]+", "_", "-".join(parts)))


def _resolve_by_folder(config: RunConfig, folder: RunFolder) -> RunConfig:
    """Resolves what the first start of the run in the folder has fixed, if any.

    What depends on the training length follows from that of the first start.
    """
    steps = config.steps
    if folder.contains_run():
        settings = folder.read_settings()
        try:
            steps = initial_steps(settings)
            config = with_stored_keeping(config, settings)
            config = with_stored_choices(config, settings)
        except InvalidInputError as error:
            raise InvalidInputError(f"{folder.settings_path}: {error}") from None
    return dataclasses.replace(config, system=resolve_steps(config.system, steps))


def _execute_run(
    config: RunConfig,
    folder: RunFolder,
    outputs: RunOutputs,
    start: StartWeights | None = None,
) -> Run:
    config.check()
    if isinstance(config.system, HasChannel):
        require_channel(config.system.channel)
        if not folder.contains_run():
            try_out(config.system.channel, config.system.uses)
    if config.keep_best:
        check_best_metric(config.system)
    check_callbacks(outputs.callbacks)
    for name in outputs.logger_names:
        loggers.logger_factory(name)
    try:
        with closing_black_box(config.system):
            # Before anything is allocated or written.
            check_memory(config)
            check_disk(config, folder.path, folder.checkpoint_bytes())
            with folder.acquire_lock() as lock:
                config, choices = _choose_settings(config, folder, outputs)
                _start_run(config, folder, outputs, start, choices, lock)
    except RunMovedError:
        raise
    except OSError as error:
        raise SaveError(folder.path, error, run_exists=folder.contains_run()) from error
    return Run(folder.path, config)


def _choose_settings(
    config: RunConfig, folder: RunFolder, outputs: RunOutputs
) -> tuple[RunConfig, str]:
    """The configuration with the settings that trials choose, and what they are.

    They are chosen once for all seeds, with a key of the first one.
    """
    system = config.system
    if folder.contains_run() or not isinstance(system, ChoosesSettings):
        return config, ""
    if not system.has_open_settings:
        return config, ""
    if not outputs.quiet:
        print("trying receivers and initial codebooks", file=sys.stderr)
    chosen, text = system.choose_settings(seed_keys(config.all_seeds[0]).trials)
    return dataclasses.replace(config, system=chosen), text


def _start_run(
    config: RunConfig,
    folder: RunFolder,
    outputs: RunOutputs,
    start: StartWeights | None,
    choices: str,
    lock: HeldLock,
) -> None:
    is_new = not folder.contains_run()
    settings, seed_runs, wall_s, identity = _open_session(config, folder, start)
    logged = loggers.make_logged_run(folder, settings, config.all_seeds, wall_s)
    names = outputs.logger_names
    rows = metrics_log.read_rows(folder.metrics_path) if names else []
    run_loggers = loggers.LoggerCollection(names, logged, rows)
    try:
        with ProgressDisplay(config, folder.path, quiet=outputs.quiet) as display:
            display.print_header(describe_devices(len(config.all_seeds)))
            for line in filter(None, (choices, describe_kept(config))):
                display.print_line(line)
            start_time = time.perf_counter() - wall_s
            recorder = RunRecorder(
                folder, config, display, run_loggers, start_time, lock, identity
            )
            callbacks = outputs.callbacks
            runner = CallbackRunner(folder.path, config, callbacks, seed_runs.values())
            _train_seeds(config, seed_runs, recorder, display, runner)
    except InsufficientMemoryError:
        if is_new:
            # Nothing has run: the folder is free for other settings.
            folder.settings_path.unlink()
        raise
    finally:
        run_loggers.close()


def _open_session(
    config: RunConfig, folder: RunFolder, start: StartWeights | None
) -> tuple[JsonObject, dict[int, SeedRun], float, RunIdentity]:
    """Settings, states, wall time and identity of a run that is started or resumed.

    The settings are written, with this session in them.
    """
    settings, damage = _resolve_settings(config, folder), []
    if folder.contains_run():
        damage = find_damage(folder.path, settings)
    else:
        # Left by a process that was killed before it had written the settings.
        checkpoint.delete_all(folder.checkpoints_dir)
        if start is not None:
            settings |= _save_initial_states(config, folder, start)
    seed_runs, wall_s = _restore_seeds(config, folder, settings)
    warn_of_damage(folder.path, damage)
    identity, settings = _begin_session(folder, settings, seed_runs, damage)
    folder.write_settings(settings)
    remember_trained(settings)
    return settings, seed_runs, wall_s, identity


def _begin_session(
    folder: RunFolder,
    settings: JsonObject,
    seed_runs: Mapping[int, SeedRun],
    damage: Sequence[str],
) -> tuple[RunIdentity, JsonObject]:
    """Facts that files written from here on hold; the settings with this start."""
    digest = settings_digest(settings)
    hashes = metrics_log.read_hashes(folder.metrics_path)
    settings = begin_session(
        settings,
        collect_provenance(),
        steps=[x.step for x in seed_runs.values()],
        log=hashes.record(0),
        damage=damage,
    )
    return RunIdentity(digest, count_starts(settings), hashes), settings


def _resolve_settings(config: RunConfig, folder: RunFolder) -> JsonObject:
    """Settings of a new run, or those of the run in the folder if they agree."""
    if not folder.contains_run():
        initial = {INITIAL_STEPS: config.steps}
        return run_config_to_dict(config) | initial | collect_provenance()
    old, new = folder.read_settings(), run_config_to_dict(config)
    # Of what the results so far depend on, only `steps` may change.
    if differences := diff_settings(old, new | {"steps": old.get("steps")}):
        raise InvalidInputError(
            f"{folder.path} holds another run: {differences}; try another --out"
        )
    old_steps = load_run_config(folder, config.system).steps
    if config.steps < old_steps:
        raise InvalidInputError(
            f"steps is {config.steps}, but the run in {folder.path} goes to "
            f"{old_steps}; expected as many or more"
        )
    if config.steps > old_steps:
        # With more steps than before, also the seeds go on that callbacks have ended.
        old = {k: v for k, v in old.items() if k != STOPPED_SEEDS_FIELD}
    changeable = {
        "steps": config.steps,
        "save_every": config.save_every,
        "keep_best": config.keep_best,
    }
    return {k: v for k, v in old.items() if k != SEAL_KEY} | changeable


def _save_initial_states(
    config: RunConfig, folder: RunFolder, start: StartWeights
) -> JsonObject:
    """Saves states that start from the weights of another run, as checkpoints.

    Before the settings: so a run that is killed at any time never reads the other run
    again, which may have changed.

    Returns:
        The entries of `settings.json` that describe the weights.
    """
    states, description = initial_states(config, start)
    for seed, train_state in states.items():
        checkpoint.save_checkpoint(
            folder.checkpoints_dir, seed, 0, train_state, wall_s=0.0
        )
    return description


def _restore_seeds(
    config: RunConfig, folder: RunFolder, settings: JsonObject
) -> tuple[dict[int, SeedRun], float]:
    """Restores the seeds from their checkpoints; also the wall-clock seconds so far.

    Later rows of the metrics log are dropped: training will write them again.
    """
    like, wall_s = abstract_train_state(config.system), 0.0
    digest = settings_digest(settings)
    stopped, rows = stopped_seeds(settings), metrics_log.read_rows(folder.metrics_path)
    seed_runs: dict[int, SeedRun] = {}
    for seed in config.all_seeds:
        saved = checkpoint.load_latest(
            folder.checkpoints_dir, seed, like, settings_sha256=digest
        )
        if saved is None:
            trained = any(row["seed"] == seed and row["step"] > 0 for row in rows)
            if trained or STARTED_FROM in settings:
                raise InvalidInputError(
                    f"{folder.path} has lost the checkpoints of seed {seed}"
                )
            keep_step = next_keep_after(config, 0)
            seed_runs[seed] = SeedRun(seed, next_keep_step=keep_step)
            continue
        is_done = seed in stopped or bool(config.system.is_done(saved.tree.state))
        # Weights of another run have a checkpoint before their first evaluation.
        is_new = saved.step == 0 and not any(row["seed"] == seed for row in rows)
        next_eval_step = 0 if is_new else next_eval_after(config, saved.step)
        next_eval_step = None if is_done else next_eval_step
        keep_step = next_keep_after(config, saved.step)
        seed_runs[seed] = SeedRun(
            seed, saved.tree, saved.step, next_eval_step, keep_step
        )
        wall_s = max(wall_s, saved.wall_s)
        checkpoint.delete_after(folder.checkpoints_dir, seed, saved.step)
    restored = {x.seed: x.step for x in seed_runs.values() if x.train_state}
    metrics_log.truncate_after(folder.metrics_path, restored)
    return seed_runs, wall_s


def _train_seeds(
    config: RunConfig,
    seed_runs: dict[int, SeedRun],
    recorder: RunRecorder,
    display: ProgressDisplay,
    runner: CallbackRunner,
) -> None:
    """Trains all seeds to their end, or until a signal or an error; saves all."""
    config = dataclasses.replace(config, system=monitored(config.system))
    devices = worker_devices(
        sum(x.next_eval_step is not None for x in seed_runs.values())
    )
    pool = make_thread_pool(len(devices))
    errors: list[Exception] = []
    try:
        with handle_signals() as request:

            def should_continue() -> bool:
                display.refresh()
                return not request and not errors

            programs = _compile_for_devices(config, devices, pool, display)
            for result in schedule_seeds(
                config,
                seed_runs,
                programs,
                devices,
                pool,
                should_continue,
                gives_up=request.check_workers,
                overlap=not runner.callbacks,
            ):
                display.update_progress(x.step for x in seed_runs.values())
                error = _record_chunk(result, recorder, runner, seed_runs)
                errors += [error] if error else []
            recorder.finalize(seed_runs.values(), config.system)
    finally:
        # After an exception the results of running workers are discarded.
        pool.shutdown(wait=False, cancel_futures=True)
    if errors:
        raise errors[0]
    if any(x.next_eval_step is not None for x in seed_runs.values()):
        request.raise_interrupted(recorder.path)
    recorder.print_summary()


def _record_chunk(
    result: ChunkResult,
    recorder: RunRecorder,
    runner: CallbackRunner,
    seed_runs: dict[int, SeedRun],
) -> Exception | None:
    """Calls the callbacks and records a chunk; its error or a callback's, if any.

    A seed that a callback ends gets no more chunks: its entry in `seed_runs` says so.
    """
    if error := _chunk_error(result, recorder):
        return error
    row = recorder.metrics_row(result)
    if row is None:
        recorder.record(result, None)
        return None
    called = runner.call(result.seed_run, row)
    recorder.record(result, row | called.metrics)
    if called.stops:
        seed = result.seed_run.seed
        seed_runs[seed] = result.seed_run._replace(next_eval_step=None)
        recorder.record_stop(seed)
    return called.error


def _chunk_error(result: ChunkResult, recorder: RunRecorder) -> Exception | None:
    """Exception with which the run ends because of a chunk; None if it succeeded."""
    if result.divergence:
        return TrainingDivergedError(recorder.divergence_message(result))
    if result.error:
        return type(result.error)(recorder.failure_message(result))
    return None


def _compile_for_devices(
    config: RunConfig,
    devices: Sequence[DeviceSharding],
    pool: Executor,
    display: ProgressDisplay,
) -> dict[DeviceSharding, CompiledPrograms]:
    if not devices:
        return {}
    display.set_status("compiling")
    compile_for = partial(compile_programs, config.system, config.eval_episodes)
    futures = {device: pool.submit(compile_for, device) for device in set(devices)}
    while wait(futures.values(), POLL_INTERVAL_SECONDS).not_done:
        display.refresh()
    programs = {device: future.result() for device, future in futures.items()}
    check_programs(config, programs.values())
    display.set_status("training")
    return programs
