"""Measures the block error rates of classical codes that evaluations read from a table.

    python benchmarks/measure_references.py [--errors 20000]

Writes `src/syntony/evaluation/references.csv`: E8 over AWGN, and the pilot scheme of
256 messages in 4 uses over Rayleigh fading, with both of its detectors. Each point has
so many block errors. Takes two minutes on two cores.

Of E8 only blocks are sampled in which an error is possible: those whose noise is at
least half the minimum distance. Their share is known, and `blocks` is the number of all
blocks that it stands for.
"""

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from syntony.channels.rayleigh import Rayleigh
from syntony.equations import detection, limits
from syntony.equations.signal import complex_to_pairs, db_to_linear
from syntony.evaluation import bler
from syntony.systems.link import codes
from syntony.training.provenance import collect_provenance

OUT = Path(__file__).parents[1] / "src/syntony/evaluation/references.csv"
E8_SNRS_DB = range(12)
PILOT_SNRS_DB = range(31)
CHUNK = 50_000
SIZE = (256, 4)
COLUMNS = (
    *("code", "channel", "messages", "uses", "snr_db"),
    *("errors", "bit_errors", "blocks"),
)


def main() -> None:
    """Measures all points, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--errors", type=int, default=20_000)
    errors: int = parser.parse_args().errors
    rows = [e8_row(snr_db, errors) for snr_db in E8_SNRS_DB] + pilot_rows(errors)
    # Before the table is written: the clone would be dirty.
    commit = collect_provenance()["commit"]
    command = " ".join(["python", "benchmarks/measure_references.py", *sys.argv[1:]])
    with OUT.open("w", newline="") as file:
        file.write(f"# {command}, commit {commit}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def e8_row(snr_db: int, target_errors: int) -> tuple[Any, ...]:
    """Row of E8 at one SNR: until there are so many block errors."""
    rng, codebook = np.random.default_rng(snr_db), codes.e8(256).codebook
    points = complex_to_pairs(codebook).reshape(256, 8)
    variance = 0.5 / float(db_to_linear(snr_db))
    least = limits.min_distance(codebook) ** 2 / 4.0 / variance
    share = float(stats.chi2.sf(least, 8))
    errors = bit_errors = blocks = 0
    while errors < target_errors:
        message = rng.integers(256, size=CHUNK)
        norm = stats.chi2.isf(share * rng.uniform(size=CHUNK), 8) ** 0.5
        direction = rng.normal(size=(CHUNK, 8))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        y = points[message] + variance**0.5 * norm[:, None] * direction
        wrong_bits = np.bitwise_count(nearest(y, points) ^ message)
        errors += int(np.sum(wrong_bits > 0))
        bit_errors += int(wrong_bits.sum())
        blocks += CHUNK
    return ("E8", "awgn", *SIZE, snr_db, errors, bit_errors, round(blocks / share))


def nearest(y: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Index of the point nearest to each row of y."""
    return np.argmax(y @ points.T - 0.5 * np.sum(points**2, axis=1), axis=1)


def pilot_rows(target_errors: int) -> list[tuple[Any, ...]]:
    """Rows of the pilot scheme, of both detectors on the same blocks."""
    code = codes.uncoded(256, 4, num_pilots=1)
    codebook = jnp.asarray(complex_to_pairs(code.codebook))

    # The better one first: a point ends at its errors.
    def noncoherent(y: Any, codebook: Any, channel: Any) -> Any:
        return detection.noncoherent_ml_metric(y, codebook, channel.snr_db)

    def estimated(y: Any, codebook: Any, channel: Any) -> Any:
        return detection.pilot_aided_ml_metric(y, codebook, channel.snr_db)

    def simulate(key: Any, channel: Any, state: Any) -> bler.SimulatedBatch:
        detectors = [noncoherent, estimated]
        return bler.simulate_batch(codebook, detectors, key, channel, state)

    counts = bler.simulate_bler(
        simulate,
        [Rayleigh(snr_db=float(snr_db)) for snr_db in PILOT_SNRS_DB],
        jax.random.key(0),
        target_block_errors=target_errors,
        max_blocks=2**30,
    )
    rows: list[tuple[Any, ...]] = []
    for i, detector in enumerate(("noncoherent", "estimated")):
        name = f"{code.name}, {detector}"
        for snr_db, point in zip(PILOT_SNRS_DB, counts, strict=True):
            errors = int(point.block_errors[i]), int(point.bit_errors[i])
            rows.append((name, "rayleigh", *SIZE, snr_db, *errors, point.blocks))
    return rows


if __name__ == "__main__":
    main()
