"""Error rates of a learned link over SNR, beside classical codes and bounds."""

from collections.abc import Sequence
from functools import partial
from typing import NotRequired, TypedDict

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from syntony.channels.channel import Channel, HasBLERBounds
from syntony.channels.ml import equivalent_channel
from syntony.channels.snr import finite_snr_db
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
from syntony.evaluation.bler_curves import LinkPoint, LinkRates
from syntony.evaluation.evaluate import aggregate_over_seeds
from syntony.jax_settings import standard_jax_settings
from syntony.systems.link.codes import Code, bits_per_message, classical_codes
from syntony.systems.registry import system_name
from syntony.systems.system import StateT, TransmitsMessages
from syntony.training.metrics_log import MetricsRow
from syntony.training.run import Run, require_link
from syntony.training.seed_scheduler import seed_keys


class LinkEvaluation(TypedDict):
    """Error rates of a link, as JSON can hold them."""

    run: str
    """Name of the run folder."""
    system: str
    channel: str
    """Id of the channel of the training."""
    messages: int
    uses: int
    target_block_errors: int
    max_blocks: int
    steps: NotRequired[list[int]]
    """Training step of each seed, where the evaluation is stored."""
    codebooks: list[MetricsRow]
    """Minimum distance and energies of each seed's codebook."""
    points: list[LinkPoint]
    """Error rates at each SNR."""


@standard_jax_settings()
def evaluate_link(
    run: Run,
    snrs_db: Sequence[float] | None = None,
    *,
    target_block_errors: int = TARGET_BLOCK_ERRORS,
    max_blocks: int = MAX_BLOCKS,
) -> LinkEvaluation:
    """Measures the error rates of all seeds of a link over SNR.

    Intervals are of 95 %: Wilson's for a seed, Student's over the seeds for all.

    Args:
        run: a run of a link.
        snrs_db: Es/N0 of each point, in dB; None: only that of the training.
        target_block_errors: block errors at which a point ends.
        max_blocks: blocks at which it ends in any case.

    Returns:
        The results, as JSON can hold them.

    Raises:
        InvalidInputError: the run is not of a link, or its channel has no SNR to sweep.
    """
    link = require_link(run)
    channels = channels_at_snrs(link.channel, snrs_db)
    ends = target_block_errors, max_blocks
    seeds = [
        _evaluate_seed(link, state, channels, seed, *ends)
        for seed, state in run.states.items()
    ]
    baselines = _evaluate_classical_codes(link, channels, *ends)
    return {
        "run": run.path.name,
        "system": system_name(link),
        "channel": link.channel.id,
        "messages": link.messages,
        "uses": link.uses,
        "target_block_errors": target_block_errors,
        "max_blocks": max_blocks,
        "codebooks": [
            _codebook_statistics(link, seed, state)
            for seed, state in run.states.items()
        ],
        "points": _points(link, channels, seeds, baselines),
    }


def _points(
    link: TransmitsMessages,
    channels: Sequence[Channel],
    seeds: list[list[MetricsRow]],
    baselines: dict[str, list[MetricsRow]],
) -> list[LinkPoint]:
    """Results at each SNR: of each seed, over all seeds, of classical codes, bounds."""
    per_channel = map(list, zip(*seeds, strict=True))
    return [
        {
            "snr_db": finite_snr_db(channel),
            **_rates_over_seeds(rows),
            "seeds": rows,
            "baselines": {name: found[i] for name, found in baselines.items()},
            "bounds": bler_bounds(channel, link.messages, link.uses),
        }
        for i, (channel, rows) in enumerate(zip(channels, per_channel, strict=True))
    ]


def _rates_over_seeds(rows: list[MetricsRow]) -> LinkRates:
    over_seeds = aggregate_over_seeds(rows, ["bler"])
    rates: LinkRates = {
        "bler": over_seeds["bler"],
        "bler_low": over_seeds["bler_low"],
        "bler_high": over_seeds["bler_high"],
    }
    if "ml_bler" in rows[0]:
        ml_over_seeds = aggregate_over_seeds(rows, ["ml_bler"])
        rates["ml_bler"] = ml_over_seeds["ml_bler"]
        rates["ml_bler_low"] = ml_over_seeds["ml_bler_low"]
        rates["ml_bler_high"] = ml_over_seeds["ml_bler_high"]
    return rates


def bler_bounds(channel: Channel, messages: int, uses: int) -> dict[str, float]:
    """Bounds and approximations of the BLER of codes of this size, by name.

    Empty where the channel knows none.
    """
    equivalent = equivalent_channel(channel)
    if not isinstance(equivalent, HasBLERBounds):
        return {}
    return equivalent.bler_bounds(messages, uses)


