"""Rician block fading: a line of sight, and many weaker paths around it."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.config import pytree_dataclass
from syntony.equations.signal import complex_multiply, complex_noise, noise_power
from syntony.identifiers import Limits


@pytree_dataclass
class Rician(NoisyChannel):
    """Multiplies each block by a line of sight plus Rayleigh fading, and adds noise.

        y = h x + n,    h = √(K / (K + 1)) + √(1 / (K + 1)) g

    with g ~ CN(0, 1) once a block and n ~ CN(0, N_0). E|h|² = 1. The line of sight has
    phase zero: K → ∞ is white noise alone, K → 0 Rayleigh fading. For a phase that
    nobody knows, put `phase?std=0&random=true` before it.

    Source: Rice (1945); Proakis & Salehi, "Digital Communications", ch. 13.1.
    """

    NAME = "rician"
    LIMITS: ClassVar[Limits] = {"k_db": lambda _: (-100.0, 100.0)} | SNR_LIMITS

    k_db: float = 10.0
    """K, power of the line of sight over that of all other paths, in dB."""
    snr_db: float = 20.0
    """E_s / N_0 a complex use, the mean over h, in dB."""

    has_unknown_gain = True

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        gain_key, noise_key = jax.random.split(key)
        k = 10.0 ** (jnp.asarray(self.k_db) / 10.0)
        sight = jnp.sqrt(k / (k + 1.0)) * jnp.array([1.0, 0.0])
        gain = sight + complex_noise(gain_key, (len(x), 1), 1.0 / (k + 1.0))
        noise = complex_noise(noise_key, x.shape[:-1], noise_power(self.snr_db))
        return complex_multiply(x, gain) + noise
