"""IQ imbalance: a mixer whose in-phase and quadrature branches differ."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.identified import NoiselessChannel
from syntony.config import between, field, pytree_dataclass


@pytree_dataclass
class IQImbalance(NoiselessChannel):
    """Adds to each symbol a weak mirror image of itself; adds no noise.

        Re y = Re x,    Im y = g (cos φ Im x − sin φ Re x)

    that is y = μ x + ν x*, with μ = (1 + g e^{−iφ}) / 2 and ν = (1 − g e^{iφ}) / 2. The
    image rejection is |μ|² / |ν|² = (1 + 2 g cos φ + g²) / (1 − 2 g cos φ + g²).

    Source: Valkama, Renfors & Koivunen (2001), with all imbalance in one branch.
    """

    NAME = "iq"

    gain_db: float = field(1.0, limits=between(-60.0, 60.0))
    """20 log₁₀ g, gain of the quadrature over the in-phase branch, in dB."""
    phase_deg: float = field(5.0, limits=between(-90.0, 90.0))
    """φ, deviation of the angle between the branches from 90°, in degrees."""

    has_unknown_gain = False
    is_deterministic = True

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        del key  # A mixer is deterministic.
        gain = 10.0 ** (jnp.asarray(self.gain_db) / 20.0)
        angle = jnp.deg2rad(self.phase_deg)
        real, imaginary = x[..., 0], x[..., 1]
        mixed = gain * (jnp.cos(angle) * imaginary - jnp.sin(angle) * real)
        return jnp.stack([real, mixed], axis=-1)
