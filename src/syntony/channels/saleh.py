"""Amplitude and phase distortion of a traveling-wave tube amplifier."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.identified import NoiselessChannel
from syntony.channels.phase import rotate
from syntony.config import between, field, pytree_dataclass

COEFFICIENT = between(0.0, 1000.0)


@pytree_dataclass
class Saleh(NoiselessChannel):
    """Compresses and rotates strong symbols; beyond saturation, less comes out.

        |y| = α_a r / (1 + β_a r²),    arg y − arg x = α_φ r² / (1 + β_φ r²),    r = |x|

    Saturation is |y| = α_a / (2 √β_a), at r = 1 / √β_a. r is in square roots of the
    mean energy per use. It adds no noise, and the gain is not compensated.

    Source: Saleh, "Frequency-independent and frequency-dependent nonlinear models of
        TWT amplifiers" (1981), eqs. 3 and 4, with the coefficients of its table I.
    """

    NAME = "saleh"

    am_gain: float = field(2.1587, limits=COEFFICIENT)
    """α_a ≥ 0, gain of weak symbols."""
    am_compression: float = field(1.1517, limits=COEFFICIENT)
    """β_a ≥ 0."""
    pm_gain: float = field(4.0033, limits=between(-1000.0, 1000.0))
    """α_φ, in radians."""
    pm_compression: float = field(9.104, limits=COEFFICIENT)
    """β_φ ≥ 0."""

    has_unknown_gain = False
    is_deterministic = True

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        del key  # An amplifier is deterministic.
        energy = jnp.sum(x * x, axis=-1)
        gain = self.am_gain / (1.0 + self.am_compression * energy)
        angle = self.pm_gain * energy / (1.0 + self.pm_compression * energy)
        return rotate(x * gain[..., None], angle)
