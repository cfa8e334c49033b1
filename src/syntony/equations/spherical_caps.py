"""Spherical caps, and the probability that Gaussian noise leaves a cone.

Host side, in double precision; arrays broadcast.

Source: Shannon, "Probability of error for optimal codes in a Gaussian channel", Bell
    System Technical Journal 38 (1959).
"""

import numpy as np
from jaxtyping import Float
from scipy import special

from syntony.equations.quadrature import gauss_legendre

FloatArray = Float[np.ndarray, "..."]

_NUM_NODES = 96
_TRUNCATION_STDS = 11.0
"""Standard deviations beyond which e^{−x²/2} is neglected; 10 would be enough."""


def cap_fraction(angle: FloatArray | float, dimensions: int) -> FloatArray:
    """Fraction Ω(θ) of the sphere within the angle θ of one of its points.

        Ω(θ) = ½ I_{sin²θ}((n − 1)/2, ½)    for θ ≤ 90°, else 1 − Ω(180° − θ)

    Args:
        angle: θ, 0 to π radians.
        dimensions: n ≥ 2 real dimensions of the space.
    """
    squared_sine = np.sin(angle) ** 2
    half: FloatArray = 0.5 * special.betainc((dimensions - 1) / 2, 0.5, squared_sine)
    return np.where(angle <= np.pi / 2, half, 1.0 - half)


def cap_angle(fraction: float, dimensions: int) -> float:
    """Angle θ with Ω(θ) = `fraction`, in radians: the inverse of `cap_fraction`.

    Args:
        fraction: Ω, 0 to 1, e.g. 1/M.
        dimensions: n ≥ 2.
    """
    if fraction > 0.5:
        return float(np.pi - cap_angle(1.0 - fraction, dimensions))
    shape = (dimensions - 1) / 2
    # Against cancellation: 1 − 2Ω loses a small Ω, 1 − sin²θ a small cos²θ.
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
    """Probability P(∠(Y, e) > θ) for Y = μ e + Z, Z ~ N(0, I_n), e a unit vector.

    With y the component of Y along e, and r ~ χ_{n−1} the norm of the others, the edge
    of the cone is r = y tan θ. The relative error does not grow for small
    probabilities.

    Args:
        offset: μ ≥ 0, distance from the apex in standard deviations of the noise.
        angle: θ between the axis and the edge, 0 to π radians.
        dimensions: n ≥ 2 real dimensions.
    """
    offset, angle = np.broadcast_arrays(offset, angle)
    outside = np.empty(offset.shape)
    # Integrate over the one of y and r in which the integrand is smoother at the edge.
    narrow = angle < np.pi / 4
    outside[narrow] = _integrate_over_axis(offset[narrow], angle[narrow], dimensions)
    outside[~narrow] = _integrate_over_radius(
        offset[~narrow], angle[~narrow], dimensions
    )
    return outside


def _integrate_over_axis(
    offset: FloatArray, angle: FloatArray, dimensions: int
) -> FloatArray:
    """Escape probability Q(μ) + ∫₀^∞ φ(y − μ) P(χ_{n−1} > y tan θ) dy."""
    length = _saddle_point(offset, angle, dimensions)
    at_edge = length * np.sin(angle) > np.sqrt(dimensions - 2)
    y, weight = _quadrature(np.where(at_edge, length * np.cos(angle), offset), 1.0)
    edge = y * np.tan(angle)[..., None]
    beyond = special.gammaincc((dimensions - 1) / 2, 0.5 * edge**2)
    density = np.exp(-0.5 * (y - offset[..., None]) ** 2) / np.sqrt(2.0 * np.pi)
    return special.ndtr(-offset) + np.sum(weight * density * beyond, axis=-1)


def _integrate_over_radius(
    offset: FloatArray, angle: FloatArray, dimensions: int
) -> FloatArray:
    """Escape probability ∫₀^∞ f(r) Φ(r cot θ − μ) dr, f the density of χ_{n−1}."""
    cot = np.tan(np.pi / 2 - angle)
    length = _saddle_point(offset, angle, dimensions)
    mode = np.sqrt(dimensions - 2)
    # Beyond a right angle, Φ decreases from r = 0 on, the faster the wider the cone.
    width = np.where(cot < 0, 1.0 / np.sqrt(1.0 + 0.6 * cot**2), 1.0)
    at_edge = offset > mode * cot
    r, weight = _quadrature(np.where(at_edge, length * np.sin(angle), mode), width)
    log_f = (
        (dimensions - 2) * np.log(r) - 0.5 * r**2 - _log_chi_normalizer(dimensions - 1)
    )
    log_below = special.log_ndtr(r * cot[..., None] - offset[..., None])
    return np.sum(weight * np.exp(log_f + log_below), axis=-1)


def _saddle_point(offset: FloatArray, angle: FloatArray, dimensions: int) -> FloatArray:
    """Distance from the apex at which most escaping points cross the cone's edge.

    It is Shannon's G. The second derivatives of the integrands' logarithms are at most
    −1, and their first derivatives there within ±1.2: the peaks are within 1.2 of it.
    """
    axial = offset * np.cos(angle)
    # Not ½(a + √(a² + 4b)), which cancels where a < 0.
    root = np.sqrt(axial**2 + 4.0 * (dimensions - 2)) + np.abs(axial)
    stable = 2.0 * (dimensions - 2) / np.maximum(root, np.finfo(float).tiny)
    return np.where(axial >= 0, 0.5 * root, stable)


def _quadrature(
    peak: FloatArray, width: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights around the peak of an integrand on [0, ∞)."""
    low = np.maximum(peak - _TRUNCATION_STDS * width, 0.0)
    return gauss_legendre(low, peak + _TRUNCATION_STDS * width, _NUM_NODES)


def _log_chi_normalizer(dof: int) -> float:
    """Logarithm of ∫₀^∞ r^{k−1} e^{−r²/2} dr, k degrees of freedom."""
    return float(special.gammaln(dof / 2) + (dof / 2 - 1) * np.log(2.0))
