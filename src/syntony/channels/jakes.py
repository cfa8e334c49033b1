"""Fading of a moving receiver, with the Doppler spectrum of Clarke and Jakes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt32

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.channels.phase_accumulator import phase_step, radians, random_phase
from syntony.config import between, field, pytree_dataclass
from syntony.equations.signal import complex_multiply, complex_noise, noise_power

PATHS = 32
"""N, number of paths: E|h|⁴ is 2 − 1/N, where Rayleigh fading has 2."""


class Paths(NamedTuple):
    """Directions and phases of the paths."""

    direction: Float[Array, ""]
    """θ, direction of the first path in units of 2π / N, in [0, 1)."""
    phase: UInt32[Array, " N"]
    """Phases at the last use, in units of 2^−32 turns."""


@pytree_dataclass
class Jakes(NoisyChannel):
    """Multiplies each use by a gain that changes from use to use, and adds noise.

        y_t = h_t x_t + n_t,    h_t = N^(−1/2) Σ_n exp(i (2π f_d T cos(α_n) t + φ_n))
        α_n = 2π (n + θ) / N,    θ and all φ_n uniform,    n_t ~ CN(0, N_0)

    t counts the uses of all blocks of all batches. h is that of N = 32 paths from all
    directions, E|h|² = 1, and nearly Rayleigh fading. The autocorrelation is
    E[h_{t+m} h_t*] = J_0(2π f_d T m), with a Doppler spectrum within ±f_d; that over
    time is the same while 2π f_d T m is well below N. f_d T is the speed over the
    wavelength, times the length of a use.

    Source: Clarke, "A statistical theory of mobile-radio reception" (1968); Jakes,
        "Microwave Mobile Communications" (1974); random phases as in Patel, Stüber &
        Pratt (2005).
    """

    NAME = "jakes"

    doppler: float = field(0.01, limits=between(0.0, 0.5))
    """f_d T, largest Doppler shift in cycles per use."""
    snr_db: float = field(20.0, limits=SNR_LIMITS)
    """E_s / N_0 per channel use, averaged over h, in dB."""

    has_unknown_gain = True

    def init(self, key: Key[Array, ""]) -> Paths:
        direction_key, phase_key = jax.random.split(key)
        direction = jax.random.uniform(direction_key, (), jnp.float32)
        return Paths(direction, random_phase(phase_key, (PATHS,)))

    def __call__(
        self, key: Key[Array, ""], state: Paths, x: Float[Array, "B C 2"]
    ) -> tuple[Paths, Float[Array, "B C 2"]]:
        uses = x.shape[0] * x.shape[1]
        angle = 2.0 * jnp.pi / PATHS * (jnp.arange(PATHS) + state.direction)
        step = phase_step(jnp.asarray(self.doppler, jnp.float32) * jnp.cos(angle))
        time = jnp.arange(1, uses + 1, dtype=jnp.uint32)
        phase = state.phase + step * time[:, None]
        arrival = radians(phase)
        parts = jnp.stack([jnp.cos(arrival), jnp.sin(arrival)], axis=-1)
        gain = jnp.sum(parts, axis=1).reshape(x.shape) / PATHS**0.5
        noise = complex_noise(key, x.shape[:-1], noise_power(self.snr_db))
        return state._replace(phase=phase[-1]), complex_multiply(x, gain) + noise
