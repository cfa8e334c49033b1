"""Amplitude and phase distortion of a power amplifier."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.identified import NoiselessChannel
from syntony.channels.phase import rotate
from syntony.config import between, field, pytree_dataclass


@pytree_dataclass
class Amplifier(NoiselessChannel):
    """Compresses strong symbols, and may rotate them; adds no noise.

        |y| = A / (1 + (A / A_sat)^{2p})^{1 / 2p},    A = |x|,    A_sat² = 10^(b / 10)
        arg y − arg x = φ r² / (1 + r²),    r = A / A_sat

    The gain is 1 for weak symbols and |y| → A_sat for strong ones. The lost power is
    not compensated: noise added after the amplifier still has the SNR of unit power.

    Source: Rapp (1991), the amplitude of a solid-state amplifier; Saleh (1981), the
        form of the phase, with α_φ = φ / A_sat² and β_φ = 1 / A_sat².
    """

    NAME = "amplifier"

    smoothness: float = field(2.0, limits=between(0.1, 100.0))
    """p > 0, sharpness of the transition to saturation; a limiter as p → ∞."""
    backoff_db: float = field(3.0, limits=between(-100.0, 100.0))
    """b, saturation power over mean transmitted power, in dB."""
    am_pm_deg: float = field(0.0, limits=between(-360.0, 360.0))
    """φ, phase shift of the strongest symbols, in degrees; half of it at saturation."""

    has_unknown_gain = False
    is_deterministic = True

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        del key  # An amplifier is deterministic.
        saturation = 10.0 ** (jnp.asarray(self.backoff_db) / 10.0)
        drive = jnp.sum(x * x, axis=-1) / saturation
        gain = rapp_gain(drive, self.smoothness)
        angle = jnp.deg2rad(self.am_pm_deg) * drive / (1.0 + drive)
        return rotate(x * gain[..., None], angle)


def rapp_gain(
    drive: Float[Array, "*batch"], smoothness: Float[Array, ""] | float
) -> Float[Array, "*batch"]:
    """Amplitude gain |y| / |x| = (1 + r^{2p})^{−1 / 2p}.

    Args:
        drive: r² = |x|² / A_sat².
        smoothness: p > 0.

    Source: Rapp (1991), eq. 1.
    """
    # Logarithms do not overflow; at r = 0 they and their derivative need a floor.
    log_drive = jnp.log(jnp.maximum(drive, 1e-30))
    return jnp.exp(-jnp.logaddexp(0.0, smoothness * log_drive) / (2.0 * smoothness))
