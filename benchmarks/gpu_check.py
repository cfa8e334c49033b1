"""GPU check: that training runs on a GPU, agrees with the CPU, and how fast it is.

    python benchmarks/gpu_check.py [--out FILE.json] [--updates N] [--seeds 1,8,32]

For SMPE², MAPPO, QMIX and a link: compile time, and steps per second with several seeds
side by side (`jax.vmap` over seeds on one GPU), beside the same program on the host's
CPU with one seed. Agreement: the difference of the parameters after six updates on both
from the same state, relative to their change (norms). One run, one machine.
"""

import argparse
import dataclasses
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import syntony

TASK = "Foraging-2s-8x8-3p-2f-coop"
TEAMS = ("smpe", "mappo", "qmix")
AGREEMENT_UPDATES = 6
"""QMIX first updates when 32 episodes are stored, after the fourth rollout."""


def main() -> None:
    """Measures all systems on the default device and writes one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    parser.add_argument("--updates", type=int, default=20, help="timed updates")
    parser.add_argument("--seeds", default="1,8,32", help="seeds side by side")
    args = parser.parse_args()
    seeds = [int(n) for n in args.seeds.split(",")]
    result = {
        "command": "python benchmarks/gpu_check.py",
        "commit": commit(),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "platform": jax.devices()[0].platform,
        "task": TASK,
        "timed_updates": args.updates,
        "systems": {
            name: measure(system, seeds, args.updates)
            for name, system in systems().items()
        },
    }
    text = json.dumps(result, indent=2)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


def systems() -> dict[str, Any]:
    """Systems that are measured, with the constants of their default presets."""
    task = syntony.task(TASK)
    found: dict[str, Any] = {
        name: syntony.preset(name, "paper" if name != "qmix" else "epymarl", task)
        for name in TEAMS
    }
    # A buffer of 5,000 episodes for each of 32 seeds would only measure memory.
    q_learning = dataclasses.replace(found["qmix"].q_learning, buffer_size=500)
    found["qmix"] = dataclasses.replace(found["qmix"], q_learning=q_learning)
    return found | {"link": syntony.Link(channel=syntony.channel("awgn"))}


def measure(system: Any, seeds: list[int], updates: int) -> dict[str, Any]:
    """Speed with each number of seeds, speed of the CPU, and agreement with it."""
    default, cpu = jax.devices()[0], jax.devices("cpu")[0]
    rows = [measure_speed(system, n, updates, default) for n in seeds]
    result: dict[str, Any] = {"seeds_side_by_side": rows}
    if default.platform != "cpu":
        result["host_cpu"] = measure_speed(system, 1, updates, cpu)
        result["relative_difference_to_cpu"] = agreement(system, default, cpu)
    return result


def measure_speed(
    system: Any, num_seeds: int, updates: int, device: Any
) -> dict[str, Any]:
    """Compile time and steps per second of `num_seeds` seeds in one program."""
    with jax.default_device(device):
        keys = jax.random.split(jax.random.key(0), num_seeds)
        state = jax.jit(jax.vmap(system.init))(keys)
        start = time.perf_counter()
        train = compile_updates(system, state, updates)
        compile_s = time.perf_counter() - start
        # The first call fills the replay buffer and is not timed.
        state = jax.block_until_ready(train(state))
        before, start = total_steps(system, state), time.perf_counter()
        state = jax.block_until_ready(train(state))
        seconds = time.perf_counter() - start
        steps = total_steps(system, state) - before
    return {
        "seeds": num_seeds,
        "compile_s": round(compile_s, 2),
        "steps_per_s": round(steps / seconds),
        "updates_per_s": round(num_seeds * updates / seconds, 2),
    }


def compile_updates(system: Any, state: Any, updates: int) -> Callable[[Any], Any]:
    """Compiled program of so many updates of all seeds."""

    def update(state: Any, _: None) -> tuple[Any, None]:
        return jax.vmap(system.step)(state)[0], None

    def run(state: Any) -> Any:
        return jax.lax.scan(update, state, length=updates)[0]

    return jax.jit(run).lower(state).compile()


def total_steps(system: Any, state: Any) -> int:
    """Steps of all seeds so far."""
    return int(jnp.sum(jax.vmap(system.num_steps)(state)))


def agreement(system: Any, device: Any, cpu: Any) -> float:
    """Norm of the difference of parameters between devices, relative to their change.

    Adam's first steps have the size of the learning rate whatever the gradient is, so
    rounding may turn single parameters around: the norm over all says whether the
    updates agree.
    """
    starts, ends = zip(
        *(train_few(system, place) for place in (device, cpu)), strict=True
    )
    return float(
        np.linalg.norm(ends[0] - ends[1]) / np.linalg.norm(ends[1] - starts[1])
    )


def train_few(system: Any, device: Any) -> tuple[np.ndarray, np.ndarray]:
    """Parameters before and after a few updates on a device, as vectors."""
    with jax.default_device(device):
        state = jax.jit(system.init)(jax.random.key(0))
        step = jax.jit(lambda state: system.step(state)[0])
        start = floats(system.params(state))
        for _ in range(AGREEMENT_UPDATES):
            state = step(state)
        return start, floats(system.params(state))


def floats(params: Any) -> np.ndarray:
    """All parameters of floating-point type, as one vector on the host."""
    leaves = map(np.asarray, jax.tree.leaves(params))
    kept = [x.ravel() for x in leaves if np.issubdtype(x.dtype, np.floating)]
    return np.concatenate(kept)


def commit() -> str:
    """Commit of the checkout; empty outside of one."""
    command = ["git", "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip()


if __name__ == "__main__":
    main()
