"""Training speed of a link, compared with PyTorch and with the machine's limit.

    pip install -e '.[bench]'
    python benchmarks/link_speed.py [--threads N ...] [--csv FILE]

The peer is the same loop in optimized plain PyTorch: the transmitter's network runs
once on all messages and its rows are gathered; Adam; the same estimator with antithetic
pairs and the batch's mean as baseline. It has no gradient clipping, schedule and
checks, unlike ours.

For each number of threads a child process, bound to as many cores, measures both
alternately. Wall time is meaningful on an idle machine only, especially with several
threads; processor time of one thread also on a busy one.

The limit: the time of the necessary matrix products, at the rate of the fastest large
product of JAX, PyTorch and NumPy, measured in the same turns.
"""

import argparse
import csv
import json
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
"""Batch size, and iterations that are timed together."""
TURNS = 7
MESSAGES, USES, HIDDEN, SNR_DB = 256, 4, 256, 10.0
EVALUATION_BLOCKS = 100_000
COLUMNS = ("measure", "batch", "threads", "syntony", "pytorch", "limit", "load")
Timed = Callable[[], Any]


def main() -> None:
    """Measures with each number of threads, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, help="also write the table here")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one)))
        return
    rows = [row for threads in args.threads for row in measure_in_child(threads)]
    for row in rows:
        print("  ".join(f"{name} {row.get(name, '')}" for name in COLUMNS))
    if args.csv:
        with args.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows([row.get(name) for name in COLUMNS] for row in rows)


def measure_in_child(threads: int) -> list[dict[str, Any]]:
    """Measures in a child process."""
    command = [sys.executable, __file__, "--one", str(threads)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout)


def measure(threads: int) -> list[dict[str, Any]]:
    """Rows of the table for this number of threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(threads)
    products = large_products()
    rows = [evaluation(products)]
    for batch, iterations in BATCHES.items():
        rows += training(batch, iterations, products)
    # Timings are valid for a load of 1 to 2.
    load = round(os.getloadavg()[0], 1)
    return [{"threads": threads, "load": load} | row for row in rows]


def training(
    batch: int, iterations: int, products: dict[str, Timed]
) -> list[dict[str, Any]]:
    """Iterations per second of both, and processor time per iteration."""
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
    """Function that trains a link for a number of iterations, and compile time."""
    import jax
    import numpy as np

    link, programs, compile_s = compiled_link(batch, 1000)
    train_state = programs.init(link, jax.random.key(0))

    def train(iterations: int) -> None:
        nonlocal train_state
        max_updates = np.int32(iterations)
        train_state, _ = programs.train_chunk(
            link, train_state, np.int32(2**30), max_updates
        )
        jax.block_until_ready(train_state)

    # After the warm-up, in which only the receiver is trained.
    train(link.schedule.receiver_warmup_iterations + 1)
    return train, compile_s


def compiled_link(batch: int, episodes: int) -> tuple[Any, Any, float]:
    """Link, its programs as compiled by `syntony train`, and compile time in s."""
    from syntony.channels.awgn import AWGN
    from syntony.systems.link.link import Link
    from syntony.systems.link.schedule import TrainingSchedule
    from syntony.training.compiled import compile_programs
    from syntony.training.devices import worker_devices

    link = Link(
        channel=AWGN(snr_db=SNR_DB),
        messages=MESSAGES,
        uses=USES,
        hidden=HIDDEN,
        schedule=TrainingSchedule(batch_size=batch),
    )
    start = time.perf_counter()
    programs = compile_programs(link, episodes, worker_devices(1)[0])
    return link, programs, round(time.perf_counter() - start, 1)


def torch_link(batch: int) -> Any:
    """Link in PyTorch, with the initial perturbation variance of ours."""
    import torch  # pyright: ignore[reportMissingImports]
    from link_in_pytorch import TorchLink

    from syntony.systems.link.gradient_estimators import NETWORK_VARIANCES

    torch.manual_seed(0)
    variance, _ = NETWORK_VARIANCES
    return TorchLink(
        MESSAGES, USES, HIDDEN, batch=batch, snr_db=SNR_DB, variance=variance
    )


def evaluation(products: dict[str, Timed]) -> dict[str, Any]:
    """Blocks per second of `syntony evaluate`, by the receiver and by ML detection."""
    import jax

    from syntony.evaluation.bler import BATCH_SIZE
    from syntony.systems.link.link import Link
    from syntony.training.devices import compiler_options

    batches = max(1, EVALUATION_BLOCKS // BATCH_SIZE)
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
    """Block errors of a link's receiver, and of ML detection of its codebook."""
    import jax
    import jax.numpy as jnp

    from syntony.evaluation.bler import link_detectors, simulate_batch
    from syntony.systems.link.link import Link

    link = Link()
    codebook = link.codebook(state.transmitter)
    detectors = link_detectors(link, state)

    def add_batch(i: Any, errors: Any) -> Any:
        batch_key = jax.random.fold_in(key, i)
        batch = simulate_batch(codebook, detectors, batch_key, link.channel, ())
        return errors + jnp.sum(batch.decisions != batch.message, axis=-1)

    return jax.lax.fori_loop(0, batches, add_batch, jnp.zeros(2, jnp.int32))


def iteration_flops(batch: int) -> float:
    """FLOPs of an iteration: two forward passes, one backward pass.

    The receiver's input needs no gradient, the transmitter's network runs on M rows.
    """
    first = 2 * 2 * USES * HIDDEN
    return batch * (4 * forward_flops() - first)


def forward_flops() -> int:
    """FLOPs of the receiver for one block."""
    return 2 * 2 * USES * HIDDEN + 2 * HIDDEN * MESSAGES


SIZE = 1024


def large_products() -> dict[str, Timed]:
    """A large float32 matrix product of each library, to be timed."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import torch  # pyright: ignore[reportMissingImports]

    torch_x, numpy_x = torch.ones(SIZE, SIZE), np.ones((SIZE, SIZE), np.float32)
    jax_x, matmul = jnp.ones((SIZE, SIZE)), jax.jit(jnp.matmul)
    return {
        "JAX's product": lambda: matmul(jax_x, jax_x).block_until_ready(),
        "PyTorch's product": lambda: torch_x @ torch_x,
        "NumPy's product": lambda: numpy_x @ numpy_x,
    }


def rate(seconds: dict[str, float], products: dict[str, Timed]) -> float:
    """Highest rate of a large product, in GFLOP/s."""
    return 2 * SIZE**3 / min(seconds[name] for name in products) / 1e9


def in_turns(timed: dict[str, Timed]) -> tuple[dict[str, float], dict[str, float]]:
    """Medians of wall time and processor time of each, in s, after a warm-up."""
    wall: dict[str, list[float]] = {name: [] for name in timed}
    processor: dict[str, list[float]] = {name: [] for name in timed}
    repeat(lambda: [run() for run in timed.values()], 1)
    for _ in range(TURNS):
        for name, run in timed.items():
            start = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - start[0])
            processor[name].append(time.process_time() - start[1])
    median = statistics.median
    return (
        {name: median(values) for name, values in wall.items()},
        {name: median(values) for name, values in processor.items()},
    )


def repeat(run: Timed, times: int) -> None:
    """Calls a function several times."""
    for _ in range(times):
        run()


if __name__ == "__main__":
    main()
