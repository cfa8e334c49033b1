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

from syntony.errors import BadInput, HostFault
from syntony.run.chunk import BlackBoxError, Chunk, Programs, Progress, unmeasured
from syntony.run.devices import Place
from syntony.run.journal import Line, with_intervals
from syntony.run.plan import Plan
from syntony.systems.system import System
from syntony.systems.team import Team

CHUNK_SECONDS = 1.0
"""How long a chunk should take: as long as Ctrl-C may have to wait."""
TICK_SECONDS = 0.1
"""How often the host looks up from waiting."""


class Lane(NamedTuple):
    """One seed of a run, between two chunks."""

    seed: int
    progress: Progress | None = None
    """None before the start, and after a divergence."""
    step: int = 0
    until: int | None = 0
    """Where the next evaluation is due; None when the seed is done."""
    most: int = 1
    """Updates in the next chunk."""


class Leg(NamedTuple):
    """What a worker brings back from one chunk."""

    lane: Lane
    """The seed as it now is."""
    measured: Line | None
    """What an evaluation found, if one was due."""
    diverged: str = ""
    """What was not finite, if something was."""
    blocked: BadInput | HostFault | None = None
    """What a black box failed with, if it did."""


class Keys(NamedTuple):
    """The sources of chance of a seed: no use of one disturbs another."""

    begin: Key[Array, ""]
    evaluate: Key[Array, ""]
    """For evaluations during training; folded with the step."""
    assess: Key[Array, ""]
    """For evaluations of a run that exists; folded with a count."""


def keys(seed: int) -> Keys:
    """Returns the keys of a seed, which depend on nothing but its number."""
    return Keys(*jax.random.split(jax.random.key(seed), len(Keys._fields)))


def relay(
    plan: Plan,
    lanes: dict[int, Lane],
    programs: Mapping[Place, Programs],
    idle: list[Place],
    pool: Executor,
    going: Callable[[], bool],
) -> Iterator[Leg]:
    """Yields the legs of all lanes as workers finish them, until all are done.

    The lane that is furthest behind always goes next: three seeds on two cores take
    one and a half times as long as two, not twice.

    Args:
        lanes: updated in place with each leg.
        idle: a place for each worker.
        going: called often; once it says no, no more legs are started.
    """
    busy: dict[Future[Leg], tuple[int, Place]] = {}
    legs: list[Leg] = []
    while True:
        running = {seed for seed, _ in busy.values()}
        waiting = [x for x in lanes.values() if x.until is not None]
        waiting = [x for x in waiting if x.seed not in running]
        more = going()
        for lane in sorted(waiting, key=lambda lane: lane.step):
            if idle and more:
                place = idle.pop()
                future = pool.submit(run_leg, plan, lane, programs[place], place)
                busy[future] = (lane.seed, place)
        # Only now, when all workers work again, the host may take its time.
        yield from legs
        if not busy:
            return
        done, _ = wait(busy, TICK_SECONDS, FIRST_COMPLETED)
        idle += [busy.pop(future)[1] for future in done]
        legs = [future.result() for future in done]
        lanes.update({leg.lane.seed: leg.lane for leg in legs})


def run_leg(plan: Plan, lane: Lane, programs: Programs, place: Place) -> Leg:
    """Advances one seed by a chunk, and measures it where that is due."""
    assert lane.until is not None
    progress = lane.progress
    if progress is None:
        key = jax.device_put(keys(lane.seed).begin, place)
        progress = programs.begin(plan.system, key)
    progress = jax.device_put(progress, place)

    before, began = progress, time.perf_counter()
    bounds = np.int32(lane.until), np.int32(lane.most)
    try:
        progress, chunk = programs.advance(plan.system, progress, *bounds)
    except BlackBoxError as failure:
        step = int(plan.system.progress(failure.progress.state))
        lane = lane._replace(progress=failure.progress, step=step)
        return _blocked(lane, step, failure.failure)
    chunk = jax.device_get(chunk)
    most = _next_most(lane.most, int(chunk.updates), time.perf_counter() - began)

    step = int(chunk.step)
    if not chunk.finite:
        if fault := _fault(plan.system, before, chunk, programs):
            last, step, failure = fault
            return _blocked(lane._replace(progress=last, step=step), step, failure)
        ended = lane._replace(progress=None, step=step, until=None)
        return Leg(ended, None, diverged=_not_finite(chunk))
    due = chunk.done or step >= lane.until
    learned = lane._replace(progress=progress, step=step, most=most)
    if not due:
        return Leg(learned, None)
    try:
        found = _measured(plan, learned, progress, programs, place)
    except (BadInput, HostFault) as failure:
        # Back to before the chunk: when it is learned again, it is measured as well.
        return _blocked(lane, step, failure)
    until = None if chunk.done else next_until(plan, step)
    return Leg(learned._replace(progress=unmeasured(progress), until=until), found)


def _blocked(lane: Lane, step: int, failure: BadInput | HostFault) -> Leg:
    # Nothing is left to do for this seed until the run is resumed.
    stopped = lane._replace(until=None)
    return Leg(stopped, None, blocked=type(failure)(f"step {step}: {failure}"))


def _fault(
    system: System, before: Progress, chunk: Chunk, programs: Programs
) -> tuple[Progress, int, HostFault] | None:
    """Returns where the update began that diverged, and what the task did in it.

    None if the task did nothing wrong: then learning has.
    """
    if not isinstance(system, Team) or system.on_host:
        return None
    most = np.int32(int(chunk.updates) - 1)
    last, _ = programs.advance(system, before, np.int32(chunk.step), most)
    fault = system.fault(last.state)
    if not fault:
        return None
    return last, int(system.progress(last.state)), HostFault(fault)


def _measured(
    plan: Plan, lane: Lane, progress: Progress, programs: Programs, place: Place
) -> Line:
    key = jax.random.fold_in(keys(lane.seed).evaluate, lane.step)
    samples = programs.evaluate(plan.system, progress.state, jax.device_put(key, place))
    samples = jax.device_get(samples)
    if isinstance(plan.system, Team) and not all(map(_sound, samples.values())):
        general = f"environment {plan.system.task.id}: a return is not finite"
        raise HostFault(plan.system.fault(progress.state) or general)
    return with_intervals(samples) | train_means(progress)


def _sound(scores: np.ndarray) -> bool:
    return bool(np.isfinite(scores).all())


def next_until(plan: Plan, step: int) -> int | None:
    """Returns where a seed at `step` is to be evaluated next; None at its end."""
    if step >= plan.steps:
        return None
    return min((step // plan.eval_every + 1) * plan.eval_every, plan.steps)


def train_means(progress: Progress) -> Line:
    """Returns what the updates since the last evaluation reported, on average."""
    updates = int(progress.updates)
    if updates == 0:
        return {}
    sums = jax.device_get(progress.sums)
    return {name: float(total) / updates for name, total in sums.items()}


def _next_most(most: int, updates: int, seconds: float) -> int:
    """Returns the updates that fill a chunk, judged by those that `seconds` took."""
    if updates == 0:
        return most
    return max(1, min(int(updates / seconds * CHUNK_SECONDS), 10 * most))


def _not_finite(chunk: Chunk) -> str:
    """Says what diverged; where every loss is finite, it was a weight."""
    names = [name for name, value in chunk.latest.items() if not np.isfinite(value)]
    found = [f"{name} is {float(chunk.latest[name])}" for name in names[:3]]
    return ", ".join(found) or "a weight is not finite"
