"""Maximum-likelihood (ML) detection over channels in series.

Whether the ML metric of a chain is known depends on its parts: an amplifier before the
noise moves the codewords, two noises are one, a converter behind the noise has levels
of known probability.
"""

import itertools
from collections.abc import Callable, Sequence

import jax
from jaxtyping import Array, Float

from syntony.channels.awgn import AWGN
from syntony.channels.chain import chain
from syntony.channels.channel import (
    AnyChannel,
    HasMLMetric,
    InSeries,
    IsDeterministic,
    transmit,
)
from syntony.channels.multipath import Multipath
from syntony.channels.ofdm import OFDM
from syntony.channels.phase import PhaseNoise
from syntony.channels.quantizer import Quantizer
from syntony.channels.rayleigh import Rayleigh
from syntony.channels.rician import Rician
from syntony.channels.snr import total_snr_db
from syntony.config import replace_fields
from syntony.equations import detection

Blocks = Float[Array, "B D 2"]
Codebook = Float[Array, "M C 2"]
Metric = Float[Array, "B M"]
MLMetric = Callable[[AnyChannel, Blocks, Codebook], Metric]
"""Metric of all messages; that of the ML decision is the largest."""
Parts = Sequence[AnyChannel]
SeriesMetric = Callable[[Parts, Blocks, Codebook], Metric]


def ml_metric(channel: AnyChannel) -> MLMetric | None:
    """Metric of the ML detector of a channel; None where it is not known.

    Args:
        channel: with numbers as parameters, on which the answer may depend. The metric
            is called with a channel that differs in the SNR, which may be traced.
    """
    metric = _series_metric(_parts(channel))
    if metric is None:
        return None
    return lambda channel, y, codebook: metric(_parts(channel), y, codebook)


def equivalent_channel(channel: AnyChannel) -> AnyChannel:
    """A channel of fewer parts with the same law p(y | x), where there is one.

    Two white noises in series are one, and so is a random phase before a Rayleigh gain.

    Args:
        channel: with numbers as parameters.
    """
    parts = _parts(channel)
    while (index := _equal_noises(parts)) is not None:
        parts = _merged(parts, index)
    kept = [
        part
        for part, following in zip(parts, [*parts[1:], None], strict=True)
        if not (_is_random_phase(part) and isinstance(following, Rayleigh))
    ]
    return chain(kept) if len(kept) > 1 else kept[0]


def is_white_noise(channel: AnyChannel) -> bool:
    """Whether a channel only adds white Gaussian noise."""
    return isinstance(equivalent_channel(channel), AWGN)


def _parts(channel: AnyChannel) -> Parts:
    return channel.parts if isinstance(channel, InSeries) else (channel,)


def _series_metric(parts: Parts) -> SeriesMetric | None:
    """Metric of channels in series: of the last ones, after simplification."""
    if (index := _equal_noises(parts)) is not None:
        metric = _series_metric(_merged(parts, index))
        return metric and (lambda p, y, c: metric(_merged(p, index), y, c))
    if len(parts) > 1 and _is_deterministic(parts[0]):
        metric = _series_metric(parts[1:])
        return metric and (lambda p, y, c: metric(p[1:], y, image(p[0], c)))
    if len(parts) == 1:
        return _own_metric if isinstance(parts[0], HasMLMetric) else None
    if len(parts) > 2:
        return None
    found = (metric for rule, metric in PAIRS if rule(parts[0], parts[1]))
    return next(found, None)


def image(channel: AnyChannel, codebook: Codebook) -> Codebook:
    """Codewords behind a deterministic channel."""
    return transmit(channel, jax.random.key(0), (), codebook)[1]


def _is_deterministic(part: AnyChannel) -> bool:
    return isinstance(part, IsDeterministic) and bool(part.is_deterministic)


def _is_random_phase(part: AnyChannel) -> bool:
    """Whether it only rotates each block by a uniform phase."""
    if not isinstance(part, PhaseNoise):
        return False
    return part.random_initial_phase and float(part.std) == 0.0


def _equal_noises(parts: Parts) -> int | None:
    """Index of the first of two parts whose noises are one of their total SNR."""
    white = (AWGN, Rayleigh, Rician, OFDM)
    pairs = itertools.pairwise(parts)
    found = (
        index
        for index, (part, following) in enumerate(pairs)
        if isinstance(part, white) and isinstance(following, AWGN)
    )
    return next(found, None)


def _merged(parts: Parts, index: int) -> Parts:
    """Parts with the noise of the one behind `index` in that part."""
    first, second = parts[index], parts[index + 1]
    assert isinstance(first, AWGN | Rayleigh | Rician | OFDM)
    assert isinstance(second, AWGN)
    total = total_snr_db([first.snr_db, second.snr_db])
    # Not by `with_snr`, which leaves an infinite one as it is.
    merged = replace_fields(first, snr_db=total)
    return (*parts[:index], merged, *parts[index + 2 :])


def _own_metric(parts: Parts, y: Blocks, codebook: Codebook) -> Metric:
    (part,) = parts
    assert isinstance(part, HasMLMetric)
    return part.ml_metric(y, codebook)


def _random_phase(parts: Parts, y: Blocks, codebook: Codebook) -> Metric:
    _, noise = parts
    assert isinstance(noise, AWGN)
    return detection.random_phase_ml_metric(y, codebook, noise.snr_db)


def _random_phase_rayleigh(parts: Parts, y: Blocks, codebook: Codebook) -> Metric:
    """The phase of a Rayleigh gain is uniform already."""
    return _own_metric(parts[1:], y, codebook)


def _random_phase_rician(parts: Parts, y: Blocks, codebook: Codebook) -> Metric:
    _, fading = parts
    assert isinstance(fading, Rician)
    return detection.random_phase_rician_ml_metric(
        y, codebook, fading.snr_db, k_factor=fading.k_factor
    )


def _multipath(parts: Parts, y: Blocks, codebook: Codebook) -> Metric:
    multipath, noise = parts
    assert isinstance(multipath, Multipath)
    assert isinstance(noise, AWGN)
    return detection.gaussian_ml_metric(y, multipath.echoes(codebook), noise.snr_db)


def _quantized(parts: Parts, y: Blocks, codebook: Codebook) -> Metric:
    noise, quantizer = parts
    assert isinstance(noise, AWGN)
    assert isinstance(quantizer, Quantizer)
    return detection.quantized_ml_metric(
        y,
        codebook,
        noise.snr_db,
        step=quantizer.step,
        num_levels=2**quantizer.bits,
    )


PairRule = Callable[[AnyChannel, AnyChannel], bool]
PAIRS: tuple[tuple[PairRule, SeriesMetric], ...] = (
    (lambda a, b: _is_random_phase(a) and isinstance(b, AWGN), _random_phase),
    (
        lambda a, b: _is_random_phase(a) and isinstance(b, Rayleigh),
        _random_phase_rayleigh,
    ),
    (lambda a, b: _is_random_phase(a) and isinstance(b, Rician), _random_phase_rician),
    (lambda a, b: isinstance(a, Multipath) and isinstance(b, AWGN), _multipath),
    (lambda a, b: isinstance(a, AWGN) and isinstance(b, Quantizer), _quantized),
)
"""Pairs of parts, of which neither is deterministic and the first, with a metric."""
