"""A square-law detector: a photodiode, or an envelope detector."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.channels.imdd import add_real_noise, real_symbols
from syntony.config import field, pytree_dataclass
from syntony.equations.detection import coherent_ml_metric


@pytree_dataclass
class SquareLaw(NoisyChannel):
    """Receives the energy of each symbol, and adds real noise.

        y = |x|² + n,    n ~ N(0, σ²),    σ² = 10^(−SNR/10)

    The phase of x is lost, and Im y = 0. The noise is added behind the detector.

    Source: Mecozzi & Shtaif, "Information capacity of direct detection optical
        transmission systems" (2018), eq. 1, with thermal noise.
    """

    NAME = "square_law"

    snr_db: float = field(16.478, limits=SNR_LIMITS)
    """1 / σ² per use in dB; the default is σ = 0.15."""

    has_unknown_gain = False

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        return add_real_noise(key, self.energy(x), self.snr_db)

    def energy(self, x: Float[Array, "N C 2"]) -> Float[Array, "N C 2"]:
        """Received symbols without noise."""
        return real_symbols(jnp.sum(x * x, axis=-1))

    def ml_metric(
        self, y: Float[Array, "B C 2"], codebook: Float[Array, "M C 2"]
    ) -> Float[Array, "B M"]:
        """Metric of the nearest sequence of energies."""
        return coherent_ml_metric(y, self.energy(codebook))
