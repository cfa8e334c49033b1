"""Which message was sent: exact detectors for a known codebook and a known channel.

All messages are equally likely. Each detector scores every message, the highest is
the decision, and no other detector errs less often. Log-likelihoods are in nats, up to
what all messages share: their `jax.nn.log_softmax` is the log-posterior.

Complex numbers are real pairs on the last axis. `snr_db` is Es/N0 per complex use in
dB: noise has mean power 1/γ a use, γ = 10^(snr_db/10), whatever the codebook's energy.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from syntony.equations.signal import complex_multiply, conjugate

ReceivedSymbols = Float[Array, "B C 2"]
Codebook = Float[Array, "M C 2"]
DetectionMetric = Float[Array, "B M"]
Scalar = Float[Array, ""] | float


def coherent_ml_metric(y: ReceivedSymbols, codebook: Codebook) -> DetectionMetric:
    """Returns Re⟨y, c⟩ − ‖c‖²/2, in units of energy: y = c + noise.

    Its order is that of −‖y − c‖², at any SNR. Times 2γ it is the log-likelihood.

    Source: the matched filter; e.g. Proakis and Salehi, "Digital Communications",
        section 4.2.
    """
    return _flatten(y) @ _flatten(codebook).T - 0.5 * _energy(codebook)


def coherent_log_posterior(
    y: ReceivedSymbols, codebook: Codebook, snr_db: Scalar
) -> DetectionMetric:
    """Returns ln p(m | y), p(m | y) ∝ exp(−γ ‖y − c‖²), for y = c + noise."""
    return jax.nn.log_softmax(
        2.0 * _snr_linear(snr_db) * coherent_ml_metric(y, codebook)
    )


def known_fading_ml_metric(
    y: ReceivedSymbols, h: Float[Array, "B 2"], codebook: Codebook
) -> DetectionMetric:
    """Returns Re⟨y, hc⟩ − |h|²‖c‖²/2, in units of energy: y = hc + noise, h known.

    Times 2γ it is the log-likelihood. With an estimate of h it is what receivers do
    that take the estimate for the truth.

    Args:
        h: one complex gain a block.
    """
    # ⟨y, hc⟩ = ⟨h*y, c⟩: turn each block back once, not each codeword for each block.
    turned = complex_multiply(y, conjugate(h)[:, None])
    gain = jnp.sum(h**2, axis=-1)[:, None]
    return _flatten(turned) @ _flatten(codebook).T - 0.5 * gain * _energy(codebook)


def noncoherent_ml_metric(
    y: ReceivedSymbols, codebook: Codebook, snr_db: Scalar
) -> DetectionMetric:
    """Returns ln p(y | c) for y = hc + noise, h ~ CN(0, 1) one a block and unknown.

        γ² |cᴴy|² / (1 + γ‖c‖²) − ln(1 + γ‖c‖²)

    Source: Hochwald and Marzetta, "Unitary space-time modulation for multiple-antenna
        communications in Rayleigh flat fading", IEEE Trans. Inf. Theory 46 (2000).
    """
    gamma = _snr_linear(snr_db)
    spread = 1.0 + gamma * _energy(codebook)
    match = jnp.sum(_correlation(y, codebook) ** 2, axis=-1)
    return gamma * match * (gamma / spread) - jnp.log(spread)


def rician_ml_metric(
    y: ReceivedSymbols,
    codebook: Codebook,
    snr_db: Scalar,
    *,
    k_factor: Scalar,
    phase: Scalar,
) -> DetectionMetric:
    """Returns ln p(y | c) for y = hc + noise, h one a block and known in the mean only.

        h ~ CN(h̄, s²),   h̄ = √(K/(K + 1)) e^{iφ},   s² = 1/(K + 1)
        (γ² s² |cᴴy|² + γ (2 Re(h̄* cᴴy) − |h̄|²‖c‖²)) / (1 + γs²‖c‖²)
            − ln(1 + γs²‖c‖²)

    At K = 0 it is `noncoherent_ml`; for K → ∞ and φ = 0, 2γ times `coherent_ml`.

    Args:
        k_factor: K ≥ 0, power of the path that stays over that of those that scatter;
            a plain ratio, not dB.
        phase: φ, of the path that stays, radians.
    """
    gamma = _snr_linear(snr_db)
    scatter = 1.0 / (k_factor + 1.0)
    line = jnp.sqrt(k_factor * scatter)
    energy = _energy(codebook)
    spread = 1.0 + gamma * scatter * energy
    match = _correlation(y, codebook)
    along = line * (match[..., 0] * jnp.cos(phase) + match[..., 1] * jnp.sin(phase))
    scattered = gamma * scatter * jnp.sum(match**2, axis=-1)
    straight = 2.0 * along - line**2 * energy
    return (scattered + straight) * (gamma / spread) - jnp.log(spread)


def lmmse_channel_estimate(
    y: Float[Array, "B P 2"], pilot: Float[Array, "P 2"], snr_db: Scalar
) -> Float[Array, "B 2"]:
    """Returns ĥ = E[h | y] for y = hp + noise, h ~ CN(0, 1) one a block.

        ĥ = γ pᴴy / (1 + γ‖p‖²)

    Args:
        y: what was received of the pilots.
        pilot: p, what was sent, known to the receiver.

    Source: e.g. Kay, "Fundamentals of Statistical Signal Processing" (1993), ch. 12.
    """
    gamma = _snr_linear(snr_db)
    match = _correlation(y, pilot[None])[:, 0]
    return match * (gamma / (1.0 + gamma * jnp.sum(pilot**2)))


def pilot_aided_ml_metric(
    y: ReceivedSymbols, codebook: Codebook, snr_db: Scalar, *, num_pilots: int = 1
) -> DetectionMetric:
    """Returns `known_fading_ml` with h estimated from the pilots by `lmmse_fading`.

    What receivers do in practice. It is not the best that can be done: that is
    `noncoherent_ml`, which knows that the estimate errs.

    Args:
        pilots: how many uses, the first, are alike in all codewords.
    """
    h = lmmse_channel_estimate(y[:, :num_pilots], codebook[0, :num_pilots], snr_db)
    return known_fading_ml_metric(y, h, codebook)


def _snr_linear(snr_db: Scalar) -> Scalar:
    return 10.0 ** (snr_db / 10.0)


def _flatten(pairs: Float[Array, "K C 2"]) -> Float[Array, "K 2*C"]:
    return jnp.reshape(pairs, (len(pairs), -1))


def _energy(codebook: Codebook) -> Float[Array, " M"]:
    return jnp.sum(codebook**2, axis=(-2, -1))


def _correlation(y: ReceivedSymbols, codebook: Codebook) -> Float[Array, "B M 2"]:
    """Returns cᴴy, real and imaginary part, by one real product of matrices."""
    # Re(cᴴy) = ⟨c, y⟩ and Im(cᴴy) = ⟨ic, y⟩, as vectors of reals.
    quarter = jnp.stack([-codebook[..., 1], codebook[..., 0]], axis=-1)
    both = jnp.stack([_flatten(codebook), _flatten(quarter)], axis=1)
    product = _flatten(y) @ jnp.reshape(both, (-1, both.shape[-1])).T
    return jnp.reshape(product, (len(y), len(codebook), 2))
