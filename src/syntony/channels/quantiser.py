"""An analogue-to-digital converter of few bits."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony import naming
from syntony.naming import Limits
from syntony.record import record


@record
class Quantiser:
    """Rounds each real part to one of 2^b levels; adds no noise of its own.

        Q(v) = Δ (⌊v / Δ⌋ + ½), held within ±(A − Δ / 2),    Δ = 2 A / 2^b

    It is uniform and mid-rise: zero is no level, and b = 1 keeps the sign alone. Its
    derivative is zero wherever there is one, so that no gradient leads through it.
    Joined as `awgn+quantiser` it is a receiver's converter, in front of the noise
    (`quantiser+awgn`) a transmitter's.

    Source: Max, "Quantizing for minimum distortion" (1960), the uniform quantiser.
    """

    bits: int = 4
    """b ≥ 1, of each real part."""
    clip: float = 1.5
    """A > 0, beyond which it saturates, in roots of the mean energy a use."""

    snr_db = None
    differentiable = False
    opaque = False
    fading = False

    def check(self) -> None:
        naming.check(self, _LIMITS)

    __post_init__ = check

    @property
    def id(self) -> str:
        return naming.join("quantiser", self)

    def at(self, snr_db: Float[Array, ""] | float) -> "Quantiser":
        del snr_db
        return self

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        del key  # A converter leaves nothing to chance.
        step = 2.0 * self.clip / 2**self.bits
        half = 2 ** (self.bits - 1)
        level = jnp.clip(jnp.floor(x / step), -half, half - 1)
        return step * (level + 0.5)


_LIMITS: Limits = {
    "bits": lambda _: (1, 16),
    "clip": lambda _: (0.001, 1000.0),
}
