"""Carrier-frequency offset: transmitter and receiver oscillators that differ."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.identified import NoiselessChannel
from syntony.channels.phase import rotate
from syntony.config import between, field, pytree_dataclass


@pytree_dataclass
class CarrierFrequencyOffset(NoiselessChannel):
    """Rotates each block at a constant unknown rate; adds no noise.

        y_c = x_c exp(2π i ν c),    c = 0 … C − 1,    ν ~ U(−ν_max, ν_max) once a block

    The first use is not rotated. The mean gain over ν at use c is sin(z) / z, with
    z = 2π ν_max c. For an unknown initial phase, combine it with
    `phase?std=0&random_initial_phase=true`.

    Source: Moose, "A technique for OFDM frequency offset correction" (1994), eq. 1.
    """

    NAME = "cfo"

    max_cfo: float = field(0.01, limits=between(0.0, 0.5))
    """ν_max in cycles per use: largest offset in Hz over the symbol rate."""

    has_unknown_gain = False

    @property
    def is_deterministic(self) -> bool:
        return float(self.max_cfo) == 0.0

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        largest = jnp.asarray(self.max_cfo)
        rate = jax.random.uniform(key, (len(x), 1), minval=-largest, maxval=largest)
        return rotate(x, 2.0 * jnp.pi * rate * jnp.arange(x.shape[1]))
