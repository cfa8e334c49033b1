"""Rayleigh block fading: many paths, none of them dominant, and a receiver at rest."""

import jax
from jaxtyping import Array, Float, Key

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.config import pytree_dataclass
from syntony.equations.signal import complex_multiply, complex_noise, noise_power


@pytree_dataclass
class Rayleigh(NoisyChannel):
    """Multiplies each block by a gain that neither side knows, and adds noise.

        y = h x + n,    h ~ CN(0, 1) once a block,    n ~ CN(0, N_0)

    As E|h|² = 1, the mean SNR received is that sent; h is another in every block.

    Source: Aoudia & Hoydis (2018), the Rayleigh block-fading channel; trained at 20 dB.
    """

    NAME = "rayleigh"
    LIMITS = SNR_LIMITS

    snr_db: float = 20.0
    """E_s / N_0 a complex use, the mean over h, in dB."""

    has_unknown_gain = True

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        gain_key, noise_key = jax.random.split(key)
        gain = complex_noise(gain_key, (len(x), 1), 1.0)
        noise = complex_noise(noise_key, x.shape[:-1], noise_power(self.snr_db))
        return complex_multiply(x, gain) + noise
