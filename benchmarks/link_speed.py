"""How fast does a link train: against PyTorch, and as a share of the machine's limit?

    pip install 'syntony[bench]'
    python benchmarks/link_speed.py [--threads N ...] [--csv FILE]

The peer is the same loop in plain PyTorch, as a good engineer would write it: the
transmitter runs once on all messages, rows of it are gathered, Adam, the same estimator
with antithetic pairs and the batch's mean as baseline. It is spared the clipping of
gradients, the schedule and the checks that ours does.

For each number of threads a process of its own, bound to as many cores, measures both
in turns. Wall time means something on an idle machine alone, more so with several
threads; processor time of one thread, on a busy one as well.

The limit: the products that the algorithm cannot do without, at the rate of the best
large product among JAX, PyTorch and NumPy, measured in the same turns.
"""

import argparse
import csv
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

BATCHES = {1000: 50, 10_000: 5}
"""Blocks a step, and iterations that are timed together."""
TURNS = 7
MESSAGES, USES, HIDDEN, SNR_DB = 256, 4, 256, 10.0
TARGET = 6.2e-3
"""Block error rate of uncoded QPSK at 10 dB."""
EVALUATED = 100_000
COLUMNS = ("measure", "batch", "threads", "syntony", "pytorch", "limit", "load")
Timed = Callable[[], Any]


def main() -> None:
    """Measures with each number of threads, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, help="also write the table here")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    rows = [row for threads in arguments.threads for row in alone(threads)]
    for row in rows:
        print("  ".join(f"{name} {row.get(name, '')}" for name in COLUMNS))
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows([row.get(name) for name in COLUMNS] for row in rows)


def alone(threads: int) -> list[dict[str, Any]]:
    """Measures in a fresh process."""
    command = [sys.executable, __file__, "--one", str(threads)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(threads: int) -> list[dict[str, Any]]:
    """Returns the rows of the table for this number of threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(threads)
    products = large_products()
    rows = [evaluation(products)]
    for batch, iterations in BATCHES.items():
        rows += training(batch, iterations, products)
    rows += to_target()
    # What others left of the machine: these numbers are for load 1 to 2.
    load = round(os.getloadavg()[0], 1)
    return [{"threads": threads, "load": load} | row for row in rows]


def training(
    batch: int, iterations: int, products: dict[str, Timed]
) -> list[dict[str, Any]]:
    """Returns iterations a second of both, and the processor time of an iteration."""
    ours, compile_s = syntony_training(batch)
    theirs = torch_link(batch).iterate
    timed = {
        "syntony": partial(ours, iterations),
        "pytorch": partial(repeat, theirs, iterations),
    }
    wall, processor = in_turns(timed | products)
    gflops = rate(wall, products)
    return [
        {
            "measure": "iterations a second",
            "batch": batch,
            **{name: round(iterations / wall[name], 1) for name in timed},
            "limit": round(gflops * 1e9 / iteration_flops(batch), 1),
        },
        {
            "measure": "processor milliseconds an iteration",
            "batch": batch,
            **{name: round(1e3 * processor[name] / iterations, 2) for name in timed},
            "limit": round(iteration_flops(batch) / rate(processor, products) / 1e6, 2),
        },
        {"measure": "seconds to compile", "batch": batch, "syntony": compile_s},
    ]


def syntony_training(batch: int) -> tuple[Callable[[int], Any], float]:
    """Returns what trains a link for some iterations, and how long compiling took."""
    import jax
    import numpy as np

    learner, programs, compile_s = compiled_link(batch, 1000)
    progress = programs.begin(learner, jax.random.key(0))

    def train(iterations: int) -> None:
        nonlocal progress
        most = np.int32(iterations)
        progress, _ = programs.advance(learner, progress, np.int32(2**30), most)
        jax.block_until_ready(progress)

    # Past the first iterations, in which only the receiver learns.
    train(learner.schedule.receiver_warmup_iterations + 1)
    return train, compile_s


def compiled_link(batch: int, episodes: int) -> tuple[Any, Any, float]:
    """Returns a link, its programs as `syntony train` makes them, and how long that."""
    from syntony.channels.awgn import AWGN
    from syntony.systems.link.link import Link
    from syntony.systems.link.schedule import TrainingSchedule
    from syntony.training.compiled import compile_programs
    from syntony.training.devices import worker_devices

    learner = Link(
        channel=AWGN(snr_db=SNR_DB),
        messages=MESSAGES,
        uses=USES,
        hidden=HIDDEN,
        schedule=TrainingSchedule(batch_size=batch),
    )
    began = time.perf_counter()
    programs = compile_programs(learner, episodes, worker_devices(1)[0])
    return learner, programs, round(time.perf_counter() - began, 1)


def torch_link(batch: int) -> Any:
    """Returns a link in PyTorch, explored as ours is at the start."""
    import torch  # pyright: ignore[reportMissingImports]
    from link_in_pytorch import TorchLink

    from syntony.systems.link.gradient_estimators import PerturbationConfig

    torch.manual_seed(0)
    variance = PerturbationConfig().perturbation_variance
    return TorchLink(
        MESSAGES, USES, HIDDEN, batch=batch, snr_db=SNR_DB, variance=variance
    )


