"""Carrier-frequency offset: two oscillators that disagree."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.identified import NoiselessChannel
from syntony.channels.phase import rotate
from syntony.config import pytree_dataclass
from syntony.identifiers import Limits


@pytree_dataclass
class CarrierFrequencyOffset(NoiselessChannel):
    """Turns each block at a constant rate that nobody knows; adds no noise.

        y_c = x_c exp(2π i ν c),    c = 0 … C − 1,    ν ~ U(−ν_max, ν_max) once a block

    The first use stays as it is. Of mean gain over ν at use c: sin(z) / z, with
    z = 2π ν_max c. For a phase that nobody knows, join it to `phase?std=0&random=true`.

    Source: Moose, "A technique for OFDM frequency offset correction" (1994), eq. 1.
    """

    NAME = "cfo"
    LIMITS: ClassVar[Limits] = {"max_cfo": lambda _: (0.0, 0.5)}

    max_cfo: float = 0.01
    """ν_max, in cycles a use: the offset in Hz over the symbol rate."""

    has_unknown_gain = False

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        largest = jnp.asarray(self.max_cfo)
        rate = jax.random.uniform(key, (len(x), 1), minval=-largest, maxval=largest)
        return rotate(x, 2.0 * jnp.pi * rate * jnp.arange(x.shape[1]))
