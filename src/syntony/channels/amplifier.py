"""A power amplifier that saturates."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.identified import NoiselessChannel
from syntony.channels.phase import rotate
from syntony.config import pytree_dataclass
from syntony.identifiers import Limits


@pytree_dataclass
class Amplifier(NoiselessChannel):
    """Compresses strong uses, and may turn them; adds no noise.

        |y| = A / (1 + (A / A_sat)^{2p})^{1 / 2p},    A = |x|,    A_sat² = 10^(b / 10)
        arg y − arg x = φ r² / (1 + r²),    r = A / A_sat

    The gain is 1 for weak uses and |y| → A_sat for strong ones. Nothing is scaled back:
    what saturation takes away is lost. Noise behind it is still that of an SNR for unit
    power.

    Source: Rapp (1991), the amplitude of a solid-state amplifier; Saleh (1981), the
        form of the phase, with α_φ = φ / A_sat² and β_φ = 1 / A_sat².
    """

    NAME = "amplifier"
    LIMITS: ClassVar[Limits] = {
        "smoothness": lambda _: (0.1, 100.0),
        "backoff_db": lambda _: (-100.0, 100.0),
        "am_pm_deg": lambda _: (-360.0, 360.0),
    }

    smoothness: float = 2.0
    """p > 0: the larger, the sharper the knee; a limiter as p → ∞."""
    backoff_db: float = 3.0
    """b, power of saturation over the mean power sent, in dB."""
    am_pm_deg: float = 0.0
    """φ, of the strongest uses, in degrees; at saturation half of it."""

    has_unknown_gain = False

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        del key  # An amplifier leaves nothing to chance.
        saturation = 10.0 ** (jnp.asarray(self.backoff_db) / 10.0)
        drive = jnp.sum(x * x, axis=-1) / saturation
        gain = rapp_gain(drive, self.smoothness)
        angle = jnp.deg2rad(self.am_pm_deg) * drive / (1.0 + drive)
        return rotate(x * gain[..., None], angle)


def rapp_gain(
    drive: Float[Array, "*batch"], smoothness: Float[Array, ""] | float
) -> Float[Array, "*batch"]:
    """Returns |y| / |x| = (1 + r^{2p})^{−1 / 2p}.

    Args:
        drive: r² = |x|² / A_sat².
        smoothness: p > 0.

    Source: Rapp (1991), eq. 1.
    """
    # By logarithms nothing overflows; at r = 0 they, and their slope, need a floor.
    log_drive = jnp.log(jnp.maximum(drive, 1e-30))
    return jnp.exp(-jnp.logaddexp(0.0, smoothness * log_drive) / (2.0 * smoothness))
