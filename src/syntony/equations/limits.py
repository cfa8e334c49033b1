"""Capacity, and bounds and exact values of block error rates (BLER).

A block carries one of `messages` = M equally likely messages in `uses` = N complex
channel uses, n = 2N real dimensions. `snr_db` is Es/N0 = γ per complex use in dB, for
codewords of mean energy N; the result is a float for a number, and an array of the same
shape for an array. Host side, in double precision; the relative error does not grow for
small rates.

All functions but `capacity` return block error rates with optimal detection. The first
word of each docstring says whether it is a bound, an approximation or exact.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import SupportsIndex, TypeVar, cast

import numpy as np
from jaxtyping import Array, Complex, Float
from scipy import special
from scipy.spatial.distance import pdist

from syntony.equations import side_information
from syntony.equations.quadrature import gauss_legendre
from syntony.equations.signal import db_to_linear
from syntony.equations.spherical_caps import (
    cap_angle,
    cap_fraction,
    cone_escape_probability,
)
from syntony.errors import InvalidInputError

Level = TypeVar("Level", float | int, np.ndarray)
"""Levels in dB: the result is a float for a number, an array for an array."""
Integer = SupportsIndex
Codebook = np.ndarray | Array
"""Complex [M, C], codewords by channel uses; checked by each function."""
CodebookArray = Complex[np.ndarray, "M C"]
FloatVector = Float[np.ndarray, " S"]
QuadratureGrid = Float[np.ndarray, "S K"]

_NUM_NODES = 160
"""Nodes of a quadrature."""


def capacity(snr_db: Level, messages: Integer, uses: Integer) -> Level:
    """Capacity N log₂(1 + γ), in bits per block.

    Asymptotic: as blocks become longer, any log₂ M below it allows an error rate that
    tends to zero. Short blocks have errors on either side of it.

    Source: Shannon, "A mathematical theory of communication" (1948).
    """
    gamma, _, uses = _check_arguments(snr_db, messages, uses)
    return _match_shape(snr_db, uses * np.log1p(gamma) / np.log(2.0))


def shannon59(snr_db: Level, messages: Integer, uses: Integer) -> Level:
    """Lower bound for codewords of equal energy: the sphere divided in M equal cones.

        P ≥ P(noise carries √(nγ) e out of the cone around e with Ω(θ) = 1/M)

    It does not hold for codes whose energy is N only on average: see
    `shannon59_peak` and `codebook_lower_bound`.

    Source: Shannon, "Probability of error for optimal codes in a Gaussian channel",
        Bell System Technical Journal 38 (1959): his Q(θ).
    """
    gamma, messages, uses = _check_arguments(snr_db, messages, uses)
    return _match_shape(snr_db, _shannon59(gamma, messages, 2 * uses))


def shannon59_peak(snr_db: Level, messages: Integer, uses: Integer) -> Level:
    """Lower bound for codewords of energy N at most: `shannon59` in n + 1 dimensions.

    One more real dimension raises each codeword to energy N, which cannot increase the
    error rate: γ' = γ n / (n + 1).

    Source: Shannon (1959), on codes within the sphere.
    """
    gamma, messages, uses = _check_arguments(snr_db, messages, uses)
    return _match_shape(snr_db, _shannon59_peak(gamma, messages, uses))


def codebook_lower_bound(codebook: Codebook, snr_db: Level) -> Level:
    """Lower bound for a codebook's size and maximum energy, with any detector.

        `shannon59_peak` at γ maxᵢ ‖cᵢ‖² / N

    Source: as `shannon59_peak`.
    """
    points, gamma = _check_codebook(codebook), _snr_linear(snr_db)
    peak = np.max(_codeword_energies(points))
    return _match_shape(snr_db, _shannon59_peak(gamma * peak, *points.shape))


def metaconverse(snr_db: Level, messages: Integer, uses: Integer) -> Level:
    """Lower bound for codewords of equal energy, slightly below `shannon59`.

        P ≥ P(χ'²ₙ(n/γ) > t),   t = (1 + γ) F⁻¹(1/M),   F of χ'²ₙ(n(1 + γ)/γ)

    The optimal test of the channel output against white noise of power 1 + γ. Below
    −60 dB the value at −60 dB is returned, which is a bound as well.

    Source: Polyanskiy, Poor and Verdú, "Channel coding rate in the finite blocklength
        regime", IEEE Trans. Inf. Theory 56 (2010), on the AWGN channel.
    """
    # Importing SciPy's distributions takes half a second; other commands need none.
    from scipy import stats

    gamma, messages, uses = _check_arguments(snr_db, messages, uses)
    n = 2 * uses
    gamma = np.maximum(gamma, 1e-6)  # SciPy's χ'² fails for n/γ far above.
    edge = stats.ncx2.ppf(1.0 / messages, n, n * (1.0 + gamma) / gamma)
    rate = stats.ncx2.sf((1.0 + gamma) * edge, n, n / gamma)
    return _match_shape(snr_db, np.asarray(rate))


def normal_approximation(snr_db: Level, messages: Integer, uses: Integer) -> Level:
    """Approximation, not a bound: good for hundreds of uses, pessimistic for a few.

        P ≈ Q((nC − log₂M + ½ log₂n) / √(nV))
        C = ½ log₂(1 + γ),   V = γ(γ + 2) / (2(γ + 1)²) log₂²e   per real dimension

    Source: Polyanskiy, Poor and Verdú (2010), on the AWGN channel.
    """
    gamma, messages, uses = _check_arguments(snr_db, messages, uses)
    n = 2 * uses
    # In nats: the ratio is the same.
    margin = 0.5 * n * np.log1p(gamma) - math.log(messages) + 0.5 * np.log(n)
    dispersion = 0.5 * gamma * (gamma + 2.0) / (gamma + 1.0) ** 2
    return _match_shape(snr_db, special.ndtr(-margin / np.sqrt(n * dispersion)))


def random_spherical_code_bound(
    snr_db: Level, messages: Integer, uses: Integer
) -> Level:
    """Upper bound on the best code: the mean over codes drawn uniformly on the sphere.

        1 − E[(1 − Ω(Θ))^{M−1}],   Θ the angle between transmitted and received block

    Exact for that mean; at least one code has no higher rate.

    Source: Shannon (1959), on random codes.
    """
    gamma, messages, uses = _check_arguments(snr_db, messages, uses)
    n = 2 * uses
    offset = np.sqrt(n * gamma)
    angle, weight = _nearest_angle_quadrature(offset, messages, n)
    # By parts: the nearest of the M − 1 others is at θ, the received block beyond it.
    escape = cone_escape_probability(offset[:, None], angle, n)
    density = _nearest_angle_density(angle, messages, n)
    return _match_shape(snr_db, np.sum(weight * density * escape, -1))


def qpsk_bler(snr_db: Level, messages: Integer, uses: Integer) -> Level:
    """Exact rate of uncoded QPSK, M = 4^N: a block errs if any of its 2N bits does.

        P = 1 − (1 − Q(√γ))^{2N}

    Raises:
        InvalidInputError: `messages` is not 4 to the power of `uses`.
    """
    gamma, messages, uses = _check_arguments(snr_db, messages, uses)
    _check_qpsk(messages, uses)
    return _match_shape(snr_db, _qpsk_bler(gamma, uses))


def uncoded_bler(snr_db: Level, constellation_sizes: Sequence[int]) -> Level:
    """Exact rate of uncoded symbols, one constellation per use, of mean energy 1.

        P = 1 − Πᵢ (1 − Pᵢ),    BPSK: Q(√(2γ)),    QPSK, square QAM of K points:
        1 − (1 − 2 (1 − 1/√K) Q(√(3γ/(K − 1))))²,    8PSK: Craig's integral
        (1/π) ∫ exp(−γ sin²(π/8) / sin²θ) dθ from 0 to 7π/8

    Args:
        snr_db: Es/N0 per use.
        constellation_sizes: K of each use: 2 (BPSK), 8 (8PSK), or 4, 16, 64 (QAM).

    Source: Simon and Alouini, "Digital Communication over Fading Channels", chapter 8.
    """
    gamma = _snr_linear(snr_db)
    rates = {size: _symbol_error_rate(gamma, size) for size in set(constellation_sizes)}
    log_success = sum(np.log1p(-rates[size]) for size in constellation_sizes)
    return _match_shape(snr_db, -np.expm1(log_success))


def _symbol_error_rate(gamma: FloatVector, size: int) -> FloatVector:
    if size == 2:
        return special.ndtr(-np.sqrt(2.0 * gamma))
    if size == 8:
        high = np.array(7.0 * np.pi / 8.0)
        angle, weight = gauss_legendre(np.zeros(()), high, _NUM_NODES)
        exponent = gamma[:, None] * np.sin(np.pi / 8.0) ** 2 / np.sin(angle) ** 2
        return np.sum(weight * np.exp(-exponent), axis=-1) / np.pi
    tail = special.ndtr(-np.sqrt(3.0 * gamma / (size - 1.0)))
    axis_rate = 2.0 * (1.0 - size**-0.5) * tail
    return -np.expm1(2.0 * np.log1p(-axis_rate))


def union_bound(codebook: Codebook, snr_db: Level) -> Level:
    """Upper bound for a codebook with maximum-likelihood detection; it may exceed 1.

        P ≤ (1/M) Σ_{i≠j} Q(√(γ d²ᵢⱼ / 2))

    The codebook is not normalized; the noise has power 1/γ per use. Tight for rates
    below about 10⁻³.
    """
    points, gamma = _check_codebook(codebook), _snr_linear(snr_db)
    distance = pdist(_to_real(points))
    # Each pair counts for both of its messages.
    sums = [2.0 * np.sum(special.ndtr(-distance * np.sqrt(0.5 * snr))) for snr in gamma]
    return _match_shape(snr_db, np.array(sums) / len(points))


def rayleigh_outage(snr_db: Level, rate: float | int) -> Level:
    """Approximation: outage probability P(log₂(1 + γ|h|²) < R), |h|² ~ Exp(1).

        P = 1 − exp(−(2^R − 1) / γ)

    It is no bound for short blocks.

    Args:
        snr_db: γ, the mean over fades.
        rate: R > 0, in bits per use.

    Raises:
        InvalidInputError: the rate is not a finite number above 0 and below 1000.
    """
    if not (np.isfinite(rate) and 0 < rate < 1000):
        raise InvalidInputError(
            f"rate is {rate}; expected bits per use, above 0, e.g. 2.0"
        )
    return _match_shape(snr_db, -np.expm1(-(2.0**rate - 1.0) / _snr_linear(snr_db)))


def rayleigh_csi_bound(snr_db: Level, messages: Integer, uses: Integer) -> Level:
    """Lower bound for equal energy and Rayleigh block fading, known or unknown.

        P ≥ E[shannon59(γ|h|²)],   |h|² ~ Exp(1), one h per block

    Knowledge of h cannot increase the error rate of the optimal receiver.

    Source: Shannon (1959) given h.
    """
    gamma, messages, uses = _check_arguments(snr_db, messages, uses)
    n = 2 * uses
    sine = np.sin(cap_angle(1.0 / messages, n))
    # At this amplitude the edge of the cone is √n + 9 standard deviations away.
    end = (np.sqrt(n) + 9.0) / (sine * np.sqrt(n))
    bound = _rayleigh_average(lambda g: _shannon59(g, messages, n), gamma, end)
    return _match_shape(snr_db, bound)


def rayleigh_qpsk_bler(snr_db: Level, messages: Integer, uses: Integer) -> Level:
    """Exact rate of uncoded QPSK in Rayleigh block fading, with h known.

        P = E[1 − (1 − Q(√γ|h|))^{2N}],   |h|² ~ Exp(1), one h per block

    Raises:
        InvalidInputError: `messages` is not 4 to the power of `uses`.
    """
    gamma, messages, uses = _check_arguments(snr_db, messages, uses)
    _check_qpsk(messages, uses)
    bler = _rayleigh_average(lambda g: _qpsk_bler(g, uses), gamma, 10.0)
    return _match_shape(snr_db, bler)


def hint_bler(messages: Integer, hint: float | int) -> float:
    """Exact rate of the best guess from a hint alone, without a channel.

        P = 1 − max(p, (1 − p) / (M − 1))

    Args:
        messages: M, equally likely.
        hint: p, the probability that the hint is the message; otherwise it is each of
            the M − 1 others with the same probability. 1/M tells nothing.

    Raises:
        InvalidInputError: p is not from 0 to 1.
    """
    messages, hint = _as_int("messages", messages, 2, "4"), _check_hint(hint)
    return 1.0 - max(hint, (1.0 - hint) / (messages - 1))


def hinted_shannon59(
    snr_db: Level, messages: Integer, uses: Integer, hint: float | int
) -> Level:
    """Lower bound for codewords of equal energy and a receiver that holds a hint.

        P ≥ E_r min_W [p G_r(W) + (1 − p) G_r((1 − W)/(M − 1))]

    On the sphere of the received norm r, the hinted message has a share W of the area
    and each other one an equal part of the rest; G_r(W) is the probability to leave the
    cap of share W around the codeword. With p = 1/M it is at most `shannon59`, whose
    shares do not depend on the norm. The absolute error is below 10⁻⁵.

    Args:
        snr_db: Es/N0 per use.
        messages: M.
        uses: N.
        hint: p, as for `hint_bler`.

    Raises:
        InvalidInputError: p is not from 0 to 1.
    """
    gamma, messages, uses = _check_arguments(snr_db, messages, uses)
    hint = _check_hint(hint)
    values = [
        side_information.cap_error_rate(snr, messages, uses, hint) for snr in gamma
    ]
    return _match_shape(snr_db, np.array(values))


def hinted_qpsk_bler(
    snr_db: Level, messages: Integer, uses: Integer, hint: float | int
) -> Level:
    """Exact rate of uncoded QPSK with the most probable message (MAP), given a hint.

    The absolute error is below 10⁻⁵.

    Args:
        snr_db: Es/N0 per use.
        messages: M = 4^N.
        uses: N.
        hint: p, as for `hint_bler`; with 1/M it is `qpsk_bler`.

    Raises:
        InvalidInputError: `messages` is not 4 to the power of `uses`, or p is not from
            0 to 1.
    """
    gamma, messages, uses = _check_arguments(snr_db, messages, uses)
    _check_qpsk(messages, uses)
    hint = _check_hint(hint)
    values = [1.0 - side_information.qpsk_success_rate(g, uses, hint) for g in gamma]
    return _match_shape(snr_db, np.array(values))


def min_distance(codebook: Codebook) -> float:
    """Minimum distance minᵢ≠ⱼ ‖cᵢ − cⱼ‖; doubling it gains 6 dB at high SNR."""
    return float(np.min(pdist(_to_real(_check_codebook(codebook)))))


def mean_energy(codebook: Codebook) -> float:
    """Mean of ‖c‖² / N over the codewords; 1 for a normalized codebook."""
    return float(np.mean(_codeword_energies(_check_codebook(codebook))))


def energy_range(codebook: Codebook) -> tuple[float, float]:
    """Lowest and highest ‖c‖² / N; `shannon59` holds if they are equal."""
    energies = _codeword_energies(_check_codebook(codebook))
    return float(np.min(energies)), float(np.max(energies))


def _shannon59(gamma: np.ndarray, messages: int, dimensions: int) -> np.ndarray:
    angle = cap_angle(1.0 / messages, dimensions)
    return cone_escape_probability(np.sqrt(dimensions * gamma), angle, dimensions)


def _shannon59_peak(gamma: FloatVector, messages: int, uses: int) -> FloatVector:
    n = 2 * uses
    return _shannon59(gamma * n / (n + 1), messages, n + 1)


def _qpsk_bler(gamma: np.ndarray, uses: int) -> np.ndarray:
    return -np.expm1(2 * uses * np.log1p(-special.ndtr(-np.sqrt(gamma))))


def _rayleigh_average(
    bler: Callable[[QuadratureGrid], QuadratureGrid],
    gamma: FloatVector,
    max_amplitude: float,
) -> FloatVector:
    """Mean E[bler(γ a²)] over the fading amplitude a, of density 2a e^{−a²}.

    Args:
        bler: error rate as a function of the SNR; smooth in its square root.
        gamma: mean SNR.
        max_amplitude: value of √(γ a²) beyond which the error rate is negligible.
    """
    # e^{−7²} is negligible too.
    end = np.minimum(max_amplitude / np.sqrt(gamma), 7.0)
    a, weight = gauss_legendre(np.zeros_like(end), end, _NUM_NODES)
    density = 2.0 * a * np.exp(-(a**2))
    return np.sum(weight * density * bler(gamma[:, None] * a**2), axis=-1)


def _nearest_angle_quadrature(
    offset: FloatVector, messages: int, n: int
) -> tuple[QuadratureGrid, QuadratureGrid]:
    """Nodes and weights over the angle of the nearest other codeword."""
    # P(no other codeword within θ) is e^{−0.001} at the knee and e^{−45} at the far
    # end; between them it falls, the more steeply the larger n.
    far = cap_angle(-np.expm1(-45.0 / max(messages - 1, 1)), n)
    knee = cap_angle(-np.expm1(-0.001 / max(messages - 1, 1)), n)
    noise = np.arcsin(np.minimum((np.sqrt(n) + 14.0) / offset, 1.0))
    end = np.where(noise < np.pi / 2, np.minimum(noise, far), far)
    near = gauss_legendre(np.zeros_like(end), np.minimum(knee, end), _NUM_NODES)
    steep = gauss_legendre(np.minimum(knee, end), end, _NUM_NODES)
    angle, weight = (np.concatenate(pair, -1) for pair in zip(near, steep, strict=True))
    return angle, weight


def _nearest_angle_density(
    angle: QuadratureGrid, messages: int, n: int
) -> QuadratureGrid:
    """Density (M − 1)(1 − Ω)^{M−2} Ω' of the angle of the nearest other codeword."""
    near, rest = cap_fraction(angle, n), cap_fraction(np.pi - angle, n)
    log_rest = np.where(near < 0.5, np.log1p(-np.minimum(near, 0.5)), np.log(rest))
    log_derivative = (n - 2) * np.log(np.sin(angle)) - special.betaln((n - 1) / 2, 0.5)
    return (messages - 1) * np.exp((messages - 2) * log_rest + log_derivative)


def _to_real(codebook: CodebookArray) -> Float[np.ndarray, "M 2*C"]:
    return np.concatenate([np.real(codebook), np.imag(codebook)], axis=1)


def _codeword_energies(codebook: CodebookArray) -> Float[np.ndarray, " M"]:
    return np.mean(np.abs(codebook) ** 2, axis=1, dtype=float)


def _match_shape(snr_db: Level, values: FloatVector) -> Level:
    """One value per SNR, in the shape of `snr_db`."""
    if isinstance(snr_db, np.ndarray) and snr_db.ndim > 0:
        return values.reshape(snr_db.shape)
    return cast(Level, float(values[0]))


# Far beyond practical values; SciPy's χ'² does not reach tails of 2^−700.
_MAX_ABS_SNR_DB = 100.0
_MAX_MESSAGE_BITS = 400


def _check_arguments(
    snr_db: float | int | np.ndarray, messages: Integer, uses: Integer
) -> tuple[FloatVector, int, int]:
    """Checked γ, M and N."""
    messages = _as_int("messages", messages, 2, "256")
    if messages > 2**_MAX_MESSAGE_BITS:
        raise InvalidInputError(
            f"messages is above 2**{_MAX_MESSAGE_BITS}; expected at most that"
        )
    return _snr_linear(snr_db), messages, _as_int("uses", uses, 1, "4")


def _as_int(name: str, value: Integer, minimum: int, example: str) -> int:
    try:
        integer = operator.index(value)
    except TypeError:
        integer = minimum - 1
    if integer < minimum:
        raise InvalidInputError(
            f"{name} is {value!r}; expected a whole number from {minimum}, "
            f"e.g. {example}"
        )
    return integer


def _snr_linear(snr_db: float | int | np.ndarray) -> FloatVector:
    try:
        values = np.asarray(snr_db, dtype=float)
    except (TypeError, ValueError):
        values = np.asarray(np.nan)
    if not np.all(np.abs(values) <= _MAX_ABS_SNR_DB):
        raise InvalidInputError(
            f"snr_db is {snr_db!r}; expected finite dB, within ±{_MAX_ABS_SNR_DB:g}, "
            "e.g. 10.0"
        )
    return db_to_linear(values.ravel())


def _check_hint(hint: float | int) -> float:
    if not 0.0 <= hint <= 1.0:
        raise InvalidInputError(
            f"hint is {hint}; expected the probability that it is right, 0 to 1"
        )
    return float(hint)


def _check_codebook(codebook: Codebook) -> CodebookArray:
    try:
        points = np.asarray(codebook, dtype=complex)
    except (TypeError, ValueError):
        points = np.zeros(0, dtype=complex)
    if points.ndim != 2 or len(points) < 2 or points.size == 0:
        raise InvalidInputError(
            f"codebook has shape {np.shape(points)}; expected complex [messages, uses],"
            " e.g. (256, 4)"
        )
    if not np.all(np.isfinite(points)):
        raise InvalidInputError(
            "codebook holds values that are not finite; expected numbers"
        )
    return points


def _check_qpsk(messages: int, uses: int) -> None:
    if messages != 4**uses:
        raise InvalidInputError(
            f"QPSK in {uses} uses has {4**uses} messages, not {messages}; expected "
            f"messages = 4**uses"
        )
