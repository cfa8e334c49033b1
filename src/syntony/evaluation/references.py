"""Error rates of classical codes with maximum-likelihood (ML) detection over a channel.

They are taken from a closed form where there is one; from the table `references.csv`,
which `benchmarks/measure_references.py` makes with 20,000 block errors a point; from
the union bound where that is tight; and simulated elsewhere.
"""

import csv
import functools
from collections.abc import Sequence
from functools import partial
from importlib import resources
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from syntony.channels.channel import (
    AnyChannel,
    ChannelState,
    InSeries,
    transmit,
)
from syntony.channels.ml import equivalent_channel
from syntony.equations import detection, limits
from syntony.equations.signal import complex_to_pairs
from syntony.evaluation import bler
from syntony.evaluation.bler import Detector, SimulatedBatch, error_rates
from syntony.systems.link.codes import (
    Code,
    bits_per_message,
    classical_code,
    classical_codes,
    classical_starts,
)
from syntony.systems.link.gradient_estimators import sample_messages
from syntony.systems.system import TransmitsMessages
from syntony.training.metrics_log import MetricsRow
from syntony.training.seed_scheduler import seed_keys

REFERENCE_BLOCK_ERRORS = 4000
"""Block errors of a simulated point, at least: a 95 % interval of ±3 %."""
TIGHT_UNION_BOUND = 2.7e-5
"""Rate below which the union bound is taken: E8 above 11 dB, where it is 5 % high."""
MAX_UNION_MESSAGES = 1024
"""Messages of a code whose union bound is computed, at most."""
FREQUENCY_SELECTIVE = ("multipath", "ofdm")
"""Channels of several gains in a block, which its first symbols do not estimate."""
CLOSED_FORM = "closed form"
"""Source of a rate that is computed exactly."""
SELECTION_BLOCKS = 20_000
"""Blocks of each code from which the best one of a size is chosen."""


class TableKey(NamedTuple):
    """Code, channel and SNR of a row of the table of measured rates."""

    name: str
    """Name of the code, with its detector."""
    channel: str
    """Name of the channel, without parameters."""
    messages: int
    uses: int
    snr_db: float


def classical_rates(
    link: TransmitsMessages,
    channels: Sequence[AnyChannel],
    target_block_errors: int,
    max_blocks: int,
) -> dict[str, list[MetricsRow]]:
    """One row per channel for each classical code and detector; none without ML.

    `source` of a row says where it is from: "closed form", "table", "union bound" or
    "simulation".

    Args:
        link: link of the size of the codes.
        channels: its channel at each SNR.
        target_block_errors: block errors at which a simulation ends, at least 4,000.
        max_blocks: blocks at which it ends in any case.
    """
    if bler.ml_detector(link.channel) is None:
        return {}
    ends = max(target_block_errors, REFERENCE_BLOCK_ERRORS), max_blocks
    result: dict[str, list[MetricsRow]] = {}
    for code in _reference_codes(link):
        result |= _code_rates(code, link.channel, channels, ends)
    return result


def closed_form_rates(
    link: TransmitsMessages, channels: Sequence[AnyChannel]
) -> dict[str, list[float]]:
    """Error rates of those classical codes that have a closed form, by name.

    Args:
        link: link of the size of the codes.
        channels: its channel at each SNR.
    """
    result: dict[str, list[float]] = {}
    for code in classical_codes(
        link.messages, link.uses, link.channel.has_unknown_gain
    ):
        rows = [_known_rate(code, code.name, channel) for channel in channels]
        if all(row is not None and row["source"] == CLOSED_FORM for row in rows):
            result[code.name] = [row["bler"] for row in rows if row is not None]
    return result


def _reference_codes(link: TransmitsMessages) -> list[Code]:
    """Designed codes of a size, and where another one errs less, that one as well."""
    size = link.messages, link.uses
    codes = classical_codes(*size, link.channel.has_unknown_gain)
    # Random codes only for sizes without a designed code.
    designed = [code for code in codes if code.name != "random sphere"] or codes
    if _channel_name(link.channel) in ("awgn", "rayleigh"):
        return designed
    best = classical_code(_best_start(link), *size)
    known = any(np.array_equal(best.codebook, code.codebook) for code in designed)
    return designed if known else [*designed, best]


def _best_start(link: TransmitsMessages) -> str:
    """Name of the fixed transmitter with the lowest error rate over the channel."""
    starts = classical_starts(link.messages, link.uses)
    codebooks = jnp.stack([jnp.asarray(complex_to_pairs(code)) for _, code in starts])
    ml = bler.ml_detector(link.channel)
    assert ml is not None

    def simulate(
        key: Key[Array, ""], channel: AnyChannel, state: ChannelState
    ) -> SimulatedBatch:
        message_key, channel_key = jax.random.split(key)
        message = sample_messages(message_key, bler.BATCH_SIZE, link.messages)

        keys = jax.random.split(channel_key, len(starts))
        _, y = jax.vmap(partial(transmit, channel), (0, None, 0))(
            keys, state, codebooks[:, message]
        )
        metric = jax.vmap(lambda y, codebook: ml(y, codebook, channel))
        decisions = jnp.argmax(metric(y, codebooks), axis=-1)
        return SimulatedBatch(state, message, decisions)

    (counts,) = bler.simulate_bler(
        simulate,
        [link.channel],
        seed_keys(0).post_training_eval,
        target_block_errors=SELECTION_BLOCKS,
        max_blocks=SELECTION_BLOCKS,
    )
    return starts[int(np.argmin(counts.block_errors))][0]


