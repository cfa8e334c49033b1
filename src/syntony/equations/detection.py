"""Maximum-likelihood detectors for a known codebook and a known channel model.

All messages are equally likely. Each detector returns one metric per message; the
message with the highest is the decision, and no other detector has a lower error rate.
Log-likelihoods are in nats, up to a term that all messages share: their
`jax.nn.log_softmax` is the log-posterior.

Complex numbers are real pairs on the last axis. `snr_db` is Es/N0 per complex use in
dB: noise has mean power 1/γ per use, γ = 10^(snr_db/10), at any energy of the codebook.
Above 200 dB, at infinity as well, γ is 10^20: float32 has no use for more.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from syntony.equations.signal import (
    block_energy,
    complex_multiply,
    conjugate,
    db_to_linear,
)

ReceivedSymbols = Float[Array, "B C 2"]
Codebook = Float[Array, "M C 2"]
DetectionMetric = Float[Array, "B M"]
Scalar = Float[Array, ""] | float
MAX_SNR_DB = 200.0
"""Largest SNR of a metric: its square is finite in float32."""


def coherent_ml_metric(y: ReceivedSymbols, codebook: Codebook) -> DetectionMetric:
    """Coherent metric Re⟨y, c⟩ − ‖c‖²/2, in units of energy, for y = c + noise.

    It orders messages as −‖y − c‖² does, at any SNR. Times 2γ it is the log-likelihood.

    Source: the matched filter; e.g. Proakis and Salehi, "Digital Communications",
        section 4.2.
    """
    return _flatten(y) @ _flatten(codebook).T - 0.5 * block_energy(codebook)


def coherent_log_posterior(
    y: ReceivedSymbols, codebook: Codebook, snr_db: Scalar
) -> DetectionMetric:
    """Log-posterior ln p(m | y), p(m | y) ∝ exp(−γ ‖y − c‖²), for y = c + noise."""
    return jax.nn.log_softmax(
        2.0 * _linear_snr(snr_db) * coherent_ml_metric(y, codebook)
    )


def known_fading_ml_metric(
    y: ReceivedSymbols, h: Float[Array, "B 2"], codebook: Codebook
) -> DetectionMetric:
    """Metric Re⟨y, hc⟩ − |h|²‖c‖²/2, in units of energy, for y = hc + noise, h known.

    Times 2γ it is the log-likelihood. With an estimate in place of h it is the metric
    of a receiver that ignores the estimation error.

    Args:
        h: one complex gain per block.
    """
    # ⟨y, hc⟩ = ⟨h*y, c⟩: rotate each block once, not each codeword for each block.
    rotated = complex_multiply(y, conjugate(h)[:, None])
    gain = jnp.sum(h**2, axis=-1)[:, None]
    energy = block_energy(codebook)
    return _flatten(rotated) @ _flatten(codebook).T - 0.5 * gain * energy


def noncoherent_ml_metric(
    y: ReceivedSymbols, codebook: Codebook, snr_db: Scalar
) -> DetectionMetric:
    """Log-likelihood ln p(y | c) for y = hc + noise with an unknown h ~ CN(0, 1).

        γ² |cᴴy|² / (1 + γ‖c‖²) − ln(1 + γ‖c‖²)

    Source: Hochwald and Marzetta, "Unitary space-time modulation for multiple-antenna
        communications in Rayleigh flat fading", IEEE Trans. Inf. Theory 46 (2000).
    """
    gamma = _linear_snr(snr_db)
    variance = 1.0 + gamma * block_energy(codebook)
    match = jnp.sum(correlation(y, codebook) ** 2, axis=-1)
    return gamma * match * (gamma / variance) - jnp.log(variance)


def rician_ml_metric(
    y: ReceivedSymbols,
    codebook: Codebook,
    snr_db: Scalar,
    *,
    k_factor: Scalar,
    phase: Scalar,
) -> DetectionMetric:
    """Log-likelihood ln p(y | c) for y = hc + noise, only the mean of h known.

        h ~ CN(h̄, s²),   h̄ = √(K/(K + 1)) e^{iφ},   s² = 1/(K + 1)
        (γ² s² |cᴴy|² + γ (2 Re(h̄* cᴴy) − |h̄|²‖c‖²)) / (1 + γs²‖c‖²)
            − ln(1 + γs²‖c‖²)

    There is one h per block. At K = 0 it is `noncoherent_ml_metric`; for K → ∞ and
    φ = 0, 2γ times `coherent_ml_metric`.

    Args:
        k_factor: K ≥ 0, power of the line-of-sight path over that of the scattered
            paths; a linear ratio, not dB.
        phase: φ of the line-of-sight path, in radians.
    """
    gamma = _linear_snr(snr_db)
    scatter = 1.0 / (k_factor + 1.0)
    line_of_sight = jnp.sqrt(k_factor * scatter)
    energy = block_energy(codebook)
    variance = 1.0 + gamma * scatter * energy
    match = correlation(y, codebook)
    in_phase = match[..., 0] * jnp.cos(phase) + match[..., 1] * jnp.sin(phase)
    noncoherent = gamma * scatter * jnp.sum(match**2, axis=-1)
    coherent = 2.0 * (line_of_sight * in_phase) - line_of_sight**2 * energy
    return (noncoherent + coherent) * (gamma / variance) - jnp.log(variance)


def random_phase_ml_metric(
    y: ReceivedSymbols, codebook: Codebook, snr_db: Scalar
) -> DetectionMetric:
    """Log-likelihood ln p(y | c) for y = e^{iθ} c + noise, θ uniform, one per block.

        ln I_0(2γ |cᴴy|) − γ‖c‖²

    Source: Proakis and Salehi, "Digital Communications", section 4.5, the envelope
        detector of signals with a random phase.
    """
    gamma = _linear_snr(snr_db)
    match = jnp.sqrt(jnp.sum(correlation(y, codebook) ** 2, axis=-1))
    return _log_i0(2.0 * gamma * match) - gamma * block_energy(codebook)


def random_phase_rician_ml_metric(
    y: ReceivedSymbols, codebook: Codebook, snr_db: Scalar, *, k_factor: Scalar
) -> DetectionMetric:
    """Log-likelihood ln p(y | c) of Rician fading with an unknown line-of-sight phase.

        h ~ CN(|h̄| e^{iθ}, s²),  |h̄|² = K/(K + 1),  s² = 1/(K + 1),  θ uniform
        (γ² s² |cᴴy|² − γ |h̄|²‖c‖²) / V + ln I_0(2γ |h̄| |cᴴy| / V) − ln V,
            V = 1 + γs²‖c‖²

    It is the mean of the likelihood of `rician_ml_metric` over θ.

    Args:
        k_factor: K ≥ 0, a linear ratio, not dB.
    """
    gamma = _linear_snr(snr_db)
    scatter = 1.0 / (k_factor + 1.0)
    line_of_sight = jnp.sqrt(k_factor * scatter)
    energy = block_energy(codebook)
    variance = 1.0 + gamma * scatter * energy
    match = jnp.sqrt(jnp.sum(correlation(y, codebook) ** 2, axis=-1))
    exponent = gamma * scatter * match**2 - line_of_sight**2 * energy
    coherent = _log_i0(2.0 * line_of_sight * match * (gamma / variance))
    return exponent * (gamma / variance) + coherent - jnp.log(variance)


def gaussian_ml_metric(
    y: ReceivedSymbols, images: Float[Array, "M L C 2"], snr_db: Scalar
) -> DetectionMetric:
    """Log-likelihood ln p(y | c) for y = Σ_l h_l a_l + noise, h_l ~ CN(0, 1) unknown.

        y ~ CN(0, A Aᴴ + I/γ),    A = (a_1 … a_L) = U diag(s) Vᴴ
        −Σ_k (γ |u_kᴴ y|² / (1 + γ s_k²) + ln(1 + γ s_k²)),    k = 1 … C

    With L = 1 it is `noncoherent_ml_metric`, plus γ‖y‖². All terms have one sign: at a
    high SNR no large numbers cancel.

    Args:
        images: a_l of each message: what is received if h_l = 1, all others are zero
            and there is no noise.

    Source: Kay, "Fundamentals of Statistical Signal Processing", vol. 2 (1998), ch. 5,
        the estimator-correlator, in the basis of the signal's covariance.
    """
    gamma = _linear_snr(snr_db)
    columns = jnp.swapaxes(jax.lax.complex(images[..., 0], images[..., 1]), -1, -2)
    basis, singular, _ = jnp.linalg.svd(columns)
    # Rounding makes zeros as large as the resolution of float32.
    is_zero = singular < 1e-6 * singular[:, :1]
    rank = min(columns.shape[-2:])
    power = jnp.zeros(basis.shape[:2], basis.real.dtype)
    power = power.at[:, :rank].set(gamma * jnp.where(is_zero, 0.0, singular) ** 2)
    scale = jnp.sqrt(gamma / (1.0 + power))
    directions = jnp.swapaxes(basis, -1, -2) * scale[..., None]
    pairs = jnp.stack([directions.real, directions.imag], axis=-1)
    match = correlation(y, pairs.reshape(-1, *y.shape[1:]))
    distance = jnp.sum(match.reshape(len(y), len(images), -1) ** 2, axis=-1)
    return -distance - jnp.sum(jnp.log1p(power), axis=-1)


def impulsive_ml_metric(
    y: ReceivedSymbols,
    codebook: Codebook,
    snr_db: Scalar,
    *,
    probability: Scalar,
    impulse: Scalar,
) -> DetectionMetric:
    """Log-likelihood Σ_k ln p(y_k | c_k) of Bernoulli–Gaussian noise, uses independent.

        p(y | c) ∝ (1 − p) e^{−γ d} + (p / I) e^{−γ d / I},    d = |y − c|²

    Args:
        probability: p, probability that a use is hit by an impulse.
        impulse: I, noise power in a hit use over that in others; a linear ratio.
    """
    gamma = _linear_snr(snr_db)
    log_background = jnp.log1p(-jnp.asarray(probability))
    log_impulse = jnp.log(jnp.asarray(probability) / impulse)

    def log_density(y: Float[Array, "B 1 2"], c: Float[Array, "1 M 2"]) -> Array:
        distance = gamma * jnp.sum((y - c) ** 2, axis=-1)
        return jnp.logaddexp(
            log_background - distance, log_impulse - distance / impulse
        )

    return _sum_over_uses(log_density, y, codebook)


def quantized_ml_metric(
    y: ReceivedSymbols,
    codebook: Codebook,
    snr_db: Scalar,
    *,
    step: Scalar,
    num_levels: int,
) -> DetectionMetric:
    """Log-probability Σ ln P(y_k | c_k) of the levels of a uniform quantizer.

        P(y | c) = Φ((y + Δ/2 − c) √(2γ)) − Φ((y − Δ/2 − c) √(2γ))

    for each real part of each use. The outermost cells are open: their outer edge is
    infinitely far away.

    Args:
        y: levels, the centers of cells.
        step: Δ, width of a cell.
        num_levels: of each real part, an even number, symmetric about zero.
    """
    scale = jnp.sqrt(2.0 * _linear_snr(snr_db))
    outermost = (0.5 * num_levels - 0.75) * step

    def log_probability(y: Float[Array, "B 1 2"], c: Float[Array, "1 M 2"]) -> Array:
        upper = jnp.where(y > outermost, jnp.inf, (y + 0.5 * step - c) * scale)
        lower = jnp.where(y < -outermost, -jnp.inf, (y - 0.5 * step - c) * scale)
        return jnp.sum(log_gaussian_interval(lower, upper), axis=-1)

    return _sum_over_uses(log_probability, y, codebook)


def log_gaussian_interval(
    lower: Float[Array, "*batch"], upper: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Logarithm ln(Φ(b) − Φ(a)) of the probability that a normal variable is between.

    Args:
        lower: a, in standard deviations; −∞ is allowed.
        upper: b > a; ∞ is allowed.
    """
    # In the lower half, where Φ has all its digits.
    mirrored = lower + upper > 0.0
    a = jnp.where(mirrored, -upper, lower)
    b = jnp.where(mirrored, -lower, upper)
    width = b - a
    center = jnp.where(jnp.isfinite(width), 0.5 * (a + b), 0.0)
    half = jnp.where(jnp.isfinite(width), 0.5 * width, 1.0)
    # A narrow cell, whose ends have nearly the same Φ: integrated over its width.
    is_narrow = half * jnp.maximum(jnp.abs(center), 1.0) < 0.5
    nodes, weights = np.polynomial.legendre.leggauss(5)
    offset = half[..., None] * nodes.astype(np.float32)
    ratio = jnp.exp(-offset * (center[..., None] + 0.5 * offset))
    mean_ratio = ratio @ jnp.asarray(0.5 * weights, ratio.dtype)
    log_peak = -0.5 * center**2 - 0.5 * math.log(2.0 * math.pi)
    narrow = log_peak + jnp.log(2.0 * half) + jnp.log(mean_ratio)
    log_a, log_b = jax.scipy.stats.norm.logcdf(a), jax.scipy.stats.norm.logcdf(b)
    wide = log_b + jnp.log1p(-jnp.exp(jnp.where(is_narrow, -1.0, log_a - log_b)))
    return jnp.where(is_narrow, narrow, wide)


