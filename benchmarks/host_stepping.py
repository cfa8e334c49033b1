"""How fast are tasks that are stepped on the host, beside the same in JAX?

    python benchmarks/host_stepping.py [--csv FILE]

MAA2C with `--preset paper`, ten episodes side by side, one seed, one core. `playing`
counts the steps of a team that acts; `learning` those of whole updates. `cpu` is what
counts: environment steps for each second of processor time, of which other programs on
the machine take nothing away. Compilation is left out.
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

from syntony.systems.marl.maa2c import MAA2C
from syntony.tasks.registry import task

TASKS = (
    "pettingzoo:mpe2.simple_spread_v3",
    "SimpleSpread-3",
    "gymnasium:lbforaging:Foraging-2s-8x8-3p-2f-coop-v3?max_player_level=3",
    "Foraging-2s-8x8-3p-2f-coop",
    "gymnasium:rware:rware-tiny-2ag-v2",
)
SECONDS = 4.0
COLUMNS = ("task", "playing", "playing_cpu", "learning", "learning_cpu")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", help="write the table to this file, too")
    path = parser.parse_args().csv
    print(f"{COLUMNS[0]:72}" + "".join(f"{name:>14}" for name in COLUMNS[1:]))
    table = []
    for id in TASKS:
        table.append((id, *rates(MAA2C(task=task(id)))))
        print(f"{id:72}" + "".join(f"{rate:14,}" for rate in table[-1][1:]), flush=True)
    if path:
        with open(path, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])


def rates(team: MAA2C) -> list[int]:
    """Returns env steps a second, of the clock and of the processor: twice two."""
    state = jax.jit(team.init)(jax.random.key(0))
    live, step = team.collect_episodes, team.step
    if team.as_jittable() is team:
        live, step = jax.jit(live, static_argnums=2), jax.jit(step)

    def play(number: int) -> int:
        key = jax.random.fold_in(jax.random.key(1), number)
        return int(live(state, key, team.num_envs).num_steps)

    def learn(number: int) -> int:
        del number
        nonlocal state
        before: Any = state.env_steps
        state, _ = step(state)
        return int(state.env_steps - before)

    return [round(x) for what in (play, learn) for x in rate(what)]


def rate(what: Callable[[int], int]) -> tuple[float, float]:
    """Returns steps a second of the clock, and of the processor."""
    # Twice: what the first leaves is of other types than what it was given.
    for number in range(2):
        what(number)
    done, number = 0, 2
    start, busy = time.perf_counter(), time.process_time()
    while time.perf_counter() - start < SECONDS:
        number += 1
        done += what(number)
    return (
        done / (time.perf_counter() - start),
        done / (time.process_time() - busy),
    )


if __name__ == "__main__":
    main()