def _code_rates(
    code: Code,
    channel: AnyChannel,
    channels: Sequence[AnyChannel],
    ends: tuple[int, int],
) -> dict[str, list[MetricsRow]]:
    """Rows of a code, by its name with each detector."""
    detectors = _code_detectors(code, channel)
    names = [f"{code.name}{suffix}" for suffix in detectors]
    known = [[_known_rate(code, name, at) for name in names] for at in channels]
    unknown = [at for at, rows in zip(channels, known, strict=True) if None in rows]
    simulated = iter(_simulate_rates(code, [*detectors.values()], unknown, ends))
    points = [next(simulated) if None in rows else rows for rows in known]
    return {
        name: [row for rows in points if (row := rows[i]) is not None]
        for i, name in enumerate(names)
    }


def _simulate_rates(
    code: Code,
    detectors: list[Detector],
    channels: list[AnyChannel],
    ends: tuple[int, int],
) -> list[list[MetricsRow | None]]:
    """Rows of all detectors, at each channel."""
    if not channels:
        return []
    codebook = jnp.asarray(complex_to_pairs(code.codebook))
    points = bler.simulate_bler(
        partial(bler.simulate_batch, codebook, detectors),
        channels,
        seed_keys(0).post_training_eval,
        target_block_errors=ends[0],
        max_blocks=ends[1],
    )
    num_bits = bits_per_message(len(code.codebook))
    rows = range(len(detectors))
    return [
        [error_rates(counts, i, num_bits) | {"source": "simulation"} for i in rows]
        for counts in points
    ]


def _code_detectors(code: Code, channel: AnyChannel) -> dict[str, Detector]:
    """Detectors of a code, by suffix of the code's name."""
    ml = bler.ml_detector(channel)
    assert ml is not None
    if not channel.has_unknown_gain:
        return {"": ml}
    if not code.num_pilots or channel.snr_db is None or _has_many_gains(channel):
        return {", noncoherent": ml}

    def estimated(y: Array, codebook: Array, channel: AnyChannel) -> Array:
        assert channel.snr_db is not None, "it is the same channel at another SNR"
        return detection.pilot_aided_ml_metric(
            y, codebook, channel.snr_db, num_pilots=code.num_pilots
        )

    return {", estimated": estimated, ", noncoherent": ml}


def _has_many_gains(channel: AnyChannel) -> bool:
    parts = channel.parts if isinstance(channel, InSeries) else [channel]
    return any(part.id.partition("?")[0] in FREQUENCY_SELECTIVE for part in parts)


def _known_rate(code: Code, name: str, channel: AnyChannel) -> MetricsRow | None:
    """Row of a code that needs no simulation, if there is one."""
    if channel.snr_db is None:
        return None
    snr_db, is_awgn = float(channel.snr_db), _channel_name(channel) == "awgn"
    if is_awgn and code.constellation_sizes:
        return _exact_row(
            limits.uncoded_bler(snr_db, code.constellation_sizes), CLOSED_FORM
        )
    messages, uses = code.codebook.shape
    key = TableKey(name, _channel_name(channel), messages, uses, snr_db)
    if key in (table := reference_table()):
        return table[key]
    if is_awgn and messages <= MAX_UNION_MESSAGES:
        bound = limits.union_bound(code.codebook, snr_db)
        if bound < TIGHT_UNION_BOUND:
            return _exact_row(bound, "union bound")
    return None


def _exact_row(rate: float, source: str) -> MetricsRow:
    return {"bler": rate, "bler_low": rate, "bler_high": rate, "source": source}


def _channel_name(channel: AnyChannel) -> str:
    """Name of a channel, or of one with the same law; empty for parts in series."""
    equivalent = equivalent_channel(channel)
    is_series = isinstance(equivalent, InSeries)
    return "" if is_series else equivalent.id.partition("?")[0]


@functools.cache
def reference_table() -> dict[TableKey, MetricsRow]:
    """Rows of the table of measured rates."""
    text = (resources.files("syntony.evaluation") / "references.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    table: dict[TableKey, MetricsRow] = {}
    for row in csv.DictReader(lines):
        messages, uses = int(row["messages"]), int(row["uses"])
        key = TableKey(
            row["code"], row["channel"], messages, uses, float(row["snr_db"])
        )
        counts = bler.ErrorCounts(
            int(row["blocks"]),
            np.array([int(row["errors"])]),
            np.array([int(row["bit_errors"])]),
        )
        rates = error_rates(counts, 0, bits_per_message(messages))
        table[key] = rates | {"source": "table"}
    return table
