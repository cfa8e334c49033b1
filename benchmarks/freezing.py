"""Codebook optimization with a noisy gradient: when does it reach the E8 lattice?

    python benchmarks/freezing.py [--seeds 5] [--csv FILE]

Without channel and receiver, a transmitter minimizes the mean inverse odds at
temperature 4 over AWGN at 10 dB, Σ exp(−(τ − 1) d² / (τ² N_0)), with Gaussian noise of
a given strength on the codebook's gradient. Prints the union bound at 10 dB of the
final codebook of each seed: E8 has 3.3e-4, an irregular packing 4.5e-4 to 5.5e-4. The
last trials (`melts`) start from the final codebook of the first.
"""

import argparse
import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.equations.limits import union_bound
from syntony.equations.signal import (
    noise_power,
    normalize_average_power,
    pairs_to_complex,
)
from syntony.networks.modems import Transmitter
from syntony.systems.link.schedule import TrainingSchedule
from syntony.systems.optimizers import apply_gradients, init_opt_state
from syntony.training.devices import compiler_options, enable_compilation_cache

MESSAGES, USES, HIDDEN, SNR_DB, TEMPERATURE = 256, 4, 256, 10.0, 4.0


class Trial(NamedTuple):
    """Settings of one optimization."""

    learning_rate: float
    noise: float
    """E‖noise‖² / ‖gradient‖²."""
    steps: int
    melts: bool = False


TRIALS = (
    Trial(1e-3, 0.0, 4_000),
    Trial(3e-3, 0.0, 4_000),
    Trial(1e-2, 0.0, 4_000),
    Trial(1e-3, 0.03, 4_000),
    Trial(1e-3, 0.1, 4_000),
    Trial(1e-3, 1.0, 4_000),
    Trial(3e-4, 0.1, 12_000),
    Trial(1e-3, 0.1, 4_000, melts=True),
    Trial(1e-3, 1.6, 4_000, melts=True),
)


def pairwise_loss(codebook: Float[Array, "M C 2"]) -> Float[Array, ""]:
    """Mean inverse odds, (1/M) Σ_{i≠j} exp(−(τ − 1) d²_ij / (τ² N_0))."""
    points = codebook.reshape(len(codebook), -1)
    squared_distance = jnp.sum((points[:, None] - points) ** 2, axis=-1)
    scale = (TEMPERATURE - 1.0) / TEMPERATURE**2 / noise_power(SNR_DB)
    return jnp.mean(jnp.sum(jnp.exp(-scale * squared_distance), axis=1) - 1.0)


@partial(jax.jit, compiler_options=compiler_options())
def optimize(
    transmitter: Transmitter, trial: Trial, key: Key[Array, ""]
) -> Transmitter:
    """Transmitter after all steps, with a cosine schedule of the learning rate."""
    schedule = TrainingSchedule(
        decay_iterations=trial.steps,
        learning_rate=trial.learning_rate,
    )

    def step(i: Array, carry: Any) -> Any:
        transmitter, opt_state = carry
        codebook, vjp = jax.vjp(lambda t: normalize_average_power(t()), transmitter)
        codebook_grad = jax.grad(pairwise_loss)(codebook)
        std = jnp.sqrt(trial.noise * jnp.mean(codebook_grad**2))
        noise = std * jax.random.normal(jax.random.fold_in(key, i), codebook.shape)
        (grad,) = vjp(codebook_grad + noise)
        return apply_gradients(schedule.optimizer_at(i), grad, opt_state, transmitter)

    opt_state = init_opt_state(
        schedule.optimizer_at(jnp.zeros((), jnp.int32)), transmitter
    )
    return jax.lax.fori_loop(0, trial.steps, step, (transmitter, opt_state))[0]


def measure(seeds: int) -> Iterator[tuple[Trial, int, float]]:
    """Union bound of each trial and seed."""
    for seed in range(seeds):
        keys = jax.random.split(jax.random.key(seed), 3)
        new = Transmitter(MESSAGES, HIDDEN, USES, key=keys[0])
        converged = optimize(new, TRIALS[0], keys[1])
        for trial in TRIALS:
            start = converged if trial.melts else new
            end = optimize(start, trial, keys[2])
            codebook = pairs_to_complex(normalize_average_power(end()))
            yield trial, seed, float(union_bound(codebook, SNR_DB))


def main() -> None:
    """Prints the table, and writes it to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--csv", type=Path, help="also write the table here")
    args = parser.parse_args()
    enable_compilation_cache()
    rows: list[tuple[Any, ...]] = []
    for trial, seed, bound in measure(args.seeds):
        rows.append((*trial, seed, f"{bound:.3e}"))
        print(*rows[-1], sep="\t", flush=True)
    if args.csv:
        with args.csv.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow((*Trial._fields, "seed", "union_bound_at_10_db"))
            writer.writerows(rows)


if __name__ == "__main__":
    main()
