"""How fast does foraging step, against the original lbforaging, on one core?

    python benchmarks/foraging_stepping.py [--csv FILE]

Random actions, drawn beforehand for both. `stepping` counts steps alone; `episodes`
counts the resets too, one for each episode of 50 steps. Ours returns every observation
and reward, as a learner needs them; compilation is left out. Best of several runs.
"""

import argparse
import csv
import os
import time
from collections.abc import Callable

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import jax
import numpy as np
from jaxtyping import Array, Key
from lbforaging.foraging.environment import ForagingEnv

from syntony.tasks.foraging import Foraging, ForagingState
from syntony.tasks.task import Step

TASKS = ("Foraging-2s-8x8-3p-2f-coop", "Foraging-7s-20x20-5p-3f-coop")
BATCHES = (10, 1000)
RUNS = 4
SECONDS = 0.5
"""How long one run lasts at least."""
COLUMNS = ("task", "environment", "batch", "stepping", "episodes", "ratio")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="foraging against lbforaging")
    parser.add_argument("--csv", help="write the table to this file, too")
    path = parser.parse_args().csv
    table = [row for id in TASKS for row in rows(Foraging.parse(id))]

    print(f"{COLUMNS[0]:30}" + "".join(f"{name:>13}" for name in COLUMNS[1:]))
    for id, name, batch, stepping, episodes, ratio in table:
        rates = f"{stepping:13,.0f}{episodes:13,.0f}{ratio:12,.0f}x"
        print(f"{id:30}{name:>13}{batch:13}{rates}")

    if path:
        with open(path, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])


def rows(task: Foraging) -> list[tuple]:
    """Returns env steps/s; the ratio is that of stepping to the original's."""
    theirs = original_rates(task)
    rates = [("lbforaging", 1, *theirs)]
    rates += [("syntony", batch, *our_rates(task, batch)) for batch in BATCHES]
    return [
        (
            task.id,
            name,
            batch,
            round(stepping),
            round(episodes),
            round(stepping / theirs[0], 1),
        )
        for name, batch, stepping, episodes in rates
    ]


def our_rates(task: Foraging, batch: int) -> tuple[float, float]:
    """Returns env steps/s without and with resets."""
    shape = (task.time_limit, batch, task.agents)
    actions = jax.random.randint(jax.random.key(0), shape, 0, task.actions)
    keys = jax.random.split(jax.random.key(1), batch)
    reset = jax.jit(jax.vmap(task.reset))
    steps = task.time_limit * batch

    def live(state: ForagingState, action: Array) -> tuple[ForagingState, Step]:
        return jax.vmap(task.step)(keys, state, action)

    walk = jax.jit(lambda state, actions: jax.lax.scan(live, state, actions))

    def episode(keys: Key[Array, " B"]) -> Step:
        return walk(reset(keys)[0], actions)[1]

    start = reset(keys)[0]
    return (
        best(lambda: jax.block_until_ready(walk(start, actions)), steps),
        best(lambda: jax.block_until_ready(episode(keys)), steps),
    )


def original_rates(task: Foraging) -> tuple[float, float]:
    """Returns env steps/s without and with resets."""
    env = ForagingEnv(
        players=task.players,
        min_player_level=task.min_player_level,
        max_player_level=task.max_player_level,
        min_food_level=1,
        max_food_level=None,
        field_size=(task.size, task.size),
        max_num_food=task.foods,
        sight=task.sight,
        max_episode_steps=task.time_limit,
        force_coop=task.coop,
    )
    rng = np.random.default_rng(0)
    shape = (task.time_limit, task.agents)
    actions = rng.integers(task.actions, size=shape).tolist()
    env.reset(seed=0)

    def walk() -> None:
        for action in actions:
            env.step(action)

    def episode() -> None:
        env.reset()
        walk()

    return best(walk, task.time_limit), best(episode, task.time_limit)


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
