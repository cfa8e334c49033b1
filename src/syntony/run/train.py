"""Training: the one host loop, through which every system and every seed goes."""

import dataclasses
import os
import re
import time
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

from syntony.errors import BadInput
from syntony.run import checkpoint, journal, sinks
from syntony.run.books import Books
from syntony.run.chunk import Programs, blank, compile_programs
from syntony.run.devices import Place, workers
from syntony.run.folder import Folder, next_free
from syntony.run.lanes import TICK_SECONDS, Lane, next_until, relay
from syntony.run.load import Run, plan_of
from syntony.run.plan import Plan, describe, difference, world_of
from syntony.run.progress import Screen
from syntony.run.provenance import provenance
from syntony.run.stop import Interrupted, NotSaved, TrainingDiverged, listening
from syntony.systems.system import System
from syntony.systems.team import closing


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
    plan = Plan(
        system=system,
        steps=steps,
        seeds=seeds,
        seed=seed,
        eval_every=eval_every,
        eval_episodes=eval_episodes,
        preset=preset,
    )
    plan.check()
    folder = Folder(Path(out) if out is not None else _new_path(plan))
    return _carry_out(plan, folder, quiet, _sinks(tensorboard, wandb))


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
    folder = Folder(Path(path))
    plan = plan_of(folder, system)
    if steps is not None:
        plan = dataclasses.replace(plan, steps=steps)
    return _carry_out(plan, folder, quiet, _sinks(tensorboard, wandb))


def _sinks(tensorboard: bool, wandb: bool) -> list[str]:
    asked = {"tensorboard": tensorboard, "wandb": wandb}
    return [name for name in asked if asked[name]]


def _new_path(plan: Plan) -> Path:
    described = describe(plan)
    words = filter(None, [described["system"], world_of(described)])
    return next_free(Path("runs"), re.sub(r"[^\w.-]+", "_", "-".join(words)))


def _carry_out(plan: Plan, folder: Folder, quiet: bool, asked: list[str]) -> Run:
    plan.check()
    for name in asked:
        sinks.maker(name)
    try:
        with folder.locked(), closing(plan.system):
            _begin(plan, folder, quiet, asked)
    except OSError as failure:
        raise NotSaved(folder.path, failure, begun=folder.holds_a_run()) from failure
    return Run(folder.path, plan)


def _begin(plan: Plan, folder: Folder, quiet: bool, asked: list[str]) -> None:
    settings = _settle(plan, folder)
    lanes, wall_s = _restore(plan, folder)
    folder.write_settings(settings)
    lines = journal.read(folder.metrics) if asked else []
    others = sinks.Sinks(asked, sinks.source(folder, settings, wall_s), lines)
    try:
        with Screen(plan, folder.path, quiet=quiet) as screen:
            began = time.perf_counter() - wall_s
            _learn(plan, lanes, Books(folder, plan, screen, others, began), screen)
    finally:
        others.close()


def _settle(plan: Plan, folder: Folder) -> dict[str, Any]:
    """Returns the settings of the run: new ones, or those it had, if they are these."""
    if not folder.holds_a_run():
        return describe(plan) | provenance()
    old, new = folder.read_settings(), describe(plan)
    # Steps may grow; all else is what the numbers so far came from.
    if found := difference(old, new | {"steps": old.get("steps")}):
        raise BadInput(f"{folder.path} holds another run: {found}; try another --out")
    held = plan_of(folder, plan.system)
    if plan.steps < held.steps:
        raise BadInput(
            f"steps is {plan.steps}, but the run in {folder.path} goes to "
            f"{held.steps}; expected as many or more"
        )
    return old | {"steps": plan.steps}


def _restore(plan: Plan, folder: Folder) -> tuple[dict[int, Lane], float]:
    """Returns each seed where its newest checkpoint left it, and the seconds so far.

    What was measured after that is forgotten: it will be measured again.
    """
    like, wall_s = blank(plan.system), 0.0
    lanes: dict[int, Lane] = {}
    for seed in plan.every_seed:
        saved = checkpoint.newest(folder.checkpoints, seed, like)
        if saved is None:
            if journal.reached(folder.metrics, seed) > 0:
                raise BadInput(f"{folder.path} has lost the checkpoints of seed {seed}")
            lanes[seed] = Lane(seed)
            continue
        done = bool(plan.system.done(saved.tree.state))
        until = None if done else next_until(plan, saved.step)
        lanes[seed] = Lane(seed, saved.tree, saved.step, until)
        wall_s = max(wall_s, saved.wall_s)
        checkpoint.forget(folder.checkpoints, seed, saved.step)
    reached = {lane.seed: lane.step for lane in lanes.values() if lane.progress}
    journal.forget(folder.metrics, reached)
    return lanes, wall_s


def _learn(plan: Plan, lanes: dict[int, Lane], books: Books, screen: Screen) -> None:
    """Runs all lanes to their end, or to the first reason to stop; saves all."""
    crew = workers(sum(lane.until is not None for lane in lanes.values()))
    pool = ThreadPoolExecutor(max(1, len(crew)))
    failures: list[Exception] = []
    try:
        with listening() as request:

            def going() -> bool:
                screen.refresh()
                return not request and not failures

            programs = _compile(plan, set(crew), pool, screen)
            for leg in relay(plan, lanes, programs, crew, pool, going):
                screen.advanced(lane.step for lane in lanes.values())
                if leg.diverged:
                    failures.append(TrainingDiverged(books.obituary(leg)))
                elif leg.blocked:
                    failures.append(type(leg.blocked)(books.obstacle(leg)))
                else:
                    books.enter(leg)
            books.close(lanes.values(), plan.system)
    finally:
        # Whoever still works here works in vain.
        pool.shutdown(wait=False, cancel_futures=True)
    if failures:
        raise failures[0]
    if request.signum is not None and any(x.until is not None for x in lanes.values()):
        raise Interrupted(books.path, request.signum)
    screen.finished()


def _compile(
    plan: Plan, places: set[Place], pool: Executor, screen: Screen
) -> dict[Place, Programs]:
    if not places:
        return {}
    screen.doing("compiling")
    make = partial(compile_programs, plan.system, plan.eval_episodes)
    futures = {place: pool.submit(make, place) for place in places}
    while wait(futures.values(), TICK_SECONDS).not_done:
        screen.refresh()
    screen.doing("training")
    return {place: future.result() for place, future in futures.items()}