def lmmse_channel_estimate(
    y: Float[Array, "B P 2"], pilot: Float[Array, "P 2"], snr_db: Scalar
) -> Float[Array, "B 2"]:
    """LMMSE channel estimate ĥ = E[h | y] for y = hp + noise, h ~ CN(0, 1).

        ĥ = γ pᴴy / (1 + γ‖p‖²)

    Args:
        y: received pilots; one h per block.
        pilot: p, transmitted pilots, known to the receiver.

    Source: e.g. Kay, "Fundamentals of Statistical Signal Processing" (1993), ch. 12.
    """
    gamma = _linear_snr(snr_db)
    match = correlation(y, pilot[None])[:, 0]
    return match * (gamma / (1.0 + gamma * jnp.sum(pilot**2)))


def pilot_aided_ml_metric(
    y: ReceivedSymbols, codebook: Codebook, snr_db: Scalar, *, num_pilots: int = 1
) -> DetectionMetric:
    """Metric `known_fading_ml_metric` with h estimated by `lmmse_channel_estimate`.

    It is the usual receiver, but not optimal: `noncoherent_ml_metric`, which accounts
    for the estimation error, errs less.

    Args:
        num_pilots: number of leading channel uses that are equal in all codewords.
    """
    h = lmmse_channel_estimate(y[:, :num_pilots], codebook[0, :num_pilots], snr_db)
    return known_fading_ml_metric(y, h, codebook)


