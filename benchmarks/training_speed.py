"""How fast do teams train, and what share of the machine's limit is that?

Each measurement is a process of its own, so that peak memory and compile time are its
own too. Everything of training is included (bursts, bonus), evaluation is left out.

    python benchmarks/training_speed.py [--csv FILE] [TASK ...]

The limit: the products that the algorithm cannot do without, at the rate of a large
matrix product on all cores. The FLOPs of a step are counted layer by layer below:
forward, twice that backward, and no product more than once.
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
"""Environment steps that are timed for each seed, after a third as many unmeasured."""
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
    arguments = parser.parse_args()
    if arguments.one:
        task, system, seeds = arguments.one
        print(json.dumps(measure(task, system, int(seeds))))
        return
    rows = []
    for measured in itertools.product(arguments.tasks, SYSTEMS, (1, 2)):
        rows.append(alone(*measured))
        print("  ".join(f"{name} {rows[-1][name]}" for name in COLUMNS), flush=True)
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows([row[name] for name in COLUMNS] for row in rows)


def alone(task: str, system: str, seeds: int) -> dict[str, Any]:
    """Measures in a fresh process."""
    command = [sys.executable, __file__, "--one", task, system, str(seeds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure(id: str, name: str, seeds: int) -> dict[str, Any]:
    """Trains for a while, as `syntony train` does, and returns a row of the table."""
    import jax
    import numpy as np

    from syntony.presets.registry import preset
    from syntony.tasks.registry import task
    from syntony.training.compiled import compile_programs
    from syntony.training.devices import worker_devices

    learner: Any = preset(name, "paper", task(id))
    updates = max(1, STEPS // 3 // (learner.num_envs * learner.task.time_limit))
    crew = worker_devices(seeds)
    began = time.perf_counter()
    programs = compile_programs(learner, 100, crew[0])
    compile_s = time.perf_counter() - began

    def learn(progress: Any, updates: int) -> Any:
        far = np.int32(2**30)
        progress, chunk = programs.train_chunk(
            learner, progress, far, np.int32(updates)
        )
        return jax.block_until_ready(progress), int(chunk.step)

    def begin(seed: int) -> Any:
        key = jax.device_put(jax.random.key(seed), crew[0])
        return learn(programs.init(learner, key), updates)

    with ThreadPoolExecutor(len(crew)) as pool:
        states = list(pool.map(begin, range(seeds)))
        before = sum(step for _, step in states)
        began = time.perf_counter()
        states = list(pool.map(lambda s: learn(s[0], 3 * updates), states))
        seconds = time.perf_counter() - began
        rate = (sum(step for _, step in states) - before) / seconds
    flops = flops_per_step(learner, name)
    gflops = sgemm_gflops()
    return {
        "task": id,
        "system": name,
        "seeds": seeds,
        "steps_per_s": round(rate),
        "compile_s": round(compile_s, 1),
        "peak_memory_gb": round(peak_memory_gb(), 2),
        "mflop_per_step": round(flops / 1e6, 2),
        "sgemm_gflops": round(gflops, 1),
        "share_of_limit": round(rate * flops / (gflops * 1e9), 3),
    }


def flops_per_step(learner: Any, name: str) -> float:
    """Returns the floating-point operations that one environment step needs."""
    task, backbone = learner.task, learner.actor_critic
    agents, size, hidden = task.agents, task.obs_size, backbone.hidden
    smpe = name == "smpe"
    latent = learner.beliefs.latent_dim if smpe else 0

    actor = product(size + latent + agents, hidden) + 2 * product(hidden, 3 * hidden)
    actor += product(hidden, task.actions)
    judged, critic = product(agents * size, hidden), layers(hidden, hidden, 1)
    # The rollout's pass serves the loss; back-propagation costs two more.
    flops = 3 * actor
    # The critic's own pass and gradient, and its slow copy's pass. What all agents see
    # together is the same for each of them.
    flops += 4 * (judged / agents + critic)
    if smpe:
        beliefs = learner.beliefs
        others = (agents - 1) * size
        encoder = layers(size, latent, latent, 2 * latent)
        decoder = layers(latent, latent, latent, others)
        filters = layers(*beliefs.filter_layer_sizes(task))
        sample = 3 * (encoder + decoder + filters) + filters
        samples = (
            beliefs.belief_minibatches
            * beliefs.belief_minibatch_size
            / beliefs.belief_update_interval
        )
        hashing = product(latent, learner.exploration.bits)
        flops += 4 * (judged + critic) + 3 * filters + encoder + hashing
        flops += samples * sample
    return agents * flops


def layers(*sizes: int) -> int:
    """Returns the FLOPs of a perceptron, for one row."""
    return sum(product(a, b) for a, b in itertools.pairwise(sizes))


def product(size_in: int, size_out: int) -> int:
    """Returns the FLOPs of a row times a matrix."""
    return 2 * size_in * size_out


def sgemm_gflops(size: int = 1024, repeats: int = 20) -> float:
    """Returns the rate of a large float32 product on all cores, in GFLOP/s."""
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
        began = time.perf_counter()
        compiled(x).block_until_ready()
        fastest = min(fastest, time.perf_counter() - began)
    return 2 * size**3 * repeats / fastest / 1e9


def peak_memory_gb() -> float:
    """Returns the most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


if __name__ == "__main__":
    main()
