"""Maximum-likelihood detectors for a known codebook and a known channel model.

All messages are equally likely. Each detector returns one metric per message; the
message with the highest is the decision, and no other detector has a lower error rate.
Log-likelihoods are in nats, up to a term that all messages share: their
`jax.nn.log_softmax` is the log-posterior.

Complex numbers are real pairs on the last axis. `snr_db` is Es/N0 per complex use in
dB: noise has mean power 1/γ per use, γ = 10^(snr_db/10), at any energy of the codebook.
"""

import jax
import jax.numpy as jnp
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
        2.0 * db_to_linear(snr_db) * coherent_ml_metric(y, codebook)
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
    gamma = db_to_linear(snr_db)
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
    gamma = db_to_linear(snr_db)
    scatter = 1.0 / (k_factor + 1.0)
    line_of_sight = jnp.sqrt(k_factor * scatter)
    energy = block_energy(codebook)
    variance = 1.0 + gamma * scatter * energy
    match = correlation(y, codebook)
    in_phase = match[..., 0] * jnp.cos(phase) + match[..., 1] * jnp.sin(phase)
    noncoherent = gamma * scatter * jnp.sum(match**2, axis=-1)
    coherent = 2.0 * (line_of_sight * in_phase) - line_of_sight**2 * energy
    return (noncoherent + coherent) * (gamma / variance) - jnp.log(variance)


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
    gamma = db_to_linear(snr_db)
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


def _flatten(pairs: Float[Array, "K C 2"]) -> Float[Array, "K 2*C"]:
    return pairs.reshape(len(pairs), -1)


def correlation(y: ReceivedSymbols, codebook: Codebook) -> Float[Array, "B M 2"]:
    """Correlations cᴴy, real and imaginary part, by one real matrix product."""
    # Re(cᴴy) = ⟨c, y⟩ and Im(cᴴy) = ⟨ic, y⟩, as vectors of reals.
    quarter = jnp.stack([-codebook[..., 1], codebook[..., 0]], axis=-1)
    both = jnp.stack([_flatten(codebook), _flatten(quarter)], axis=1)
    product = _flatten(y) @ both.reshape(-1, both.shape[-1]).T
    return product.reshape(len(y), len(codebook), 2)
