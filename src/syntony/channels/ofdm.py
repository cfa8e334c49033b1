"""OFDM over a frequency-selective Rayleigh channel."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.config import between, field, pytree_dataclass
from syntony.equations.detection import gaussian_ml_metric
from syntony.equations.signal import complex_multiply, complex_noise, noise_power


@pytree_dataclass
class OFDM(NoisyChannel):
    """Multiplies each subcarrier by the channel's frequency response, and adds noise.

        y_k = H_k x_k + n_k,    H_k = Σ_l h_l exp(−2π i k l / C),    l = 0 … L − 1

    with k = 0 … C − 1, h_l ~ CN(0, 1/L) once per block, and n_k ~ CN(0, N_0). A block
    of C uses is one OFDM symbol of C subcarriers. The transmitter sends its inverse DFT
    (unitary) after a cyclic prefix of L − 1 samples or more, and the receiver takes the
    DFT of what follows the prefix. The taps, one sample apart, then are a circular
    convolution, and blocks do not interfere. The prefix's energy is not counted.

    Source: Proakis & Salehi, "Digital Communications", ch. 11.2; equal tap powers.
    """

    NAME = "ofdm"

    taps: int = field(3, static=True, limits=between(1, 64))
    """L ≥ 1, number of taps; neither side knows them."""
    snr_db: float = field(15.0, limits=SNR_LIMITS)
    """E_s / N_0 per subcarrier, averaged over H, in dB."""

    has_unknown_gain = True

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        tap_key, noise_key = jax.random.split(key)
        taps = complex_noise(tap_key, (len(x), self.taps), 1.0 / self.taps)
        rotations = subcarrier_rotations(self.taps, x.shape[1])
        # Products with i h_l are those with the rotation by another 90°.
        quarter = jnp.stack([-rotations[..., 1], rotations[..., 0]], axis=-1)
        both = jnp.stack([rotations, quarter], axis=1)
        response = jnp.tensordot(taps, both, axes=2)
        noise = complex_noise(noise_key, x.shape[:-1], noise_power(self.snr_db))
        return complex_multiply(x, response) + noise

    def ml_metric(
        self, y: Float[Array, "B C 2"], codebook: Float[Array, "M C 2"]
    ) -> Float[Array, "B M"]:
        """Metric of the noncoherent ML detector, which does not know the taps."""
        rotations = subcarrier_rotations(self.taps, y.shape[1])
        shape = len(codebook), *rotations.shape
        repeated = jnp.broadcast_to(codebook[:, None], shape)
        images = complex_multiply(repeated, rotations) / self.taps**0.5
        return gaussian_ml_metric(y, images, self.snr_db)


def subcarrier_rotations(taps: int, subcarriers: int) -> Float[Array, "L C 2"]:
    """Response exp(−2π i k l / C) of subcarrier k to a single tap l."""
    angle = -2 * np.pi * np.outer(np.arange(taps), np.arange(subcarriers)) / subcarriers
    return jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=-1), jnp.float32)
