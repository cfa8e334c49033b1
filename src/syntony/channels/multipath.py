"""Multipath: a finite impulse response per block."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.identified import NoiselessChannel
from syntony.config import between, field, pytree_dataclass
from syntony.equations.signal import complex_multiply, complex_noise


@pytree_dataclass
class Multipath(NoiselessChannel):
    """Filters each block by a few taps, one use apart; adds no noise.

        y_c = Σ_l h_l x_{c−l},    l = 0 … L − 1,    x_c = 0 for c < 0
        E|h_l|² ∝ 10^(−d l / 10),    Σ_l E|h_l|² = 1

    The taps are h_l ~ CN(0, E|h_l|²), independent and drawn once per block, or fixed at
    their real roots √E|h_l|². Blocks do not interfere: a guard interval of L − 1 uses
    lies between them, and what arrives in it is discarded. So the first and the last
    uses are received with less than the transmitted energy.

    Source: the tapped delay line of Proakis & Salehi, "Digital Communications", ch.
        13.5, with an exponential power-delay profile.
    """

    NAME = "multipath"

    taps: int = field(3, static=True, limits=between(1, 64))
    """L ≥ 1, number of taps."""
    decay_db: float = field(3.0, limits=between(0.0, 100.0))
    """d ≥ 0, decrease of the mean power from each tap to the next, in dB."""
    fading: bool = field(True, static=True)
    """Whether taps are drawn for each block (Rayleigh), or fixed."""

    @property
    def has_unknown_gain(self) -> bool:
        return self.fading

    @property
    def is_deterministic(self) -> bool:
        return not self.fading

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        amplitude = jnp.sqrt(tap_powers(self.taps, self.decay_db))[:, None]
        if self.fading:
            taps = amplitude * complex_noise(key, (len(x), self.taps), 1.0)
        else:
            real_taps = amplitude * jnp.array([1.0, 0.0])
            taps = jnp.broadcast_to(real_taps, (len(x), self.taps, 2))
        return convolve(taps, x)

    def echoes(self, x: Float[Array, "M C 2"]) -> Float[Array, "M L C 2"]:
        """Output of each path alone, with its mean power: √E|h_l|² x_{c−l}."""
        uses = x.shape[1]
        amplitude = jnp.sqrt(tap_powers(self.taps, self.decay_db))
        # Later paths arrive behind the block.
        delayed = [
            jnp.concatenate([jnp.zeros_like(x[:, :d]), x[:, : uses - d]], axis=1)
            for d in range(min(self.taps, uses))
        ]
        return jnp.stack(delayed, axis=1) * amplitude[: len(delayed), None, None]


def tap_powers(taps: int, decay_db: Float[Array, ""] | float) -> Float[Array, " L"]:
    """Mean powers E|h_l|² = 10^(−d l / 10) / Σ_k 10^(−d k / 10) of the taps."""
    power = 10.0 ** (-jnp.asarray(decay_db) * jnp.arange(taps) / 10.0)
    return power / jnp.sum(power)


def convolve(
    taps: Float[Array, "B L 2"], x: Float[Array, "B C 2"]
) -> Float[Array, "B C 2"]:
    """First C uses of the convolution h * x of each block."""
    y = jnp.zeros_like(x)
    for delay in range(min(taps.shape[1], x.shape[1])):
        echo = complex_multiply(x, taps[:, delay, None])
        y = y.at[:, delay:].add(echo[:, : x.shape[1] - delay])
    return y
