"""Training time of a link to a block error rate, beside the same loop in PyTorch.

    pip install -e '.[bench]'
    python benchmarks/link_time_to_quality.py [--seeds N] [--json FILE]

256 messages in 4 uses over AWGN at 10 dB. Ours is what `syntony train link` trains; the
peer is the loop of `link_in_pytorch.py`, with a constant learning rate, antithetic
pairs and the batch's mean as baseline. Both are bound to one core.

Time is processor time of the training, which is meaningful on a busy machine as well.
Compilation, evaluation and the trials that choose a receiver are left out. After every
100 iterations 100,000 blocks are sent; a target is reached when their error rate is at
most the target.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from syntony.channels.awgn import AWGN
from syntony.presets.registry import default_preset, preset
from syntony.systems.link.link import Link
from syntony.training.compiled import compile_programs
from syntony.training.devices import worker_devices
from syntony.training.provenance import collect_provenance

TARGETS = (6.2e-3, 2e-3, 1e-3)
"""Block error rates; the first is that of uncoded QPSK."""
MESSAGES, USES, HIDDEN, SNR_DB = 256, 4, 256, 10.0
PERTURBATION_VARIANCE = 0.02
CHUNK, MAX_ITERATIONS, BLOCKS = 100, 10_000, 100_000
Trainer = tuple[Callable[[], None], Callable[[], float]]
"""Function that trains for `CHUNK` iterations, and one that measures the error rate."""


def main() -> None:
    """Measures both with each seed, and prints the medians and their ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the results here")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    makers = {"syntony": SyntonyTrainer(), "pytorch": pytorch_trainer}
    seeds = {
        name: [times_to_targets(*make(seed)) for seed in range(args.seeds)]
        for name, make in makers.items()
    }
    facts = collect_provenance() | {"load_1_min": round(os.getloadavg()[0], 1)}
    text = json.dumps(facts | summary(seeds) | {"seeds": seeds}, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


def times_to_targets(train: Callable[[], None], error_rate: Callable[[], float]) -> Any:
    """Processor seconds and iterations to each target; None if it is not reached."""
    reached: dict[float, tuple[float, int]] = {}
    seconds, best = 0.0, 1.0
    for iterations in range(CHUNK, MAX_ITERATIONS + 1, CHUNK):
        start = time.process_time()
        train()
        seconds += time.process_time() - start
        best = min(best, error_rate())
        for target in TARGETS:
            if best <= target:
                reached.setdefault(target, (round(seconds, 2), iterations))
        if len(reached) == len(TARGETS):
            break
    times = {f"{target:g}": reached.get(target) for target in TARGETS}
    return {"targets": times, "best": best, "seconds": round(seconds, 1)}


class SyntonyTrainer:
    """Our training, which is compiled once for all seeds."""

    def __init__(self) -> None:
        link = preset("link", default_preset("link"), AWGN(snr_db=SNR_DB))
        assert isinstance(link, Link)
        link = link.resolve_steps(MAX_ITERATIONS)
        self._link, _ = link.choose_settings(jax.random.key(0))
        self._programs = compile_programs(self._link, BLOCKS, worker_devices(1)[0])
        self._state: Any = None

    def __call__(self, seed: int) -> Trainer:
        """Training from the initial state of a seed; it ends that of the one before."""
        self._state = self._programs.init(self._link, jax.random.key(seed))
        return self._train, self._error_rate

    def _train(self) -> None:
        bounds = np.int32(2**30), np.int32(CHUNK)
        self._state, _ = self._programs.train_chunk(self._link, self._state, *bounds)
        jax.block_until_ready(self._state)

    def _error_rate(self) -> float:
        key = jax.random.key(1)
        samples = self._programs.evaluate(self._link, self._state.state, key)
        return float(np.mean(samples["eval/bler"]))


def pytorch_trainer(seed: int) -> Trainer:
    """The loop in PyTorch."""
    import torch  # pyright: ignore[reportMissingImports]
    from link_in_pytorch import TorchLink

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    link = TorchLink(
        MESSAGES,
        USES,
        HIDDEN,
        batch=1000,
        snr_db=SNR_DB,
        variance=PERTURBATION_VARIANCE,
    )

    def train() -> None:
        for _ in range(CHUNK):
            link.iterate()

    return train, lambda: link.error_rate(BLOCKS)


def summary(seeds: dict[str, list[Any]]) -> dict[str, Any]:
    """Median processor seconds to each target, and the ratio PyTorch / Syntony."""
    medians: dict[str, dict[str, float | None]] = {}
    for target in (f"{target:g}" for target in TARGETS):
        row: dict[str, float | None] = {}
        for name, runs in seeds.items():
            times = [run["targets"][target] for run in runs]
            all_reached = all(time is not None for time in times)
            row[name] = statistics.median(t[0] for t in times) if all_reached else None
        ours, theirs = row["syntony"], row["pytorch"]
        row["ratio"] = round(theirs / ours, 2) if ours and theirs else None
        medians[target] = row
    return {"processor_seconds_to_bler": medians}


if __name__ == "__main__":
    main()