def to_target(chunk: int = 25) -> list[dict[str, Any]]:
    """Returns iterations and seconds to `TARGET`; compiling and judging left out."""
    import jax
    import numpy as np

    learner, programs, _ = compiled_link(1000, EVALUATED)
    progress = programs.begin(learner, jax.random.key(0))
    bounds = np.int32(2**30), np.int32(chunk)

    def train() -> None:
        nonlocal progress
        progress, _ = programs.advance(learner, progress, *bounds)
        jax.block_until_ready(progress)

    def error_rate(_: int) -> float:
        found = programs.evaluate(learner, progress.state, jax.random.key(1))
        return float(np.mean(found["eval/bler"]))

    peer = torch_link(1000)
    ours = until_target(train, error_rate)
    theirs = until_target(partial(repeat, peer.iterate, chunk), peer.error_rate)
    aim = f"to a block error rate of {TARGET}"
    return [
        {
            "measure": f"{unit} {aim}",
            "batch": 1000,
            "syntony": round(ours[i] * factor, 2),
            "pytorch": round(theirs[i] * factor, 2),
        }
        for i, (unit, factor) in enumerate((("iterations", chunk), ("seconds", 1)))
    ]


def until_target(
    train: Timed, error_rate: Callable[[int], float], most: int = 100
) -> tuple[float, float]:
    """Returns rounds and seconds of training until its error rate was met, or NaN."""
    seconds = 0.0
    for rounds in range(1, most + 1):
        began = time.perf_counter()
        train()
        seconds += time.perf_counter() - began
        if error_rate(EVALUATED) <= TARGET:
            return rounds, seconds
    return math.nan, math.nan


def evaluation(products: dict[str, Timed]) -> dict[str, Any]:
    """Returns blocks a second that `syntony evaluate` decides, twice: net and ML."""
    import jax

    from syntony.evaluation.bler import BATCH_SIZE
    from syntony.systems.link.link import Link
    from syntony.training.devices import compiler_options

    batches = max(1, EVALUATED // BATCH_SIZE)
    state, key = jax.jit(Link().init)(jax.random.key(0)), jax.random.key(2)
    program = jax.jit(partial(count_errors, batches=batches)).lower(state, key)
    compiled = program.compile(compiler_options())
    timed = {"syntony": lambda: jax.block_until_ready(compiled(state, key))}
    wall, _ = in_turns(timed | products)
    flops = forward_flops() + 2 * 2 * USES * MESSAGES
    return {
        "measure": "evaluated blocks a second",
        "batch": BATCH_SIZE,
        "syntony": round(batches * BATCH_SIZE / wall["syntony"]),
        "limit": round(rate(wall, products) * 1e9 / flops),
    }


def count_errors(state: Any, key: Any, *, batches: int) -> Any:
    """Returns wrong blocks of a link, and of the best decoder for its codebook."""
    import jax
    import jax.numpy as jnp

    from syntony.evaluation.bler import link_detectors, simulate_batch
    from syntony.systems.link.link import Link

    link = Link()
    codebook = link.codebook(state.transmitter)
    detectors = link_detectors(link, state)

    def more(i: Any, wrong: Any) -> Any:
        each = jax.random.fold_in(key, i)
        message, decided = simulate_batch(codebook, detectors, each, link.channel)
        return wrong + jnp.sum(decided != message, axis=-1)

    return jax.lax.fori_loop(0, batches, more, jnp.zeros(2, jnp.int32))


def iteration_flops(batch: int) -> float:
    """Returns what an iteration needs: two passes forward, one backward.

    The receiver's input needs no gradient, the transmitter's network runs on M rows.
    """
    first = 2 * 2 * USES * HIDDEN
    return batch * (4 * forward_flops() - first)


def forward_flops() -> int:
    """Returns the FLOPs of the receiver for one block."""
    return 2 * 2 * USES * HIDDEN + 2 * HIDDEN * MESSAGES


SIZE = 1024


def large_products() -> dict[str, Timed]:
    """Returns a large float32 product of each library, to be timed."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import torch  # pyright: ignore[reportMissingImports]

    theirs, plain = torch.ones(SIZE, SIZE), np.ones((SIZE, SIZE), np.float32)
    ours, product = jnp.ones((SIZE, SIZE)), jax.jit(jnp.matmul)
    return {
        "JAX's product": lambda: product(ours, ours).block_until_ready(),
        "PyTorch's product": lambda: theirs @ theirs,
        "NumPy's product": lambda: plain @ plain,
    }


def rate(seconds: dict[str, float], products: dict[str, Timed]) -> float:
    """Returns the best rate of a large product, in GFLOP/s."""
    return 2 * SIZE**3 / min(seconds[name] for name in products) / 1e9


def in_turns(timed: dict[str, Timed]) -> tuple[dict[str, float], dict[str, float]]:
    """Returns the median of wall and of processor seconds of each, after a warm-up."""
    wall: dict[str, list[float]] = {name: [] for name in timed}
    processor: dict[str, list[float]] = {name: [] for name in timed}
    repeat(lambda: [run() for run in timed.values()], 1)
    for _ in range(TURNS):
        for name, run in timed.items():
            began = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - began[0])
            processor[name].append(time.process_time() - began[1])
    median = statistics.median
    return (
        {name: median(values) for name, values in wall.items()},
        {name: median(values) for name, values in processor.items()},
    )


def repeat(run: Timed, times: int) -> None:
    """Runs something several times."""
    for _ in range(times):
        run()


if __name__ == "__main__":
    main()
