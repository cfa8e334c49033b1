"""How often Gaussian noise carries a point out of a cone: what spheres' bounds rest on.

Host side, in double precision; arrays broadcast.

Source: Shannon, "Probability of error for optimal codes in a Gaussian channel", Bell
    System Technical Journal 38 (1959).
"""

import numpy as np
from jaxtyping import Float
from scipy import special

FloatArray = Float[np.ndarray, "..."]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_TRUNCATION_STDS = 11.0
"""Standard deviations beyond which e^{−x²/2} no longer counts, with one to spare."""


def cap_fraction(angle: FloatArray | float, dimensions: int) -> FloatArray:
    """Returns Ω(θ), the share of the sphere within the angle θ of one of its points.

        Ω(θ) = ½ I_{sin²θ}((n − 1)/2, ½)    for θ ≤ 90°, else 1 − Ω(180° − θ)

    Args:
        angle: θ, 0 to π radians.
        dimensions: n ≥ 2, real, of the space around the sphere.
    """
    half = 0.5 * special.betainc((dimensions - 1) / 2, 0.5, np.sin(angle) ** 2)
    return np.where(angle <= np.pi / 2, half, 1.0 - half)


def cap_angle(fraction: float, dimensions: int) -> float:
    """Returns θ, in radians, with Ω(θ) = `fraction`: the inverse of `cap_fraction`.

    Args:
        fraction: Ω, 0 to 1; one M-th of the sphere, for instance.
        dimensions: n ≥ 2.
    """
    if fraction > 0.5:
        return float(np.pi - cap_angle(1.0 - fraction, dimensions))
    shape = (dimensions - 1) / 2
    # From the side that loses nothing: 1 − 2Ω drops a small Ω, 1 − sin²θ a small cos²θ.
    if fraction < 0.1:
        sine2 = special.betaincinv(shape, 0.5, 2.0 * fraction)
        cosine2 = 1.0 - sine2
    else:
        cosine2 = special.betaincinv(0.5, shape, 1.0 - 2.0 * fraction)
        sine2 = 1.0 - cosine2
    return float(np.arctan2(np.sqrt(sine2), np.sqrt(cosine2)))


def cone_escape_probability(
    offset: FloatArray | float, angle: FloatArray | float, dimensions: int
) -> FloatArray:
    """Returns P(∠(Y, e) > θ) for Y = μ e + Z, Z ~ N(0, I_n), e a unit vector.

    With y the part of Y along e, and r ~ χ_{n−1} the length of the rest, the edge of
    the cone is r = y tan θ. The smallest probabilities are as exact as the largest.

    Args:
        offset: μ ≥ 0, distance from the apex in standard deviations of the noise.
        angle: θ, between the axis and the edge, 0 to π radians.
        dimensions: n ≥ 2, real.
    """
    offset, angle = np.broadcast_arrays(offset, angle)
    outside = np.empty(offset.shape)
    # Integrate over whichever of y and r meets the edge less abruptly.
    narrow = angle < np.pi / 4
    outside[narrow] = _integrate_over_axis(offset[narrow], angle[narrow], dimensions)
    outside[~narrow] = _integrate_over_radius(
        offset[~narrow], angle[~narrow], dimensions
    )
    return outside


def _integrate_over_axis(
    offset: FloatArray, angle: FloatArray, dimensions: int
) -> FloatArray:
    """Returns Q(μ) + ∫₀^∞ φ(y − μ) P(χ_{n−1} > y tan θ) dy."""
    length = _saddle_point(offset, angle, dimensions)
    cut = length * np.sin(angle) > np.sqrt(dimensions - 2)
    y, weight = _quadrature(np.where(cut, length * np.cos(angle), offset), 1.0)
    edge = y * np.tan(angle)[..., None]
    beyond = special.gammaincc((dimensions - 1) / 2, 0.5 * edge**2)
    density = np.exp(-0.5 * (y - offset[..., None]) ** 2) / np.sqrt(2.0 * np.pi)
    return special.ndtr(-offset) + np.sum(weight * density * beyond, axis=-1)


def _integrate_over_radius(
    offset: FloatArray, angle: FloatArray, dimensions: int
) -> FloatArray:
    """Returns ∫₀^∞ f(r) Φ(r cot θ − μ) dr, f the density of χ_{n−1}."""
    cot = np.tan(np.pi / 2 - angle)
    length = _saddle_point(offset, angle, dimensions)
    rest = np.sqrt(dimensions - 2)
    # Beyond a right angle, Φ falls from the start, the faster the wider the cone.
    width = np.where(cot < 0, 1.0 / np.sqrt(1.0 + 0.6 * cot**2), 1.0)
    cut = offset > rest * cot
    r, weight = _quadrature(np.where(cut, length * np.sin(angle), rest), width)
    log_f = (
        (dimensions - 2) * np.log(r) - 0.5 * r**2 - _log_chi_normalizer(dimensions - 1)
    )
    log_below = special.log_ndtr(r * cot[..., None] - offset[..., None])
    return np.sum(weight * np.exp(log_f + log_below), axis=-1)


def _saddle_point(offset: FloatArray, angle: FloatArray, dimensions: int) -> FloatArray:
    """Returns how far along the cone's edge most of those points leave that do.

    It is Shannon's G. The integrands' logarithms curve down by 1 at least, and their
    slopes there are within 1.2 of zero: so near are their peaks.
    """
    along = offset * np.cos(angle)
    # Not ½(a + √(a² + 4b)), which cancels where a < 0.
    root = np.sqrt(along**2 + 4.0 * (dimensions - 2)) + np.abs(along)
    other = 2.0 * (dimensions - 2) / np.maximum(root, np.finfo(float).tiny)
    return np.where(along >= 0, 0.5 * root, other)


def _quadrature(
    peak: FloatArray, width: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """Returns nodes and weights of an integral over what counts of [0, ∞)."""
    low = np.maximum(peak - _TRUNCATION_STDS * width, 0.0)
    half = 0.5 * (peak + _TRUNCATION_STDS * width - low)
    nodes = low[..., None] + half[..., None] * (1.0 + _NODES)
    return nodes, half[..., None] * _WEIGHTS


def _log_chi_normalizer(dof: int) -> float:
    """Returns ln of what normalises r^{k−1} e^{−r²/2} on [0, ∞)."""
    return float(special.gammaln(dof / 2) + (dof / 2 - 1) * np.log(2.0))
