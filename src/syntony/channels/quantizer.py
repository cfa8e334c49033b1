"""An analog-to-digital converter with few bits."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.identified import NoiselessChannel
from syntony.config import between, field, pytree_dataclass


@pytree_dataclass
class Quantizer(NoiselessChannel):
    """Rounds each real part to one of 2^b levels; adds no noise of its own.

        Q(v) = Δ (⌊v / Δ⌋ + ½), clipped to ±(A − Δ / 2),    Δ = 2 A / 2^b

    It is uniform and mid-rise: zero is not a level, and b = 1 keeps only the sign. Its
    derivative is zero wherever it exists, so that no gradient passes through it. In
    `awgn+quantizer` it is the receiver's converter, before the noise
    (`quantizer+awgn`) the transmitter's.

    Source: Max, "Quantizing for minimum distortion" (1960), the uniform quantizer.
    """

    NAME = "quantizer"

    bits: int = field(4, static=True, limits=between(1, 16))
    """b ≥ 1, bits of each real part."""
    full_scale: float = field(1.5, limits=between(0.001, 1000.0))
    """A > 0, amplitude of saturation, in square roots of the mean energy per use."""

    differentiable = False
    has_unknown_gain = False
    is_deterministic = True

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        del key  # A converter is deterministic.
        half = 2 ** (self.bits - 1)
        level = jnp.clip(jnp.floor(x / self.step), -half, half - 1)
        return self.step * (level + 0.5)

    @property
    def step(self) -> Float[Array, ""] | float:
        """Δ, distance of two levels."""
        return 2.0 * self.full_scale / 2**self.bits
