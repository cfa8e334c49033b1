"""Processor time of an iteration over a channel of one's own, beside a built-in one.

    python benchmarks/own_channel_cost.py [--json FILE]

Both links are trained in turns, in one process, as `syntony train` trains them: 256
messages in 4 uses over AWGN of 10 dB, with default settings. The own channel is a
function of NumPy arrays with the same noise. Its own time is left out. Processor time
of all threads, which is meaningful on a busy machine as well.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import jax
import numpy as np

from syntony.channels.awgn import AWGN
from syntony.channels.black_box import BlackBoxChannel
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule
from syntony.training.channel_monitor import ChannelMonitor, monitored
from syntony.training.compiled import compile_programs
from syntony.training.devices import worker_devices

ITERATIONS, TURNS = 40, 9
MESSAGES, USES = 256, 4
SPENT: dict[str, float] = {}
"""Processor seconds by piece, in the present turn."""


def main() -> None:
    """Measures both links, and prints the ratio and the pieces."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the results here")
    args = parser.parse_args()
    results = measure()
    text = json.dumps(results, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


def measure() -> dict[str, Any]:
    """Milliseconds an iteration of both links, their ratio, and pieces of one."""
    BlackBoxChannel.__call__ = timed("border", BlackBoxChannel.__call__)
    ChannelMonitor.observe = timed("monitor", ChannelMonitor.observe)
    Link.step = timed("step", Link.step)
    trainings = {
        "built-in": training(AWGN()),
        "own": training(BlackBoxChannel(function=timed("function", add_noise))),
    }
    turns: list[dict[str, float]] = []
    for _ in range(TURNS):
        turn = {}
        for name, train in trainings.items():
            SPENT.clear()
            turn[name] = seconds_of(train)
        turns.append(turn | SPENT)
    milliseconds = {
        name: 1e3
        / ITERATIONS
        * statistics.median(turn.get(name, 0.0) for turn in turns)
        for name in turns[0]
    }
    return summary(milliseconds, turns)


def summary(
    milliseconds: dict[str, float], turns: list[dict[str, float]]
) -> dict[str, Any]:
    """Results, as JSON can hold them."""
    own = milliseconds["own"] - milliseconds["function"]
    ratios = [(turn["own"] - turn["function"]) / turn["built-in"] for turn in turns]
    pieces = {
        "copies at the border": milliseconds["border"] - milliseconds["function"],
        "monitor": milliseconds["monitor"],
        "compiled pieces and their calls": milliseconds["step"]
        - milliseconds["border"]
        - milliseconds["monitor"],
        "loop of the training": milliseconds["own"] - milliseconds["step"],
    }
    return {
        "link": f"{MESSAGES} messages in {USES} uses, AWGN of 10 dB, without trials",
        "unit": "milliseconds of processor time an iteration, median of turns",
        "turns": TURNS,
        "iterations a turn": ITERATIONS,
        "built-in": round(milliseconds["built-in"], 2),
        "own, without the function": round(own, 2),
        "function": round(milliseconds["function"], 2),
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in sorted(ratios)],
        "pieces of own": {name: round(value, 2) for name, value in pieces.items()},
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "jax": jax.__version__,
    }


def add_noise(x: np.ndarray) -> np.ndarray:
    """AWGN of 10 dB."""
    noise = RNG.standard_normal((2, *x.shape), dtype=np.float32)
    return x + np.float32(0.05**0.5) * (noise[0] + 1j * noise[1])


RNG = np.random.default_rng(0)


def training(channel: Any) -> Callable[[], Any]:
    """Function that trains a link for `ITERATIONS`, after its warm-up."""
    schedule = TrainingSchedule(receiver_warmup_iterations=0, decay="cosine")
    link = Link(
        channel=channel,
        messages=MESSAGES,
        uses=USES,
        initial_codebook="network",
        receiver="mlp",
        schedule=schedule,
    )
    link = monitored(link)
    programs = compile_programs(link, 1000, worker_devices(1)[0])
    train_state = programs.init(link, jax.random.key(0))

    def train() -> None:
        nonlocal train_state
        bounds = np.int32(2**30), np.int32(ITERATIONS)
        train_state, _ = programs.train_chunk(link, train_state, *bounds)
        jax.block_until_ready(train_state)

    train()
    return train


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose processor time is added to `SPENT`."""

    @wraps(function)
    def call(*args: Any) -> Any:
        start = time.process_time()
        result = function(*args)
        SPENT[name] = SPENT.get(name, 0.0) + time.process_time() - start
        return result

    return call


def seconds_of(function: Callable[[], Any]) -> float:
    """Processor time of a call."""
    start = time.process_time()
    function()
    return time.process_time() - start


if __name__ == "__main__":
    main()
