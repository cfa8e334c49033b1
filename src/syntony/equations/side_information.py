"""Error rates of a receiver that holds a hint about the message.

The hint is the message with probability p, and each of the M − 1 others with
probability (1 − p) / (M − 1). Host side, in double precision; `limits` has the
functions that check their arguments.
"""

import functools
import math

import numpy as np
from jaxtyping import Float
from scipy import special

from syntony.equations.quadrature import gauss_legendre
from syntony.equations.spherical_caps import cap_angle, cap_fraction

FloatVector = Float[np.ndarray, " K"]

_NUM_NODES = 120
"""Nodes of a quadrature over the radius."""
_NUM_ANGLES = 2001
"""Angles of the grid on which shares of a sphere are tried."""
_NUM_SUMS = 4000
"""Intervals of the grid on which densities of sums are computed."""
_TAIL_STDS = 9.0
"""Standard deviations beyond which a normal density is neglected."""


def hint_log_odds(messages: int, hint: float) -> float:
    """Log-odds Λ = ln(p (M − 1) / (1 − p)) of the hint against any other message.

    Args:
        messages: M ≥ 2.
        hint: p, 0 to 1.
    """
    with np.errstate(divide="ignore"):
        return float(np.log(hint) - np.log1p(-hint)) + math.log(messages - 1)


def cap_error_rate(gamma: float, messages: int, uses: int, hint: float) -> float:
    """Lower bound E_r min_W [p G_r(W) + (1 − p) G_r((1 − W)/(M − 1))].

    G_r(W) is the probability that the received block of norm r lies outside of the cap
    of share W around the codeword. Given the hint and r, the decision regions divide a
    sphere: W for the hinted message, the rest for the others. No region of a share has
    more probability than the cap, and G_r is convex, so equal shares of the others are
    best.

    Args:
        gamma: SNR per complex use.
        messages: M.
        uses: N.
        hint: p.
    """
    n = 2 * uses
    amplitude = math.sqrt(n * gamma)
    radius, weight = gauss_legendre(
        np.array([max(math.hypot(amplitude, math.sqrt(n - 2)) - _TAIL_STDS, 0.0)]),
        np.array([math.hypot(amplitude, math.sqrt(n)) + _TAIL_STDS]),
        _NUM_NODES,
    )
    angle, other_angle = _shares(messages, n)
    bound = 0.0
    for r, w in zip(radius[0], weight[0], strict=True):
        outside = _outside_density(r, angle, amplitude, n)
        other = np.interp(other_angle, angle, outside)
        bound += w * np.min(hint * outside + (1.0 - hint) * other)
    return float(bound)


@functools.cache
def _shares(messages: int, n: int) -> tuple[FloatVector, FloatVector]:
    """Angles of the hinted message's cap, and of the others' caps in the rest."""
    angle = np.linspace(0.0, np.pi, _NUM_ANGLES)
    rest = (1.0 - cap_fraction(angle, n)) / (messages - 1)
    return angle, np.array([cap_angle(float(share), n) for share in rest])


def _outside_density(
    radius: float, angle: FloatVector, amplitude: float, n: int
) -> FloatVector:
    """Density of the norm r of a e + Z, times P(∠(a e + Z, e) > θ | r), Z ~ N(0, I_n).

    Args:
        radius: r.
        angle: increasing angles θ from 0 to π, fine enough to integrate over.
        amplitude: a.
        n: real dimensions.
    """
    log_radial = (n - 1) * math.log(radius) - 0.5 * (radius - amplitude) ** 2
    log_normalizer = (n / 2 - 1) * math.log(2.0) + special.gammaln((n - 1) / 2)
    exponent = radius * amplitude * (np.cos(angle) - 1.0) + log_radial - log_normalizer
    density = np.exp(exponent) * np.sin(angle) ** (n - 2) / math.sqrt(np.pi)
    # From the far end, so that small probabilities keep their digits.
    areas = 0.5 * (density[1:] + density[:-1]) * np.diff(angle)
    return np.concatenate([np.cumsum(areas[::-1])[::-1], [0.0]])


