"""Training speed of multi-agent systems, compared with the machine's limit.

Each measurement is a child process, so that peak memory and compile time are its own.
All parts of training are included (beliefs, bonus), evaluation is excluded.

    python benchmarks/training_speed.py [--csv FILE] [TASK ...]

The limit: the time of the necessary matrix products, at the rate of a large product on
all cores. The FLOPs of a step are counted layer by layer below: forward, twice that
backward, and each product once.
"""

import argparse
import csv
import itertools
import json
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

TASKS = ("Foraging-2s-8x8-3p-2f-coop", "SimpleSpread-3", "rware-tiny-4ag-hard")
SYSTEMS = ("smpe", "maa2c")
STEPS = 300_000
"""Environment steps that are timed for each seed, after a third as many untimed."""
COLUMNS = (
    "task",
    "system",
    "seeds",
    "steps_per_s",
    "compile_s",
    "peak_memory_gb",
    "mflop_per_step",
    "sgemm_gflops",
    "share_of_limit",
)


def main() -> None:
    """Measures each system with one seed and with two, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=TASKS, metavar="TASK")
    parser.add_argument("--csv", type=Path, help="also write the table here")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        task, system, seeds = args.one
        print(json.dumps(measure(task, system, int(seeds))))
        return
    rows = []
    for case in itertools.product(args.tasks, SYSTEMS, (1, 2)):
        rows.append(measure_in_child(*case))
        print("  ".join(f"{name} {rows[-1][name]}" for name in COLUMNS), flush=True)
    if args.csv:
        with args.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows([row[name] for name in COLUMNS] for row in rows)


def measure_in_child(task: str, system: str, seeds: int) -> dict[str, Any]:
    """Measures in a child process."""
    command = [sys.executable, __file__, "--one", task, system, str(seeds)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def measure(id: str, name: str, seeds: int) -> dict[str, Any]:
    """Trains as `syntony train` does, and returns a row of the table."""
    import jax
    import numpy as np

    from syntony.presets.registry import preset
    from syntony.tasks.registry import task
    from syntony.training.compiled import compile_programs
    from syntony.training.devices import worker_devices

    system: Any = preset(name, "paper", task(id))
    updates = max(1, STEPS // 3 // (system.num_envs * system.task.time_limit))
    devices = worker_devices(seeds)
    start = time.perf_counter()
    programs = compile_programs(system, 100, devices[0])
    compile_s = time.perf_counter() - start

    def train(train_state: Any, updates: int) -> Any:
        no_limit = np.int32(2**30)
        train_state, chunk = programs.train_chunk(
            system, train_state, no_limit, np.int32(updates)
        )
        return jax.block_until_ready(train_state), int(chunk.step)

    def init(seed: int) -> Any:
        key = jax.device_put(jax.random.key(seed), devices[0])
        return train(programs.init(system, key), updates)

    with ThreadPoolExecutor(len(devices)) as pool:
        states = list(pool.map(init, range(seeds)))
        before = sum(step for _, step in states)
        start = time.perf_counter()
        states = list(pool.map(lambda s: train(s[0], 3 * updates), states))
        seconds = time.perf_counter() - start
        rate = (sum(step for _, step in states) - before) / seconds
    flops, gflops = flops_per_step(system, name), sgemm_gflops()
    case = {"task": id, "system": name, "seeds": seeds}
    return case | {
        "steps_per_s": round(rate),
        "compile_s": round(compile_s, 1),
        "peak_memory_gb": round(peak_memory_gb(), 2),
        "mflop_per_step": round(flops / 1e6, 2),
        "sgemm_gflops": round(gflops, 1),
        "share_of_limit": round(rate * flops / (gflops * 1e9), 3),
    }


def flops_per_step(system: Any, name: str) -> float:
    """FLOPs that one environment step needs."""
    from syntony.systems.marl.smpe_beliefs import filter_layer_sizes

    task, config = system.task, system.actor_critic
    agents, size, hidden = task.num_agents, task.obs_dim, config.hidden
    smpe = name == "smpe"
    latent = system.beliefs.latent_dim if smpe else 0

    actor = product(size + latent + agents, hidden) + 2 * product(hidden, 3 * hidden)
    actor += product(hidden, task.num_actions)
    critic_input, critic = product(agents * size, hidden), layers(hidden, hidden, 1)
    # The rollout's pass serves the loss; back-propagation costs two more.
    flops = 3 * actor
    # The critic's own pass and gradient, and its target network's pass. The joint
    # observation is the same for each agent.
    flops += 4 * (critic_input / agents + critic)
    if smpe:
        beliefs = system.beliefs
        others = (agents - 1) * size
        encoder = layers(size, latent, latent, 2 * latent)
        decoder = layers(latent, latent, latent, others)
        filters = layers(*filter_layer_sizes(beliefs, task))
        sample = 3 * (encoder + decoder + filters) + filters
        samples = (
            beliefs.belief_minibatches
            * beliefs.belief_minibatch_size
            / beliefs.belief_update_interval
        )
        hashing = product(latent, system.exploration.hash_bits)
        flops += 4 * (critic_input + critic) + 3 * filters + encoder + hashing
        flops += samples * sample
    return agents * flops


def layers(*sizes: int) -> int:
    """FLOPs of an MLP, for one row."""
    return sum(product(a, b) for a, b in itertools.pairwise(sizes))


def product(size_in: int, size_out: int) -> int:
    """FLOPs of a row times a matrix."""
    return 2 * size_in * size_out


def sgemm_gflops(size: int = 1024, repeats: int = 20) -> float:
    """Rate of a large float32 matrix product on all cores, in GFLOP/s."""
    import jax
    import jax.numpy as jnp

    from syntony.training.devices import compiler_options

    x = jnp.ones((size, size))
    power = jax.jit(
        lambda x: jax.lax.fori_loop(0, repeats, lambda _, y: y @ x / size, x)
    )
    compiled = power.lower(x).compile(compiler_options())
    compiled(x).block_until_ready()
    fastest = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        compiled(x).block_until_ready()
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * size**3 * repeats / fastest / 1e9


def peak_memory_gb() -> float:
    """Peak memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


if __name__ == "__main__":
    main()
