"""Speed of external environments in Python, compared with the same tasks in JAX.

    python benchmarks/host_stepping.py [--csv FILE]

MAA2C, ten parallel episodes, one seed, one core. `acting` times rollouts; `training`
whole steps with updates. `_cpu` is per second of processor time, which is independent
of other programs on the machine. Compilation is excluded.
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

import syntony

TASKS = (
    "pettingzoo:mpe2.simple_spread_v3",
    "SimpleSpread-3",
    "gymnasium:lbforaging:Foraging-2s-8x8-3p-2f-coop-v3?max_player_level=3",
    "Foraging-2s-8x8-3p-2f-coop",
    "gymnasium:rware:rware-tiny-2ag-v2",
)
SECONDS = 4.0
COLUMNS = ("task", "acting", "acting_cpu", "training", "training_cpu")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", help="also write the table to this file")
    path = parser.parse_args().csv
    print(f"{COLUMNS[0]:72}" + "".join(f"{name:>14}" for name in COLUMNS[1:]))
    table = []
    for id in TASKS:
        table.append((id, *rates(syntony.MAA2C(task=syntony.task(id)))))
        print(f"{id:72}" + "".join(f"{rate:14,}" for rate in table[-1][1:]), flush=True)
    if path:
        with open(path, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])


def rates(system: syntony.MAA2C) -> list[int]:
    """Env steps/s of acting and training, each by the clock and by processor time."""
    state = jax.jit(system.init)(jax.random.key(0))
    collect, step = system.collect_episodes, system.step
    if system.jittable:
        collect, step = jax.jit(collect, static_argnums=2), jax.jit(step)

    def act(index: int) -> int:
        key = jax.random.fold_in(jax.random.key(1), index)
        return int(collect(state, key, system.num_envs).num_steps)

    def train(index: int) -> int:
        del index
        nonlocal state
        before: Any = state.env_steps
        state, _ = step(state)
        return int(state.env_steps - before)

    return [round(x) for measured in (act, train) for x in rate(measured)]


def rate(measured: Callable[[int], int]) -> tuple[float, float]:
    """Steps per second of the clock, and of processor time."""
    # Two calls: the state's array types change after the first, which compiles again.
    for index in range(2):
        measured(index)
    steps, index = 0, 2
    start, cpu_start = time.perf_counter(), time.process_time()
    while time.perf_counter() - start < SECONDS:
        index += 1
        steps += measured(index)
    return (
        steps / (time.perf_counter() - start),
        steps / (time.process_time() - cpu_start),
    )


if __name__ == "__main__":
    main()