def qpsk_success_rate(gamma: float, uses: int, hint: float) -> float:
    """Probability that QPSK with the most probable message is decided correctly.

    Of the 2N bits, each received as y_k ~ N(±√γ, 1). With u_k the distance of y_k from
    the boundary, against the hinted bit, the hint is chosen if 2√γ Σ u_k ≤ Λ over the
    bits that disagree with it.

    Args:
        gamma: SNR per complex use.
        uses: N; there are M = 4^N messages.
        hint: p.
    """
    bits, offset = 2 * uses, math.sqrt(gamma)
    log_odds = hint_log_odds(4**uses, hint)
    if log_odds < 0:
        return _unlikely_hint_success_rate(bits, offset, -log_odds, hint)
    # A sum of all bits that is larger has a negligible probability.
    threshold = min(log_odds / (2.0 * offset), bits * (_TAIL_STDS + offset))
    agree = special.ndtr(offset)
    against = _sum_probabilities(-offset, threshold, bits)
    toward = _sum_probabilities(offset, threshold, bits)
    hinted = other = 0.0
    for d in range(bits + 1):
        ways = math.comb(bits, d)
        hinted += ways * agree ** (bits - d) * against[d]
        # The message differs from the hint in d bits, all of which have to be seen.
        other += ways * agree ** (bits - d) * (agree**d - toward[d]) * (d > 0)
    rate = hint * hinted + (1.0 - hint) * other / (2**bits - 1)
    # The sums are correct to six digits.
    return min(float(rate), 1.0)


def _sum_probabilities(mean: float, threshold: float, count: int) -> list[float]:
    """Probabilities that d normals are all positive and sum to `threshold` at most.

    Args:
        mean: their mean; their variance is 1.
        threshold: the largest sum, ≥ 0.
        count: the largest d; the list has d = 0, …, `count`.
    """
    if threshold == 0.0:
        return [1.0] + [0.0] * count
    grid, step = np.linspace(0.0, threshold, _NUM_SUMS + 1, retstep=True)
    density = np.exp(-0.5 * (grid - mean) ** 2) / math.sqrt(2.0 * np.pi)
    sums, probabilities = density, [1.0]
    for _ in range(count):
        probabilities.append(float(np.trapezoid(sums, dx=step)))
        ends = 0.5 * (sums[0] * density + sums * density[0])
        sums = (_convolve(sums, density) - ends) * step
    return probabilities


def _convolve(a: FloatVector, b: FloatVector) -> FloatVector:
    """Sums Σ_j a_j b_{i−j} for each i of the grid, by Fourier transforms."""
    size = 2 * len(a)
    spectrum = np.fft.rfft(a, size) * np.fft.rfft(b, size)
    return np.fft.irfft(spectrum, size)[: len(a)]


def _unlikely_hint_success_rate(
    bits: int, offset: float, log_odds: float, hint: float
) -> float:
    """Success rate where the hinted message is less probable than the others, Λ < 0.

    It is decided for only if every bit agrees with it by |Λ| / (2√γ); else the bit of
    the smallest margin is taken to be the other one.
    """
    end = offset + 2.0 * _TAIL_STDS
    margin = min(log_odds / (2.0 * offset), end)
    hinted = special.ndtr(offset - margin) ** bits
    u, weight = gauss_legendre(np.zeros(1), np.array([margin]), _NUM_NODES)
    density = np.exp(-0.5 * (u + offset) ** 2) / math.sqrt(2.0 * np.pi)
    smallest = np.sum(weight * density * special.ndtr(offset - u) ** (bits - 1))
    others = special.ndtr(offset) ** bits * (2**bits - 1) + bits * smallest
    return float(hint * hinted + (1.0 - hint) * others / (2**bits - 1))
