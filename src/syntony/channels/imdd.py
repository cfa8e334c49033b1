"""Optical intensity modulation with direct detection (IM/DD)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.config import between, field, pytree_dataclass
from syntony.equations.detection import coherent_ml_metric
from syntony.equations.signal import noise_power


@pytree_dataclass
class IMDD(NoisyChannel):
    """Transmits the real part as an intensity, and adds real noise.

        y = max(Re x + b, 0) + n,    n ~ N(0, σ²),    σ² = 10^(−SNR/10)

    The laser's bias b lifts the signal, as an intensity is not negative. The photodiode
    is linear in the intensity. Im x is lost and Im y = 0; the noise is thermal noise.

    Source: Karanov et al., "End-to-end deep learning of optical fiber communications"
        (2018), without the fiber's dispersion.
    """

    NAME = "imdd"

    bias: float = field(1.0, limits=between(-100.0, 100.0))
    """b, in square roots of the mean energy per use."""
    snr_db: float = field(16.478, limits=SNR_LIMITS)
    """1 / σ² per use in dB; the default is σ = 0.15."""

    has_unknown_gain = False

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        return add_real_noise(key, self.intensity(x), self.snr_db)

    def intensity(self, x: Float[Array, "N C 2"]) -> Float[Array, "N C 2"]:
        """Received symbols without noise."""
        return real_symbols(jnp.maximum(x[..., 0] + self.bias, 0.0))

    def ml_metric(
        self, y: Float[Array, "B C 2"], codebook: Float[Array, "M C 2"]
    ) -> Float[Array, "B M"]:
        """Metric of the nearest sequence of intensities."""
        return coherent_ml_metric(y, self.intensity(codebook))


def add_real_noise(
    key: Key[Array, ""], y: Float[Array, "B C 2"], snr_db: Float[Array, ""] | float
) -> Float[Array, "B C 2"]:
    """Sum of y and noise of variance 10^(−SNR/10) in the real part alone.

    Args:
        key: consumed.
        y: symbols before the noise.
        snr_db: 1 / σ² per use, in dB.
    """
    noise = jax.random.normal(key, y.shape[:-1])
    return y + real_symbols(jnp.sqrt(noise_power(snr_db)) * noise)


def real_symbols(value: Float[Array, "N C"]) -> Float[Array, "N C 2"]:
    """Symbols with this real part, and without an imaginary part."""
    return jnp.stack([value, jnp.zeros_like(value)], axis=-1)
