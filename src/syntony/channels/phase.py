"""Wiener phase noise of an oscillator."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.identified import NoiselessChannel
from syntony.config import between, field, pytree_dataclass
from syntony.equations.signal import complex_multiply


@pytree_dataclass
class PhaseNoise(NoiselessChannel):
    """Rotates each use by a phase that follows a random walk; adds no noise.

        y_c = x_c exp(i φ_c),    φ_{c+1} = φ_c + w_c,    w_c ~ N(0, σ²)

    φ_0 = 0 at a block's first use, as after perfect synchronization, or is uniform on
    the circle. E[exp(i (φ_{c+m} − φ_c))] = exp(−m σ² / 2). For an oscillator of full
    linewidth β and uses of length T, σ² = 2π β T.

    Source: Wiener phase noise; Demir, Mehrotra & Roychowdhury (2000); Tomba (1998).
    """

    NAME = "phase"

    std: float = field(0.05, limits=between(0.0, 100.0))
    """σ, standard deviation of the phase step between two uses, in radians."""
    random_initial_phase: bool = field(False, static=True)
    """Whether φ_0 is uniform on the circle, so that the block's phase is unknown."""

    @property
    def has_unknown_gain(self) -> bool:
        return self.random_initial_phase

    @property
    def is_deterministic(self) -> bool:
        return not self.random_initial_phase and float(self.std) == 0.0

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        start_key, step_key = jax.random.split(key)
        largest = jnp.pi if self.random_initial_phase else 0.0
        start = jax.random.uniform(
            start_key, (len(x), 1), minval=-largest, maxval=largest
        )
        step = self.std * jax.random.normal(step_key, (len(x), x.shape[1] - 1))
        angle = jnp.cumsum(jnp.concatenate([start, step], axis=1), axis=1)
        return rotate(x, angle)


def rotate(
    x: Float[Array, "B C 2"], angle: Float[Array, "B C"]
) -> Float[Array, "B C 2"]:
    """Product x exp(i φ) of complex numbers as pairs.

    Args:
        x: symbols.
        angle: φ, in radians.
    """
    return complex_multiply(x, jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1))
