"""Error rates of a learned link over SNR, beside classical codes and bounds."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NotRequired, TypedDict

import numpy as np

from syntony.channels.channel import AnyChannel, HasBLERBounds
from syntony.channels.missing import require_channel
from syntony.channels.ml import equivalent_channel
from syntony.channels.registry import no_snr_error
from syntony.channels.snr import finite_snr_db
from syntony.equations import limits
from syntony.equations.signal import pairs_to_complex
from syntony.evaluation import bler
from syntony.evaluation.bler import MAX_BLOCKS, TARGET_BLOCK_ERRORS, error_rates
from syntony.evaluation.bler_curves import AnalyticCurves, LinkPoint, LinkRates
from syntony.evaluation.evaluate import aggregate_over_seeds
from syntony.evaluation.reference_link import (
    AUTO,
    NONE,
    reference_name,
    train_reference,
)
from syntony.evaluation.references import classical_rates, closed_form_rates
from syntony.evaluation.statistics import RATE_RANGE
from syntony.jax_settings import standard_jax_settings
from syntony.systems.link.codes import bits_per_message
from syntony.systems.link.labeling import label_numbers
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
    analytic: NotRequired[AnalyticCurves]
    """Bounds and closed forms between them, where there are several SNRs."""


RATE_RANGES = {"bler": RATE_RANGE, "ml_bler": RATE_RANGE}
GRID_POINTS = 25
"""SNRs of the grid between the lowest and the highest one of an evaluation."""


@standard_jax_settings()
def evaluate_link(
    run: Run,
    snrs_db: Sequence[float] | None = None,
    *,
    target_block_errors: int = TARGET_BLOCK_ERRORS,
    max_blocks: int = MAX_BLOCKS,
    reference: str = AUTO,
    notify: Callable[[str], None] = lambda _: None,
) -> LinkEvaluation:
    """Measures the error rates of all seeds of a link over SNR.

    Intervals are of 95 %: Wilson's for a seed, Student's on the scale of the logit
    over three seeds or more for all.

    Args:
        run: a run of a link.
        snrs_db: Es/N0 of each point, in dB; None: only that of the training.
        target_block_errors: block errors at which a point ends.
        max_blocks: blocks at which it ends in any case.
        reference: classical code for which a receiver is trained over the same
            channel, once, in the folder `reference` of the run: a fixed transmitter;
            "auto": the best that fits, where the channel's maximum-likelihood (ML)
            detector is not known; "none".
        notify: called with a line before such a training.

    Returns:
        The results, as JSON can hold them.

    Raises:
        InvalidInputError: the run is not of a link, its channel has no SNR to sweep, or
            there is no such reference.
    """
    link = require_link(run)
    channels = channels_at_snrs(link.channel, snrs_db)
    ends = target_block_errors, max_blocks
    known = run.live is not None or bler.ml_detector(link.channel) is not None
    chosen = NONE if reference == AUTO and known else reference
    # Before anything is measured: it may be refused.
    trained = _evaluate_reference(run, chosen, channels, ends, notify)
    seeds = [
        _evaluate_seed(link, state, channels, seed, *ends)
        for seed, state in run.states.items()
    ]
    baselines = classical_rates(link, channels, *ends) | trained
    analytic = analytic_curves(link, channels)
    result: LinkEvaluation = {
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
    if analytic is not None:
        result["analytic"] = analytic
    return result


def analytic_curves(
    link: TransmitsMessages, channels: Sequence[AnyChannel]
) -> AnalyticCurves | None:
    """Bounds and closed forms between the SNRs; None for a single SNR.

    Straight lines between measured SNRs would run below a bound.
    """
    snrs_db = [snr for x in channels if (snr := finite_snr_db(x)) is not None]
    if len(snrs_db) < 2:
        return None
    dense = np.linspace(min(snrs_db), max(snrs_db), GRID_POINTS).round(6).tolist()
    grid = sorted({*dense, *snrs_db})
    at_grid = channels_at_snrs(link.channel, grid)
    bounds = [bler_bounds(x, link.messages, link.uses) for x in at_grid]
    return {
        "snr_db": grid,
        "bounds": {name: [x[name] for x in bounds] for name in bounds[0]},
        "baselines": closed_form_rates(link, at_grid),
    }


def _evaluate_reference(
    run: Run,
    name: str,
    channels: list[AnyChannel],
    ends: tuple[int, int],
    notify: Callable[[str], None],
) -> dict[str, list[MetricsRow]]:
    """One row per channel of a classical code with a trained receiver, if any."""
    reference = train_reference(run, name, notify)
    if reference is None:
        return {}
    link = require_link(reference)
    ((seed, state),) = reference.states.items()
    rows = _evaluate_seed(link, state, channels, seed, *ends)
    source = {"source": "trained receiver"}
    return {reference_name(reference): [row | source for row in rows]}


def _points(
    link: TransmitsMessages,
    channels: Sequence[AnyChannel],
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
    over_seeds = aggregate_over_seeds(rows, ["bler"], RATE_RANGES)
    rates: LinkRates = {
        "bler": over_seeds["bler"],
        "bler_low": over_seeds["bler_low"],
        "bler_high": over_seeds["bler_high"],
    }
    if "ml_bler" in rows[0]:
        ml_over_seeds = aggregate_over_seeds(rows, ["ml_bler"], RATE_RANGES)
        rates["ml_bler"] = ml_over_seeds["ml_bler"]
        rates["ml_bler_low"] = ml_over_seeds["ml_bler_low"]
        rates["ml_bler_high"] = ml_over_seeds["ml_bler_high"]
        ml_bler = ml_over_seeds["ml_bler"]
        rates["ml_ratio"] = rates["bler"] / ml_bler if ml_bler else None
    return rates


def bler_bounds(channel: AnyChannel, messages: int, uses: int) -> dict[str, float]:
    """Bounds and approximations of the BLER of codes of this size, by name.

    Empty where the channel knows none.
    """
    equivalent = equivalent_channel(channel)
    if not isinstance(equivalent, HasBLERBounds):
        return {}
    return equivalent.bler_bounds(messages, uses)


def channels_at_snrs(
    channel: AnyChannel, snrs_db: Sequence[float] | None
) -> list[AnyChannel]:
    """The channel at each SNR, in dB; None: only at its own.

    Raises:
        InvalidInputError: the channel adds no noise, or is missing.
    """
    require_channel(channel)
    if snrs_db is None:
        return [channel]
    if finite_snr_db(channel) is None:
        raise no_snr_error(channel)
    return [channel.with_snr(snr_db) for snr_db in snrs_db]


def _evaluate_seed(
    link: TransmitsMessages[StateT],
    state: StateT,
    channels: list[AnyChannel],
    seed: int,
    target_block_errors: int,
    max_blocks: int,
) -> list[MetricsRow]:
    """One row per channel: the learned receiver, and the ML detector if known."""
    codebook = link.codewords(state)
    detectors = bler.link_detectors(link, state)
    numbers = label_numbers(
        np.asarray(pairs_to_complex(codebook), complex),
        up_to_phase=link.channel.has_unknown_gain,
    )
    points = bler.simulate_bler(
        partial(bler.simulate_batch, codebook, detectors, label_numbers=numbers),
        channels,
        seed_keys(seed).post_training_eval,
        channel_state=link.channel_state(state),
        target_block_errors=target_block_errors,
        max_blocks=max_blocks,
    )
    num_bits = bits_per_message(link.messages)
    rows: list[MetricsRow] = []
    for counts in points:
        row = {"seed": seed} | error_rates(counts, 0, num_bits)
        if len(detectors) > 1:
            row |= error_rates(counts, 1, num_bits, "ml_")
        rows.append(row)
    return rows


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