def _linear_snr(snr_db: Scalar) -> Float[Array, ""]:
    """Signal-to-noise ratio γ, limited where it is infinite."""
    return db_to_linear(jnp.minimum(jnp.asarray(snr_db), MAX_SNR_DB))


def _log_i0(x: DetectionMetric) -> DetectionMetric:
    """Logarithm ln I_0(x) of the modified Bessel function, for x ≥ 0."""
    return jnp.log(jax.scipy.special.i0e(x)) + x


def _sum_over_uses(
    log_density: Callable[
        [Float[Array, "B 1 2"], Float[Array, "1 M 2"]], DetectionMetric
    ],
    y: ReceivedSymbols,
    codebook: Codebook,
) -> DetectionMetric:
    """Sum over the uses of ln p(y_k | c_k), in memory for a single use."""

    def add(total: DetectionMetric, use: tuple[Array, Array]) -> tuple[Array, None]:
        received, sent = use
        return total + log_density(received[:, None], sent[None]), None

    uses = jnp.swapaxes(y, 0, 1), jnp.swapaxes(codebook, 0, 1)
    return jax.lax.scan(add, jnp.zeros((len(y), len(codebook)), y.dtype), uses)[0]


def _flatten(pairs: Float[Array, "K C 2"]) -> Float[Array, "K 2*C"]:
    return pairs.reshape(len(pairs), -1)


def correlation(y: ReceivedSymbols, codebook: Codebook) -> Float[Array, "B M 2"]:
    """Correlations cᴴy, real and imaginary part, by one real matrix product."""
    # Re(cᴴy) = ⟨c, y⟩ and Im(cᴴy) = ⟨ic, y⟩, as vectors of reals.
    quarter = jnp.stack([-codebook[..., 1], codebook[..., 0]], axis=-1)
    both = jnp.stack([_flatten(codebook), _flatten(quarter)], axis=1)
    product = _flatten(y) @ both.reshape(-1, both.shape[-1]).T
    return product.reshape(len(y), len(codebook), 2)
