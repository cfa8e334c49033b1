"""Training: the one host loop, through which every system and every seed goes."""

import dataclasses
import os
import re
import time
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

from syntony.errors import InvalidInputError
from syntony.systems.marl.base import closing_envs
from syntony.systems.system import System
from syntony.training import checkpoint, loggers, metrics_log
from syntony.training.compiled import (
    CompiledPrograms,
    abstract_train_state,
    compile_programs,
)
from syntony.training.devices import DeviceSharding, worker_devices
from syntony.training.progress import ProgressDisplay
from syntony.training.provenance import collect_provenance
from syntony.training.recorder import RunRecorder
from syntony.training.run import Run, load_run_config
from syntony.training.run_config import (
    RunConfig,
    diff_settings,
    run_config_to_dict,
    task_or_channel_id,
)
from syntony.training.run_folder import RunFolder, next_free_path
from syntony.training.seed_scheduler import (
    POLL_INTERVAL_SECONDS,
    SeedRun,
    next_eval_after,
    schedule_seeds,
)
from syntony.training.signals import (
    SaveError,
    TrainingDivergedError,
    TrainingInterrupted,
    handle_signals,
)


def train(
    system: System,
    *,
    steps: int,
    seeds: int = 1,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    eval_every: int = 50_000,
    eval_episodes: int = 100,
    preset: str = "",
    quiet: bool = False,
    tensorboard: bool = False,
    wandb: bool = False,
) -> Run:
    """Trains a system from one or more seeds, into a run folder.

    If the folder holds a run with the same settings, that run goes on.

    Args:
        steps: where each seed ends, in what the system counts: environment steps.
        seeds: how many seeds, from `seed` on; each learns alone.
        out: the run folder; by default a new one in `runs/`.
        eval_every: steps from one evaluation to the next.
        eval_episodes: episodes of an evaluation.
        preset: the name of the preset that the settings came from, for the record.
        quiet: shows nothing.
        tensorboard: also writes to the run's `tensorboard/`, for TensorBoard.
        wandb: also logs to Weights & Biases.

    Raises:
        BadInput: a setting makes no sense, the folder cannot be used, or a channel
            of the user's failed; then the run is saved.
        HostFault: a task of another library failed; the run is saved.
        NotSaved: the disk is full, or gone; what was saved before is whole.
        Interrupted: Ctrl-C or SIGTERM came; the run is saved.
        TrainingDiverged: a loss is not finite; the last good checkpoint remains.
    """
    plan = RunConfig(
        system=system,
        steps=steps,
        seeds=seeds,
        seed=seed,
        eval_every=eval_every,
        eval_episodes=eval_episodes,
        preset=preset,
    )
    plan.check()
    folder = RunFolder(Path(out) if out is not None else _new_run_path(plan))
    return _execute_run(plan, folder, quiet, _logger_names(tensorboard, wandb))


def resume(
    path: str | os.PathLike[str],
    *,
    steps: int | None = None,
    system: System | None = None,
    quiet: bool = False,
    tensorboard: bool = False,
    wandb: bool = False,
) -> Run:
    """Lets a run go on from its newest checkpoints, as if it had never stopped.

    Args:
        steps: a new end, further than the old one.
        system: the system, where it is not one of Syntony's own.
        quiet: shows nothing.
        tensorboard: as for `train`, whether or not the run had it before.
        wandb: likewise.

    Raises:
        BadInput, HostFault, NotSaved, Interrupted, TrainingDiverged: as for `train`.
    """
    folder = RunFolder(Path(path))
    plan = load_run_config(folder, system)
    if steps is not None:
        plan = dataclasses.replace(plan, steps=steps)
    return _execute_run(plan, folder, quiet, _logger_names(tensorboard, wandb))


def _logger_names(tensorboard: bool, wandb: bool) -> list[str]:
    asked = {"tensorboard": tensorboard, "wandb": wandb}
    return [name for name in asked if asked[name]]


def _new_run_path(config: RunConfig) -> Path:
    described = run_config_to_dict(config)
    words = filter(None, [described["system"], task_or_channel_id(described)])
    return next_free_path(Path("runs"), re.sub(r"[^\w.-]+", "_", "-".join(words)))


def _execute_run(
    config: RunConfig, folder: RunFolder, quiet: bool, logger_names: list[str]
) -> Run:
    config.check()
    for name in logger_names:
        loggers.logger_factory(name)
    try:
        with folder.acquire_lock(), closing_envs(config.system):
            _start_run(config, folder, quiet, logger_names)
    except OSError as failure:
        raise SaveError(
            folder.path, failure, run_exists=folder.contains_run()
        ) from failure
    return Run(folder.path, config)


