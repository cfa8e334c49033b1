"""Speed of MAPPO on SMAX, compared with JaxMARL's own training loop.

Both train in this run, one after the other, in child processes, with networks of the
same width and as many environments side by side. Compile time and the time of training
are measured apart; evaluation is excluded. Steps are those of episodes that go on:
JaxMARL resets an environment when its episode ends, Syntony collects whole episodes.

    make test-jax-envs  # makes .venv-jax-envs
    .venv-jax-envs/bin/python benchmarks/jaxmarl_speed.py [--scenario 3m] [--json FILE]

Rates are by wall time, and by processor time, which is meaningful on a busy machine.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

LOOPS = ("jaxmarl", "syntony")
NUM_STEPS = 128
"""Steps of a batch in JaxMARL's loop, as in its configuration of SMAX."""


def main() -> None:
    """Measures both loops, and prints a table and the ratio of the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="3m")
    parser.add_argument("--preset", default="epymarl", help="constants of Syntony's")
    parser.add_argument("--num-envs", type=int, default=128)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path, help="also write the results here")
    parser.add_argument("--loop", choices=LOOPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.loop:
        measure = {"jaxmarl": measure_jaxmarl, "syntony": measure_syntony}[args.loop]
        print(json.dumps(measure(args)))
        return
    rows = {loop: measure_in_child(loop) for loop in LOOPS}
    for loop, row in rows.items():
        print(loop, "  ".join(f"{name} {value}" for name, value in row.items()))
    ratios = {
        name: round(rows["syntony"][name] / rows["jaxmarl"][name], 2)
        for name in ("steps_per_s", "steps_per_processor_s")
    }
    print("ratio", "  ".join(f"{name} {value}" for name, value in ratios.items()))
    if args.json:
        # Imported late, as is all of Syntony: the loop of JaxMARL runs without it.
        from syntony.training.provenance import collect_provenance

        facts = collect_provenance() | {"load_1_min": os.getloadavg()[0]}
        args.json.write_text(json.dumps(facts | rows | {"ratio": ratios}, indent=2))


def measure_in_child(loop: str) -> dict[str, float]:
    """Measures in a child process with this process's arguments."""
    command = [sys.executable, __file__, *sys.argv[1:], "--loop", loop]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def measure_jaxmarl(args: argparse.Namespace) -> dict[str, float]:
    """Rate of JaxMARL's loop."""
    from mappo_in_jaxmarl import JaxMARLLoop

    loop = JaxMARLLoop(
        args.scenario,
        num_envs=args.num_envs,
        num_steps=NUM_STEPS,
        hidden=args.hidden,
    )
    start = time.perf_counter()
    init = jax.jit(loop.init).lower(jax.random.key(0)).compile()
    runner = init(jax.random.key(0))
    update = jax.jit(loop.update, donate_argnums=0).lower(runner).compile()
    compile_s = time.perf_counter() - start
    runner = jax.block_until_ready(update(runner))
    num_updates, start = 0, (time.perf_counter(), time.process_time())
    while time.perf_counter() - start[0] < args.seconds:
        runner = jax.block_until_ready(update(runner))
        num_updates += 1
    return row(num_updates * args.num_envs * NUM_STEPS, start, compile_s)


def measure_syntony(args: argparse.Namespace) -> dict[str, float]:
    """Rate of `syntony train mappo`, without evaluation."""
    from syntony.config import replace_fields
    from syntony.presets.registry import preset
    from syntony.tasks.registry import task
    from syntony.training.compiled import compile_programs
    from syntony.training.devices import worker_devices

    system: Any = preset(
        "mappo", args.preset, task(f"jaxmarl:SMAX?scenario={args.scenario}")
    )
    backbone = replace_fields(
        system.actor_critic, num_envs=args.num_envs, hidden=args.hidden
    )
    system = replace_fields(system, actor_critic=backbone)
    start = time.perf_counter()
    programs = compile_programs(system, 100, worker_devices(1)[0])
    compile_s = time.perf_counter() - start
    state, steps = programs.init(system, jax.random.key(0)), [0]

    def train(updates: int) -> None:
        nonlocal state
        no_limit = np.int32(2**30)
        state, chunk = programs.train_chunk(system, state, no_limit, np.int32(updates))
        steps.append(int(jax.block_until_ready(chunk).step))

    train(1)
    start = time.perf_counter(), time.process_time()
    while time.perf_counter() - start[0] < args.seconds:
        train(1)
    return row(steps[-1] - steps[1], start, compile_s)


def row(steps: int, start: tuple[float, float], compile_s: float) -> dict[str, float]:
    """A row of the table.

    Args:
        steps: environment steps since the start.
        start: wall and processor time of the start.
        compile_s: wall time of the compilation.
    """
    wall_s, processor_s = time.perf_counter() - start[0], time.process_time() - start[1]
    return {
        "steps_per_s": round(steps / wall_s),
        "steps_per_processor_s": round(steps / processor_s),
        "compile_s": round(compile_s, 1),
    }


if __name__ == "__main__":
    main()
