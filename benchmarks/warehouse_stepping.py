"""Speed of the warehouse, compared with Jumanji's RobotWarehouse and the original.

    python benchmarks/warehouse_stepping.py [--csv FILE] [--jumanji PYTHON]

Random actions, sampled beforehand; resets and compilation are excluded; every
observation and reward is returned, as training needs them. All alternate in one run, on
all cores, so that other load on the machine affects each; best of several turns.

Jumanji is not in our virtual environment. It needs one of its own, given by its Python:

    python -m venv jumanji && jumanji/bin/pip install jumanji
    python benchmarks/warehouse_stepping.py --jumanji jumanji/bin/python

The rules of Jumanji's differ (docs/tasks/warehouse.md); floor, agents, batch do not.
"""

import argparse
import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

AGENTS = (2, 4)
BATCHES = (8, 64, 2048)
STEPS = 50
TURNS = 3
SECONDS = 1.0
"""Minimum duration of one turn."""
COLUMNS = ("agents", "batch", "syntony", "jumanji", "ratio", "rware", "load")


def main() -> None:
    """Prints the table; as a child process, measures one side."""
    parser = argparse.ArgumentParser(description="the warehouse against its peers")
    parser.add_argument("--csv", help="also write the table to this file")
    parser.add_argument("--jumanji", help="Python of an environment with Jumanji")
    parser.add_argument("--side", help="measure one of %(metavar)s", metavar="SIDES")
    options = parser.parse_args()
    if options.side:
        return measure_one(*options.side.split(","))
    if not options.jumanji:
        print("without Jumanji; --help says how to install it")

    print("".join(f"{name:>12}" for name in COLUMNS))
    table = []
    for agents in AGENTS:
        original = best(sys.executable, "rware", agents, 1)
        for batch in BATCHES:
            table.append(row(options.jumanji, agents, batch, original))
            print("".join(f"{value:>12}" for value in table[-1]), flush=True)
    if options.csv:
        with open(options.csv, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])
    return None


def row(jumanji: str | None, agents: int, batch: int, original: int) -> tuple:
    """Env steps/s of all, and the load of the machine."""
    ours = theirs = 0
    for _ in range(TURNS):
        ours = max(ours, best(sys.executable, "syntony", agents, batch))
        if jumanji:
            theirs = max(theirs, best(jumanji, "jumanji", agents, batch))
    ratio = round(ours / theirs, 1) if theirs else ""
    load = round(os.getloadavg()[0], 1)
    return agents, batch, ours, theirs or "", ratio, original, load


def best(python: str, side: str, agents: int, batch: int) -> int:
    """Env steps/s of one side, measured in a child process."""
    command = [python, __file__, "--side", f"{side},{agents},{batch}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{side} failed: {result.stderr.strip().splitlines()[-1]}")
    return int(result.stdout.split()[-1])


def measure_one(side: str, agents: str, batch: str) -> None:
    """Prints env steps/s of one side."""
    sides = {"syntony": syntony, "jumanji": jumanji, "rware": rware}
    run = sides[side](int(agents), int(batch))
    run()
    start, done = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < SECONDS:
        run()
        done += STEPS * int(batch)
    print(round(done / elapsed))


def syntony(agents: int, batch: int) -> Callable[[], object]:
    """Function that steps our warehouse."""
    from syntony.tasks.warehouse.rules import Warehouse

    task = Warehouse.parse(f"rware-tiny-{agents}ag-hard")

    def step(key: Any, state: Any, action: Any) -> Any:
        state, step = task.step(key, state, action)
        return state, (step.obs, step.reward)

    return rollout_fn(task.reset, step, agents, batch)


def jumanji(agents: int, batch: int) -> Callable[[], object]:
    """Function that steps Jumanji's warehouse."""
    from jumanji.environments.routing.robot_warehouse import (  # type: ignore
        RobotWarehouse,
        generator,
    )

    floor = generator.RandomGenerator(
        shelf_rows=1,
        shelf_columns=3,
        column_height=8,
        num_agents=agents,
        sensor_range=1,
        request_queue_size=agents // 2,
    )
    env = RobotWarehouse(generator=floor, time_limit=500)

    def step(_: Any, state: Any, action: Any) -> Any:
        state, step = env.step(state, action)
        return state, (step.observation.agents_view, step.reward)

    return rollout_fn(env.reset, step, agents, batch)


def rollout_fn(reset: Any, step: Any, agents: int, batch: int) -> Callable[[], object]:
    """Compiled function that takes many steps of a batch."""
    import jax

    keys = jax.random.split(jax.random.PRNGKey(0), batch)
    start, _ = jax.jit(jax.vmap(reset))(keys)
    shape = (STEPS, batch, agents)
    actions = jax.random.randint(jax.random.PRNGKey(1), shape, 0, 5)
    step_keys = jax.random.split(jax.random.PRNGKey(2), (STEPS, batch))

    def batch_step(state: Any, inputs: Any) -> Any:
        return jax.vmap(step)(inputs[0], state, inputs[1])

    rollout = jax.jit(lambda state, inputs: jax.lax.scan(batch_step, state, inputs))
    return lambda: jax.block_until_ready(rollout(start, (step_keys, actions)))


def rware(agents: int, batch: int) -> Callable[[], object]:
    """Function that steps one environment of the original."""
    import numpy as np
    from rware.warehouse import RewardType, Warehouse

    kind = RewardType.INDIVIDUAL
    env = Warehouse(3, 8, 1, agents, 0, 1, agents // 2, None, None, kind)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(5, size=(STEPS * batch, agents))
    return lambda: [env.step(action) for action in actions.tolist()]


if __name__ == "__main__":
    main()
