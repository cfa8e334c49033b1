"""A learned link in numbers: what it errs, what its code allows, what others do."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from syntony.channels.awgn import Awgn
from syntony.channels.channel import Channel
from syntony.channels.rayleigh import Rayleigh
from syntony.equations import detection, limits
from syntony.equations.signal import from_pairs, to_pairs
from syntony.equations.statistics import wilson_interval
from syntony.errors import BadInput
from syntony.run.journal import Line
from syntony.run.lanes import keys
from syntony.run.load import Run
from syntony.run.plan import describe, world_of
from syntony.study import bler
from syntony.study.bler import CAP, WANTED, Detector, Tally
from syntony.study.evaluate import over_seeds
from syntony.systems.classical import Code, baselines, label_bits
from syntony.systems.link import Link

Bound = Callable[[float, int, int], float]

SURE_BOUNDS: dict[str, Bound] = {
    "Shannon 1959": limits.shannon59,
    "Shannon 1959, peak energy": limits.shannon59_peak,
    "meta-converse": limits.metaconverse,
}
"""What no code over white noise can beat; of equal energies, of at most that energy."""


def evaluate_link(
    run: Run,
    snrs_db: Sequence[float] | None = None,
    *,
    wanted: int = WANTED,
    cap: int = CAP,
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
        raise BadInput(f"{run.path} holds no link; expected a run of `train link`")
    channels = _channels(link.channel, snrs_db)
    seeds = {
        seed: _points(link, state, channels, seed, wanted, cap)
        for seed, state in run.states.items()
    }
    others = _others(link, channels, wanted, cap)
    scores = ["bler", "ml_bler"] if bler.detector(link.channel) else ["bler"]
    return {
        "run": run.path.name,
        "system": "link",
        "channel": world_of(describe(run.plan)),
        "messages": link.messages,
        "uses": link.uses,
        "wanted": wanted,
        "cap": cap,
        "codebooks": [_facts(link, seed, state) for seed, state in run.states.items()],
        "points": [
            {
                "snr_db": channel.snr_db,
                **over_seeds([points[i] for points in seeds.values()], scores),
                "seeds": [points[i] for points in seeds.values()],
                "others": {name: lines[i] for name, lines in others.items()},
                "bounds": bounds(link, channel),
            }
            for i, channel in enumerate(channels)
        ],
    }


def bounds(link: Link, channel: Channel) -> dict[str, float]:
    """Returns what is known of codes of this size over this channel, by name."""
    size = link.messages, link.uses
    snr_db = channel.snr_db
    if snr_db is None:
        return {}
    if isinstance(channel, Awgn):
        known = {name: bound(snr_db, *size) for name, bound in SURE_BOUNDS.items()}
        approximation = limits.normal_approximation(snr_db, *size)
        return known | {"normal approximation (no bound)": approximation}
    if isinstance(channel, Rayleigh):
        known = {"Shannon 1959, fading known": limits.rayleigh_csi_bound(snr_db, *size)}
        if link.messages == 4**link.uses:
            known["QPSK, fading known"] = limits.rayleigh_qpsk(snr_db, *size)
        return known
    return {}


def _channels(channel: Channel, snrs_db: Sequence[float] | None) -> list[Channel]:
    if snrs_db is None:
        return [channel]
    if channel.snr_db is None:
        raise BadInput(f"{channel.id} has no SNR to sweep; leave out --snr-db")
    return [channel.at(snr_db) for snr_db in snrs_db]


def _points(
    link: Link, state: Any, channels: list[Channel], seed: int, wanted: int, cap: int
) -> list[Line]:
    """Returns a line for each channel: the receiver, and the best decoder if known."""
    codebook = link.codebook(state.transmitter)
    decide = partial(bler.decisions, codebook, bler.link_detectors(link, state))
    key = keys(seed).assess
    tallies = bler.sweep(decide, channels, key, wanted=wanted, cap=cap)
    names = ["", "ml_"]
    return [
        {"seed": seed, "blocks": tally.blocks}
        | _rates(tally, names[: len(tally.errors)], label_bits(link.messages))
        for tally in tallies
    ]


def _others(
    link: Link, channels: list[Channel], wanted: int, cap: int
) -> dict[str, list[Line]]:
    """Returns a line for each channel, of each code that does not learn."""
    if bler.detector(link.channel) is None:
        return {}
    found: dict[str, list[Line]] = {}
    codes = baselines(link.messages, link.uses, link.channel.fading)
    # Drawn codes are for sizes that nobody has designed one for.
    designed = [code for code in codes if code.name != "random sphere"]
    for code in designed or codes:
        detectors = _detectors(code, link.channel)
        codebook = jnp.asarray(to_pairs(code.codebook))
        decide = partial(bler.decisions, codebook, [*detectors.values()])
        tallies = bler.sweep(decide, channels, keys(0).assess, wanted=wanted, cap=cap)
        for i, detector in enumerate(detectors):
            found[f"{code.name}{detector}"] = [
                {"blocks": tally.blocks}
                | _rates(_only(tally, i), [""], label_bits(link.messages))
                for tally in tallies
            ]
    return found


def _detectors(code: Code, channel: Channel) -> dict[str, Detector]:
    """Returns how a code is decoded, by what its name then ends in."""
    best = bler.detector(channel)
    assert best is not None
    if not channel.fading:
        return {"": best}
    if not code.pilots:
        return {", noncoherent": best}
    estimated = partial(detection.pilot_ml, pilots=code.pilots)
    return {", estimated": estimated, ", noncoherent": best}


def _only(tally: Tally, i: int) -> Tally:
    return Tally(tally.blocks, tally.errors[i : i + 1], tally.bits[i : i + 1])


def _rates(tally: Tally, names: Sequence[str], bits: int | None) -> Line:
    line: Line = {}
    for name, errors, wrong in zip(names, tally.errors, tally.bits, strict=True):
        low, high = wilson_interval(int(errors), tally.blocks)
        rate = int(errors) / tally.blocks
        line |= {f"{name}errors": int(errors), f"{name}bler": rate}
        line |= {f"{name}bler_low": low, f"{name}bler_high": high}
        if bits is not None:
            line[f"{name}ber"] = int(wrong) / (tally.blocks * bits)
    return line


def _facts(link: Link, seed: int, state: Any) -> Line:
    codebook = np.asarray(from_pairs(link.codebook(state.transmitter)), complex)
    low, high = limits.energy_spread(codebook)
    return {
        "seed": seed,
        "min_distance": limits.min_distance(codebook),
        "energy_low": low,
        "energy_high": high,
    }
