"""Rician block fading: a line of sight, and many weaker paths."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.config import between, field, pytree_dataclass
from syntony.equations.detection import rician_ml_metric
from syntony.equations.signal import (
    complex_multiply,
    complex_noise,
    db_to_linear,
    noise_power,
)


@pytree_dataclass
class Rician(NoisyChannel):
    """Multiplies each block by a line of sight plus Rayleigh fading, and adds noise.

        y = h x + n,    h = √(K / (K + 1)) + √(1 / (K + 1)) g

    with g ~ CN(0, 1) once per block and n ~ CN(0, N_0). E|h|² = 1. The line of sight
    has phase zero: K → ∞ is AWGN, K → 0 Rayleigh fading. For an unknown phase, put
    `phase?std=0&random_initial_phase=true` before it.

    Source: Rice (1945); Proakis & Salehi, "Digital Communications", ch. 13.1.
    """

    NAME = "rician"

    k_db: float = field(10.0, limits=between(-100.0, 100.0))
    """Rician factor K, power of the line of sight over that of other paths, in dB."""
    snr_db: float = field(20.0, limits=SNR_LIMITS)
    """E_s / N_0 per channel use, averaged over h, in dB."""

    has_unknown_gain = True

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        return block_fading(key, x, self.k_factor, self.snr_db)

    @property
    def k_factor(self) -> Float[Array, ""]:
        """K, a linear ratio."""
        return db_to_linear(jnp.asarray(self.k_db))

    def ml_metric(
        self, y: Float[Array, "B C 2"], codebook: Float[Array, "M C 2"]
    ) -> Float[Array, "B M"]:
        """Metric of the ML detector, which knows the mean of the gain only."""
        return rician_ml_metric(
            y, codebook, self.snr_db, k_factor=self.k_factor, phase=0.0
        )


def block_fading(
    key: Key[Array, ""],
    x: Float[Array, "B C 2"],
    k: Float[Array, ""] | float,
    snr_db: Float[Array, ""] | float,
) -> Float[Array, "B C 2"]:
    """Samples of y = h x + n, with one Rician gain h per block and E|h|² = 1.

    Args:
        key: consumed.
        x: transmitted symbols.
        k: Rician factor K ≥ 0, linear; 0 is Rayleigh fading.
        snr_db: E_s / N_0 per channel use, averaged over h, in dB.
    """
    gain_key, noise_key = jax.random.split(key)
    line_of_sight = jnp.sqrt(k / (k + 1.0)) * jnp.array([1.0, 0.0])
    gain = line_of_sight + complex_noise(gain_key, (len(x), 1), 1.0 / (k + 1.0))
    noise = complex_noise(noise_key, x.shape[:-1], noise_power(snr_db))
    return complex_multiply(x, gain) + noise
