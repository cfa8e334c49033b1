"""A phase that drifts: an oscillator that is slightly off, from batch to batch."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt32

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.channels.phase import rotate
from syntony.channels.phase_accumulator import phase_step, radians
from syntony.config import between, field, pytree_dataclass
from syntony.equations.signal import complex_noise, noise_power


@pytree_dataclass
class Drift(NoisyChannel):
    """Rotates all blocks of a batch by one phase that turns steadily, and adds noise.

        y = x exp(i φ_b) + n,    φ_b = 2π b / T,    n ~ CN(0, N_0)

    b = 1, 2, … counts the batches, which are calls of the channel. The receiver does
    not know the phase; it has to follow it. Within a batch, `cfo` rotates from use to
    use.

    Source: a carrier-frequency offset that is small against the rate of blocks; Moose
        (1994), eq. 1.
    """

    NAME = "drift"

    period: float = field(4000.0, limits=between(2.0, 1e7))
    """T, batches of a full turn."""
    snr_db: float = field(13.0, limits=SNR_LIMITS)
    """E_s / N_0 per channel use, in dB."""

    has_unknown_gain = False

    def init(self, key: Key[Array, ""]) -> UInt32[Array, ""]:
        """Phase of the batch before the first: 0, in units of 2^−32 turns."""
        del key
        return jnp.zeros((), jnp.uint32)

    def __call__(
        self, key: Key[Array, ""], state: UInt32[Array, ""], x: Float[Array, "B C 2"]
    ) -> tuple[UInt32[Array, ""], Float[Array, "B C 2"]]:
        phase = state + phase_step(1.0 / jnp.asarray(self.period, jnp.float32))
        rotated = rotate(x, jnp.broadcast_to(radians(phase), x.shape[:-1]))
        noise = complex_noise(key, x.shape[:-1], noise_power(self.snr_db))
        return phase, rotated + noise
