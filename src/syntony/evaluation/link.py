"""A learned link in numbers: what it errs, what its code allows, what others do."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from syntony.channels.awgn import AWGN
from syntony.channels.channel import Channel
from syntony.channels.rayleigh import Rayleigh
from syntony.equations import detection, limits
from syntony.equations.signal import complex_to_pairs, pairs_to_complex
from syntony.equations.statistics import wilson_interval
from syntony.errors import InvalidInputError
from syntony.evaluation import bler
from syntony.evaluation.bler import (
    MAX_BLOCKS,
    TARGET_BLOCK_ERRORS,
    Detector,
    ErrorCounts,
)
from syntony.evaluation.evaluate import aggregate_over_seeds
from syntony.systems.link.codes import Code, bits_per_message, classical_codes
from syntony.systems.link.link import Link
from syntony.training.metrics_log import MetricsRow
from syntony.training.run import Run
from syntony.training.run_config import run_config_to_dict, task_or_channel_id
from syntony.training.seed_scheduler import seed_keys

BoundFn = Callable[[float, int, int], float]

AWGN_LOWER_BOUNDS: dict[str, BoundFn] = {
    "Shannon 1959": limits.shannon59,
    "Shannon 1959, peak energy": limits.shannon59_peak,
    "meta-converse": limits.metaconverse,
}
"""What no code over white noise can beat; of equal energies, of at most that energy."""


def evaluate_link(
    run: Run,
    snrs_db: Sequence[float] | None = None,
    *,
    target_block_errors: int = TARGET_BLOCK_ERRORS,
    max_blocks: int = MAX_BLOCKS,
) -> dict[str, Any]:
    """Measures all seeds of a link over SNR; returns what JSON can hold.

    Intervals are of 95 %: Wilson's for a seed, Student's over the seeds for all.

    Args:
        snrs_db: where to measure; by default at the SNR of the training alone.
        wanted: block errors at which a point ends.
        cap: blocks at which it ends anyway.

    Raises:
        BadInput: the run is no link, or its channel has no SNR to sweep.
    """
    link = run.system
    if not isinstance(link, Link):
        raise InvalidInputError(
            f"{run.path} holds no link; expected a run of `train link`"
        )
    channels = _channels_at_snrs(link.channel, snrs_db)
    seeds = {
        seed: _evaluate_seed(
            link, state, channels, seed, target_block_errors, max_blocks
        )
        for seed, state in run.states.items()
    }
    others = _evaluate_classical_codes(link, channels, target_block_errors, max_blocks)
    scores = ["bler", "ml_bler"] if bler.ml_detector(link.channel) else ["bler"]
    return {
        "run": run.path.name,
        "system": "link",
        "channel": task_or_channel_id(run_config_to_dict(run.config)),
        "messages": link.messages,
        "uses": link.uses,
        "wanted": target_block_errors,
        "cap": max_blocks,
        "codebooks": [
            _codebook_statistics(link, seed, state)
            for seed, state in run.states.items()
        ],
        "points": [
            {
                "snr_db": channel.snr_db,
                **aggregate_over_seeds(
                    [points[i] for points in seeds.values()], scores
                ),
                "seeds": [points[i] for points in seeds.values()],
                "others": {name: lines[i] for name, lines in others.items()},
                "bounds": bler_bounds(link, channel),
            }
            for i, channel in enumerate(channels)
        ],
    }


def bler_bounds(link: Link, channel: Channel) -> dict[str, float]:
    """Returns what is known of codes of this size over this channel, by name."""
    size = link.messages, link.uses
    snr_db = channel.snr_db
    if snr_db is None:
        return {}
    if isinstance(channel, AWGN):
        known = {
            name: bound(snr_db, *size) for name, bound in AWGN_LOWER_BOUNDS.items()
        }
        approximation = limits.normal_approximation(snr_db, *size)
        return known | {"normal approximation (no bound)": approximation}
    if isinstance(channel, Rayleigh):
        known = {"Shannon 1959, fading known": limits.rayleigh_csi_bound(snr_db, *size)}
        if link.messages == 4**link.uses:
            known["QPSK, fading known"] = limits.rayleigh_qpsk_bler(snr_db, *size)
        return known
    return {}


def _channels_at_snrs(
    channel: Channel, snrs_db: Sequence[float] | None
) -> list[Channel]:
    if snrs_db is None:
        return [channel]
    if channel.snr_db is None:
        raise InvalidInputError(f"{channel.id} has no SNR to sweep; leave out --snr-db")
    return [channel.with_snr(snr_db) for snr_db in snrs_db]


def _evaluate_seed(
    link: Link,
    state: Any,
    channels: list[Channel],
    seed: int,
    target_block_errors: int,
    max_blocks: int,
) -> list[MetricsRow]:
    """Returns a line for each channel: the receiver, and the best decoder if known."""
    codebook = link.codebook(state.transmitter)
    decide = partial(bler.simulate_batch, codebook, bler.link_detectors(link, state))
    key = seed_keys(seed).post_training_eval
    tallies = bler.simulate_bler(
        decide,
        channels,
        key,
        target_block_errors=target_block_errors,
        max_blocks=max_blocks,
    )
    names = ["", "ml_"]
    return [
        {"seed": seed, "blocks": tally.blocks}
        | _error_rates(
            tally, names[: len(tally.block_errors)], bits_per_message(link.messages)
        )
        for tally in tallies
    ]


def _evaluate_classical_codes(
    link: Link, channels: list[Channel], target_block_errors: int, max_blocks: int
) -> dict[str, list[MetricsRow]]:
    """Returns a line for each channel, of each code that does not learn."""
    if bler.ml_detector(link.channel) is None:
        return {}
    found: dict[str, list[MetricsRow]] = {}
    codes = classical_codes(link.messages, link.uses, link.channel.has_unknown_gain)
    # Drawn codes are for sizes that nobody has designed one for.
    designed = [code for code in codes if code.name != "random sphere"]
    for code in designed or codes:
        detectors = _code_detectors(code, link.channel)
        codebook = jnp.asarray(complex_to_pairs(code.codebook))
        decide = partial(bler.simulate_batch, codebook, [*detectors.values()])
        tallies = bler.simulate_bler(
            decide,
            channels,
            seed_keys(0).post_training_eval,
            target_block_errors=target_block_errors,
            max_blocks=max_blocks,
        )
        for i, detector in enumerate(detectors):
            found[f"{code.name}{detector}"] = [
                {"blocks": tally.blocks}
                | _error_rates(
                    _select_detector(tally, i), [""], bits_per_message(link.messages)
                )
                for tally in tallies
            ]
    return found


def _code_detectors(code: Code, channel: Channel) -> dict[str, Detector]:
    """Returns how a code is decoded, by what its name then ends in."""
    best = bler.ml_detector(channel)
    assert best is not None
    if not channel.has_unknown_gain:
        return {"": best}
    if not code.num_pilots:
        return {", noncoherent": best}
    estimated = partial(detection.pilot_aided_ml_metric, num_pilots=code.num_pilots)
    return {", estimated": estimated, ", noncoherent": best}


def _select_detector(counts: ErrorCounts, index: int) -> ErrorCounts:
    return ErrorCounts(
        counts.blocks,
        counts.block_errors[index : index + 1],
        counts.bit_errors[index : index + 1],
    )


def _error_rates(
    counts: ErrorCounts, prefixes: Sequence[str], num_bits: int | None
) -> MetricsRow:
    line: MetricsRow = {}
    for name, errors, wrong in zip(
        prefixes, counts.block_errors, counts.bit_errors, strict=True
    ):
        low, high = wilson_interval(int(errors), counts.blocks)
        rate = int(errors) / counts.blocks
        line |= {f"{name}errors": int(errors), f"{name}bler": rate}
        line |= {f"{name}bler_low": low, f"{name}bler_high": high}
        if num_bits is not None:
            line[f"{name}ber"] = int(wrong) / (counts.blocks * num_bits)
    return line


def _codebook_statistics(link: Link, seed: int, state: Any) -> MetricsRow:
    codebook = np.asarray(pairs_to_complex(link.codebook(state.transmitter)), complex)
    low, high = limits.energy_range(codebook)
    return {
        "seed": seed,
        "min_distance": limits.min_distance(codebook),
        "energy_low": low,
        "energy_high": high,
    }
