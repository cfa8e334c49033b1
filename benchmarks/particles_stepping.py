"""How fast do the particle worlds step, against mpe2, on one core?

    python benchmarks/particles_stepping.py [--csv FILE]

Random actions, drawn beforehand for both. `stepping` counts steps alone; `episodes`
counts the resets too, one for each episode of 25 steps. Ours returns every observation
and reward, as a learner needs them; compilation is left out. Best of several runs.
"""

import argparse
import csv
import os
import time
from collections.abc import Callable
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import jax
import numpy as np
from jaxtyping import Array, Key
from mpe2 import simple_speaker_listener_v4, simple_spread_v3

from syntony.tasks.ids import task as named
from syntony.tasks.task import Step, Task

TASKS = {
    "SimpleSpread-3": lambda: simple_spread_v3.parallel_env(N=3),
    "SimpleSpread-8": lambda: simple_spread_v3.parallel_env(N=8),
    "SpeakerListener": simple_speaker_listener_v4.parallel_env,
}
BATCHES = (10, 1000)
RUNS = 4
SECONDS = 0.5
"""How long one run lasts at least."""
COLUMNS = ("task", "environment", "batch", "stepping", "episodes", "ratio")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="particle worlds against mpe2")
    parser.add_argument("--csv", help="write the table to this file, too")
    path = parser.parse_args().csv
    table = [row for id in TASKS for row in rows(id)]

    print(f"{COLUMNS[0]:18}" + "".join(f"{name:>13}" for name in COLUMNS[1:]))
    for id, name, batch, stepping, episodes, ratio in table:
        rates = f"{stepping:13,.0f}{episodes:13,.0f}{ratio:12,.0f}x"
        print(f"{id:18}{name:>13}{batch:13}{rates}")

    if path:
        with open(path, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])


def rows(id: str) -> list[tuple]:
    """Returns env steps/s; the ratio is that of stepping to the original's."""
    task = named(id)
    theirs = original_rates(TASKS[id](), task.time_limit)
    rates = [("mpe2", 1, *theirs)]
    rates += [("syntony", batch, *our_rates(task, batch)) for batch in BATCHES]
    return [
        (
            id,
            name,
            batch,
            round(stepping),
            round(episodes),
            round(stepping / theirs[0], 1),
        )
        for name, batch, stepping, episodes in rates
    ]


def our_rates(task: Task, batch: int) -> tuple[float, float]:
    """Returns env steps/s without and with resets."""
    shape = (task.time_limit, batch, task.agents)
    # The speaker has three words of the five actions: 0 to 2 are allowed to all.
    actions = jax.random.randint(jax.random.key(0), shape, 0, 3)
    keys = jax.random.split(jax.random.key(1), batch)
    reset = jax.jit(jax.vmap(task.reset))
    steps = task.time_limit * batch

    def live(state: Any, action: Array) -> tuple[Any, Step]:
        return jax.vmap(task.step)(keys, state, action)

    walk = jax.jit(lambda state, actions: jax.lax.scan(live, state, actions))

    def episode(keys: Key[Array, " B"]) -> Step:
        return walk(reset(keys)[0], actions)[1]

    start = reset(keys)[0]
    return (
        best(lambda: jax.block_until_ready(walk(start, actions)), steps),
        best(lambda: jax.block_until_ready(episode(keys)), steps),
    )


def original_rates(env: Any, steps: int) -> tuple[float, float]:
    """Returns env steps/s without and with resets.

    mpe2 refuses to go on after an episode's end, so only whole episodes are timed;
    the resets' time, taken apart, is what the first figure leaves out.
    """
    rng = np.random.default_rng(0)
    names = env.possible_agents
    actions = [
        dict(zip(names, map(int, choice), strict=True))
        for choice in rng.integers(3, size=(steps, len(names)))
    ]

    def episode() -> None:
        env.reset(seed=0)
        for action in actions:
            env.step(action)

    episodes = best(episode, steps)
    resets = best(lambda: env.reset(seed=0), 1)
    return 1.0 / (1.0 / episodes - 1.0 / (steps * resets)), episodes


def best(run: Callable[[], object], steps: int) -> float:
    """Returns the highest rate, in steps a second, of several timed runs."""
    run()
    return max(rate(run, steps) for _ in range(RUNS))


def rate(run: Callable[[], object], steps: int) -> float:
    """Returns how many steps a second are taken by runs of so many each."""
    start, done = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < SECONDS:
        run()
        done += steps
    return done / elapsed


if __name__ == "__main__":
    main()
