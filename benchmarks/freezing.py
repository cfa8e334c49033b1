"""When does a code freeze into a lattice? Learning rate against noise.

    python benchmarks/freezing.py [--seeds 5] [--csv FILE]

No channel, no receiver: the transmitter descends the energy that odds at temperature 4
have over white noise at 10 dB, Σ exp(−(τ − 1) d² / (τ² N_0)), with white noise on the
codebook's gradient, of a stated strength against the signal. Printed is the union bound
at 10 dB of what each seed ends at: E8 has 3.3e-4, a glass 4.5e-4 to 5.5e-4. The last
rows melt: they start where the first row has frozen.
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
from syntony.optim import Adam
from syntony.systems.link.schedule import TrainingSchedule
from syntony.training.devices import compiler_options, enable_compilation_cache

MESSAGES, USES, HIDDEN, SNR_DB, TEMPERATURE = 256, 4, 256, 10.0, 4.0


class Trial(NamedTuple):
    """A way to descend."""

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


def energy(codebook: Float[Array, "M C 2"]) -> Float[Array, ""]:
    """Returns (1/M) Σ_{i≠j} exp(−(τ − 1) d²_ij / (τ² N_0))."""
    points = codebook.reshape(len(codebook), -1)
    square = jnp.sum((points[:, None] - points) ** 2, axis=-1)
    steepness = (TEMPERATURE - 1.0) / TEMPERATURE**2 / noise_power(SNR_DB)
    return jnp.mean(jnp.sum(jnp.exp(-steepness * square), axis=1) - 1.0)


@partial(jax.jit, compiler_options=compiler_options())
def descend(transmitter: Transmitter, trial: Trial, key: Key[Array, ""]) -> Transmitter:
    """Returns the transmitter after all steps, at a rate that falls as a cosine."""
    schedule = TrainingSchedule(
        decay_iterations=trial.steps, learning_rate=trial.learning_rate
    )

    def step(i: Array, carry: Any) -> Any:
        transmitter, memory = carry
        codebook, pull_back = jax.vjp(
            lambda t: normalize_average_power(t()), transmitter
        )
        slope = jax.grad(energy)(codebook)
        size = jnp.sqrt(trial.noise * jnp.mean(slope**2))
        noise = size * jax.random.normal(jax.random.fold_in(key, i), slope.shape)
        (grad,) = pull_back(slope + noise)
        return schedule.optimizer_at(i).apply_gradients(grad, memory, transmitter)

    memory = Adam(learning_rate=1.0, max_grad_norm=1.0).init(transmitter)
    return jax.lax.fori_loop(0, trial.steps, step, (transmitter, memory))[0]


def measure(seeds: int) -> Iterator[tuple[Trial, int, float]]:
    """Yields every trial's union bounds."""
    for seed in range(seeds):
        keys = jax.random.split(jax.random.key(seed), 3)
        new = Transmitter(MESSAGES, HIDDEN, USES, key=keys[0])
        frozen = descend(new, TRIALS[0], keys[1])
        for trial in TRIALS:
            start = frozen if trial.melts else new
            end = descend(start, trial, keys[2])
            codebook = pairs_to_complex(normalize_average_power(end()))
            yield trial, seed, float(union_bound(codebook, SNR_DB))


def main() -> None:
    """Prints, and writes, the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--csv", type=Path, help="also write the table here")
    arguments = parser.parse_args()
    enable_compilation_cache()
    rows: list[tuple[Any, ...]] = []
    for trial, seed, bound in measure(arguments.seeds):
        rows.append((*trial, seed, f"{bound:.3e}"))
        print(*rows[-1], sep="\t", flush=True)
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow((*Trial._fields, "seed", "union_bound_at_10_db"))
            writer.writerows(rows)


if __name__ == "__main__":
    main()