def channels_at_snrs(
    channel: Channel, snrs_db: Sequence[float] | None
) -> list[Channel]:
    """The channel at each SNR, in dB; None: only at its own.

    Raises:
        InvalidInputError: the channel adds no noise.
    """
    if snrs_db is None:
        return [channel]
    if finite_snr_db(channel) is None:
        raise InvalidInputError(f"{channel.id} has no SNR to sweep; leave out --snr-db")
    return [channel.with_snr(snr_db) for snr_db in snrs_db]


def _evaluate_seed(
    link: TransmitsMessages[StateT],
    state: StateT,
    channels: list[Channel],
    seed: int,
    target_block_errors: int,
    max_blocks: int,
) -> list[MetricsRow]:
    """One row per channel: the learned receiver, and the ML detector if known."""
    codebook = link.codewords(state)
    simulate = partial(bler.simulate_batch, codebook, bler.link_detectors(link, state))
    points = bler.simulate_bler(
        simulate,
        channels,
        seed_keys(seed).post_training_eval,
        target_block_errors=target_block_errors,
        max_blocks=max_blocks,
    )
    prefixes = ["", "ml_"]
    return [
        {"seed": seed, "blocks": counts.blocks}
        | _error_rates(
            counts,
            prefixes[: len(counts.block_errors)],
            bits_per_message(link.messages),
        )
        for counts in points
    ]


def _evaluate_classical_codes(
    link: TransmitsMessages,
    channels: list[Channel],
    target_block_errors: int,
    max_blocks: int,
) -> dict[str, list[MetricsRow]]:
    """One row per channel, for each classical code and detector."""
    if bler.ml_detector(link.channel) is None:
        return {}
    result: dict[str, list[MetricsRow]] = {}
    codes = classical_codes(link.messages, link.uses, link.channel.has_unknown_gain)
    # Random codes only for sizes without a designed code.
    designed = [code for code in codes if code.name != "random sphere"]
    for code in designed or codes:
        detectors = _code_detectors(code, link.channel)
        codebook = jnp.asarray(complex_to_pairs(code.codebook))
        simulate = partial(bler.simulate_batch, codebook, [*detectors.values()])
        points = bler.simulate_bler(
            simulate,
            channels,
            seed_keys(0).post_training_eval,
            target_block_errors=target_block_errors,
            max_blocks=max_blocks,
        )
        for i, detector in enumerate(detectors):
            result[f"{code.name}{detector}"] = [
                {"blocks": counts.blocks}
                | _error_rates(
                    _select_detector(counts, i), [""], bits_per_message(link.messages)
                )
                for counts in points
            ]
    return result


def _code_detectors(code: Code, channel: Channel) -> dict[str, Detector]:
    """Detectors of a code, by suffix of the code's name."""
    ml = bler.ml_detector(channel)
    assert ml is not None
    if not channel.has_unknown_gain:
        return {"": ml}
    if not code.num_pilots:
        return {", noncoherent": ml}

    def estimated(y: Array, codebook: Array, channel: Channel) -> Array:
        assert channel.snr_db is not None, "a channel with an ML metric has an SNR"
        return detection.pilot_aided_ml_metric(
            y, codebook, channel.snr_db, num_pilots=code.num_pilots
        )

    return {", estimated": estimated, ", noncoherent": ml}


def _select_detector(counts: ErrorCounts, index: int) -> ErrorCounts:
    return ErrorCounts(
        counts.blocks,
        counts.block_errors[index : index + 1],
        counts.bit_errors[index : index + 1],
    )


def _error_rates(
    counts: ErrorCounts, prefixes: Sequence[str], num_bits: int | None
) -> MetricsRow:
    row: MetricsRow = {}
    for prefix, errors, bit_errors in zip(
        prefixes, counts.block_errors, counts.bit_errors, strict=True
    ):
        low, high = wilson_interval(int(errors), counts.blocks)
        rate = int(errors) / counts.blocks
        row |= {f"{prefix}errors": int(errors), f"{prefix}bler": rate}
        row |= {f"{prefix}bler_low": low, f"{prefix}bler_high": high}
        if num_bits is not None:
            row[f"{prefix}ber"] = int(bit_errors) / (counts.blocks * num_bits)
    return row


def _codebook_statistics(
    link: TransmitsMessages[StateT], seed: int, state: StateT
) -> MetricsRow:
    codebook = np.asarray(pairs_to_complex(link.codewords(state)), complex)
    low, high = limits.energy_range(codebook)
    return {
        "seed": seed,
        "min_distance": limits.min_distance(codebook),
        "energy_low": low,
        "energy_high": high,
    }