def _start_run(
    config: RunConfig, folder: RunFolder, quiet: bool, logger_names: list[str]
) -> None:
    settings = _resolve_settings(config, folder)
    lanes, wall_s = _restore_seeds(config, folder)
    folder.write_settings(settings)
    lines = metrics_log.read_rows(folder.metrics_path) if logger_names else []
    others = loggers.LoggerCollection(
        logger_names, loggers.make_logged_run(folder, settings, wall_s), lines
    )
    try:
        with ProgressDisplay(config, folder.path, quiet=quiet) as screen:
            began = time.perf_counter() - wall_s
            _train_seeds(
                config,
                lanes,
                RunRecorder(folder, config, screen, others, began),
                screen,
            )
    finally:
        others.close()


def _resolve_settings(config: RunConfig, folder: RunFolder) -> dict[str, Any]:
    """Returns the settings of the run: new ones, or those it had, if they are these."""
    if not folder.contains_run():
        return run_config_to_dict(config) | collect_provenance()
    old, new = folder.read_settings(), run_config_to_dict(config)
    # Steps may grow; all else is what the numbers so far came from.
    if found := diff_settings(old, new | {"steps": old.get("steps")}):
        raise InvalidInputError(
            f"{folder.path} holds another run: {found}; try another --out"
        )
    held = load_run_config(folder, config.system)
    if config.steps < held.steps:
        raise InvalidInputError(
            f"steps is {config.steps}, but the run in {folder.path} goes to "
            f"{held.steps}; expected as many or more"
        )
    return old | {"steps": config.steps}


def _restore_seeds(
    config: RunConfig, folder: RunFolder
) -> tuple[dict[int, SeedRun], float]:
    """Returns each seed where its newest checkpoint left it, and the seconds so far.

    What was measured after that is forgotten: it will be measured again.
    """
    like, wall_s = abstract_train_state(config.system), 0.0
    lanes: dict[int, SeedRun] = {}
    for seed in config.all_seeds:
        saved = checkpoint.load_latest(folder.checkpoints_dir, seed, like)
        if saved is None:
            if metrics_log.last_step(folder.metrics_path, seed) > 0:
                raise InvalidInputError(
                    f"{folder.path} has lost the checkpoints of seed {seed}"
                )
            lanes[seed] = SeedRun(seed)
            continue
        done = bool(config.system.is_done(saved.tree.state))
        until = None if done else next_eval_after(config, saved.step)
        lanes[seed] = SeedRun(seed, saved.tree, saved.step, until)
        wall_s = max(wall_s, saved.wall_s)
        checkpoint.delete_after(folder.checkpoints_dir, seed, saved.step)
    reached = {lane.seed: lane.step for lane in lanes.values() if lane.train_state}
    metrics_log.truncate_after(folder.metrics_path, reached)
    return lanes, wall_s


def _train_seeds(
    config: RunConfig,
    seed_runs: dict[int, SeedRun],
    recorder: RunRecorder,
    display: ProgressDisplay,
) -> None:
    """Runs all lanes to their end, or to the first reason to stop; saves all."""
    crew = worker_devices(
        sum(lane.next_eval_step is not None for lane in seed_runs.values())
    )
    pool = ThreadPoolExecutor(max(1, len(crew)))
    failures: list[Exception] = []
    try:
        with handle_signals() as request:

            def going() -> bool:
                display.refresh()
                return not request and not failures

            programs = _compile_for_devices(config, set(crew), pool, display)
            for leg in schedule_seeds(config, seed_runs, programs, crew, pool, going):
                display.update_progress(lane.step for lane in seed_runs.values())
                if leg.divergence:
                    failures.append(
                        TrainingDivergedError(recorder.divergence_message(leg))
                    )
                elif leg.error:
                    failures.append(type(leg.error)(recorder.failure_message(leg)))
                else:
                    recorder.record(leg)
            recorder.finalize(seed_runs.values(), config.system)
    finally:
        # Whoever still works here works in vain.
        pool.shutdown(wait=False, cancel_futures=True)
    if failures:
        raise failures[0]
    if request.signum is not None and any(
        x.next_eval_step is not None for x in seed_runs.values()
    ):
        raise TrainingInterrupted(recorder.path, request.signum)
    display.print_summary()


def _compile_for_devices(
    config: RunConfig,
    devices: set[DeviceSharding],
    pool: Executor,
    display: ProgressDisplay,
) -> dict[DeviceSharding, CompiledPrograms]:
    if not devices:
        return {}
    display.set_status("compiling")
    make = partial(compile_programs, config.system, config.eval_episodes)
    futures = {place: pool.submit(make, place) for place in devices}
    while wait(futures.values(), POLL_INTERVAL_SECONDS).not_done:
        display.refresh()
    display.set_status("training")
    return {place: future.result() for place, future in futures.items()}
