"""Latency of a player: one step of a trained team, from NumPy to NumPy.

    python benchmarks/player_latency.py [--out FILE.json] [--steps N]

For three agents in Foraging, with the networks of the papers' presets: time of one
`player.act(obs)`, with sampled actions, after a warm-up; its processor time, which does
not depend on other programs; and the time until the first action of a new player.
Weights are those at the start of training, as the time does not depend on them.
`load_1_min` is the number of processes that wanted a core: on an idle machine about 1.
"""

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import syntony

TASK = "Foraging-2s-8x8-3p-2f-coop"
PRESETS = {"smpe": "paper", "maa2c": "paper", "mappo": "paper", "qmix": "epymarl"}
WARM_UP = 50


def main() -> None:
    """Measures all systems and writes one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    parser.add_argument("--steps", type=int, default=5000, help="timed steps")
    args = parser.parse_args()
    systems = {name: measure(make(name), args.steps) for name in PRESETS}
    result = {
        "command": "python benchmarks/player_latency.py",
        "commit": commit(),
        "jax": jax.__version__,
        "machine": machine(),
        "load_1_min": round(os.getloadavg()[0], 1),
        "task": TASK,
        "agents": syntony.task(TASK).num_agents,
        "timed_steps": args.steps,
        "systems": systems,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


def make(name: str) -> Any:
    """System with the constants of its preset, and a small replay buffer."""
    system: Any = syntony.preset(name, PRESETS[name], syntony.task(TASK))
    if name != "qmix":
        return system
    q_learning = dataclasses.replace(system.q_learning, buffer_size=50)
    return dataclasses.replace(system, q_learning=q_learning)


def measure(system: Any, steps: int) -> dict[str, float]:
    """Times of a step in milliseconds, and seconds until the first action."""
    state = jax.jit(system.init)(jax.random.key(0))
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(steps, system.task.num_agents, system.task.obs_dim))
    start = time.perf_counter()
    player = syntony.Player(system, state)
    player.act(obs[0])
    first = time.perf_counter() - start
    for each in obs[:WARM_UP]:
        player.act(each)
    processor = time.process_time()
    times = [time_step(player, each) for each in obs]
    processor = time.process_time() - processor
    return {
        "median_ms": round(float(np.median(times)), 3),
        "percentile_99_ms": round(float(np.percentile(times, 99)), 3),
        "processor_ms": round(1000 * processor / steps, 3),
        "first_action_s": round(first, 2),
    }


def time_step(player: syntony.Player, obs: np.ndarray) -> float:
    """Milliseconds of one step."""
    start = time.perf_counter()
    player.act(obs)
    return 1000 * (time.perf_counter() - start)


def machine() -> str:
    """Processor and number of cores."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [line.partition(": ")[2] for line in lines if "model name" in line]
    return f"{(models or [platform.machine()])[0]}, {os.cpu_count()} cores"


def commit() -> str:
    """Commit of the checkout; empty outside of one."""
    command = ["git", "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip()


if __name__ == "__main__":
    main()
