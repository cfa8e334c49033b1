"""Common parts of the stepping benchmarks: one core, timed runs, rates of our tasks.

It must be imported before JAX, which then uses one core only.
"""

import csv
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import jax
from jaxtyping import Array, Key

from syntony.tasks.task import Task, TimeStep

BATCHES = (10, 1000)
RUNS = 4
SECONDS = 0.5
"""Minimum duration of one run."""
COLUMNS = ("task", "environment", "batch", "stepping", "episodes", "ratio")

Rates = tuple[float, float]
"""Environment steps per second, without and with resets."""


def rows(task: Task, peer: str, theirs: Rates, *, actions: int) -> list[tuple]:
    """Env steps/s of a peer and of ours; the ratio is that of stepping.

    Args:
        actions: random actions are sampled from the first `actions` ones.
    """
    rates = [(peer, 1, *theirs)]
    rates += [("syntony", b, *our_rates(task, b, actions=actions)) for b in BATCHES]
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


def our_rates(task: Task, batch: int, *, actions: int) -> Rates:
    """Env steps/s without and with resets."""
    shape = (task.time_limit, batch, task.num_agents)
    sampled = jax.random.randint(jax.random.key(0), shape, 0, actions)
    keys = jax.random.split(jax.random.key(1), batch)
    reset = jax.jit(jax.vmap(task.reset))
    steps = task.time_limit * batch

    def step(state: Any, action: Array) -> tuple[Any, TimeStep]:
        return jax.vmap(task.step)(keys, state, action)

    rollout = jax.jit(lambda state, actions: jax.lax.scan(step, state, actions))

    def episode(keys: Key[Array, " B"]) -> TimeStep:
        return rollout(reset(keys)[0], sampled)[1]

    start = reset(keys)[0]
    return (
        best(lambda: jax.block_until_ready(rollout(start, sampled)), steps),
        best(lambda: jax.block_until_ready(episode(keys)), steps),
    )


def best(run: Callable[[], object], steps: int) -> float:
    """Highest rate, in steps per second, of several timed runs."""
    run()
    return max(rate(run, steps) for _ in range(RUNS))


def rate(run: Callable[[], object], steps: int) -> float:
    """Steps per second of repeated runs of `steps` steps each."""
    start, done = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < SECONDS:
        run()
        done += steps
    return done / elapsed


def show(table: Sequence[tuple], path: str | None) -> None:
    """Prints the table, and writes it to a file if one is given."""
    print(f"{COLUMNS[0]:30}" + "".join(f"{name:>13}" for name in COLUMNS[1:]))
    for id, name, batch, stepping, episodes, ratio in table:
        rates = f"{stepping:13,.0f}{episodes:13,.0f}{ratio:12,.0f}x"
        print(f"{id:30}{name:>13}{batch:13}{rates}")
    if path:
        with open(path, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])
