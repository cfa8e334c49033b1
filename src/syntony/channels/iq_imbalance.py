"""IQ imbalance: a mixer whose two arms are not alike."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.identified import NoiselessChannel
from syntony.config import pytree_dataclass
from syntony.identifiers import Limits


@pytree_dataclass
class IQImbalance(NoiselessChannel):
    """Adds to each use a weak mirror image of itself; adds no noise.

        Re y = Re x,    Im y = g (cos φ Im x − sin φ Re x)

    that is y = μ x + ν x*, with μ = (1 + g e^{−iφ}) / 2 and ν = (1 − g e^{iφ}) / 2. The
    image is rejected by |μ|² / |ν|² = (1 + 2 g cos φ + g²) / (1 − 2 g cos φ + g²).

    Source: Valkama, Renfors & Koivunen (2001), the mixer with all imbalance in one arm.
    """

    NAME = "iq"
    LIMITS: ClassVar[Limits] = {
        "gain_db": lambda _: (-60.0, 60.0),
        "phase_deg": lambda _: (-90.0, 90.0),
    }

    gain_db: float = 1.0
    """20 log₁₀ g, of the arm of the imaginary part over the other, in dB."""
    phase_deg: float = 5.0
    """φ, by how much the arms miss a right angle, in degrees."""

    has_unknown_gain = False

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        del key  # A mixer leaves nothing to chance.
        gain = 10.0 ** (jnp.asarray(self.gain_db) / 20.0)
        angle = jnp.deg2rad(self.phase_deg)
        real, imaginary = x[..., 0], x[..., 1]
        mixed = gain * (jnp.cos(angle) * imaginary - jnp.sin(angle) * real)
        return jnp.stack([real, mixed], axis=-1)
