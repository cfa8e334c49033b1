"""An analogue-to-digital converter of few bits."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.identified import NoiselessChannel
from syntony.config import pytree_dataclass
from syntony.identifiers import Limits


@pytree_dataclass
class Quantizer(NoiselessChannel):
    """Rounds each real part to one of 2^b levels; adds no noise of its own.

        Q(v) = Δ (⌊v / Δ⌋ + ½), held within ±(A − Δ / 2),    Δ = 2 A / 2^b

    It is uniform and mid-rise: zero is no level, and b = 1 keeps the sign alone. Its
    derivative is zero wherever there is one, so that no gradient leads through it.
    Joined as `awgn+quantizer` it is a receiver's converter, in front of the noise
    (`quantizer+awgn`) a transmitter's.

    Source: Max, "Quantizing for minimum distortion" (1960), the uniform quantizer.
    """

    NAME = "quantizer"
    LIMITS: ClassVar[Limits] = {
        "bits": lambda _: (1, 16),
        "full_scale": lambda _: (0.001, 1000.0),
    }

    bits: int = 4
    """b ≥ 1, of each real part."""
    full_scale: float = 1.5
    """A > 0, beyond which it saturates, in roots of the mean energy a use."""

    differentiable = False
    has_unknown_gain = False

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        del key  # A converter leaves nothing to chance.
        step = 2.0 * self.full_scale / 2**self.bits
        half = 2 ** (self.bits - 1)
        level = jnp.clip(jnp.floor(x / step), -half, half - 1)
        return step * (level + 0.5)
