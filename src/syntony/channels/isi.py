"""Intersymbol interference (ISI) in a serial stream of blocks."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.config import field, pytree_dataclass
from syntony.equations.signal import complex_noise, noise_power
from syntony.errors import InvalidInputError
from syntony.number_parsing import parse_number, quote

MAX_TAPS = 64


@pytree_dataclass
class ISI(NoisyChannel):
    """Filters the stream of all blocks, one behind the other, and adds noise.

        y_t = Σ_l h_l x_{t−l} + n_t,    l = 0 … L − 1,    n_t ~ CN(0, N_0)

    t counts the uses of all blocks of all batches: the first uses of a block are
    received together with the last ones of the block before. Before the first block
    nothing was sent. In `multipath` a guard interval keeps blocks apart.

    Source: Forney, "Maximum-likelihood sequence estimation of digital sequences in the
        presence of intersymbol interference" (1972).
    """

    NAME = "isi"

    taps: str = field("0.85,0.45,0.25", static=True)
    """h_0 … h_{L−1}, real numbers joined by commas."""
    normalize: bool = field(True, static=True)
    """Whether the taps are scaled to Σ_l h_l² = 1, so that y has the power of x."""
    snr_db: float = field(12.0, limits=SNR_LIMITS)
    """E_s / N_0 per channel use, in dB."""

    has_unknown_gain = False

    def check(self) -> None:
        super().check()
        if not 1 <= len(self.impulse_response) <= MAX_TAPS:
            raise InvalidInputError(
                f"taps has {len(self.impulse_response)} numbers; expected 1 to "
                f"{MAX_TAPS}, e.g. isi?taps=0.85,0.45,0.25"
            )

    @property
    def impulse_response(self) -> tuple[float, ...]:
        """h_0 … h_{L−1}, scaled as they are applied."""
        example = "e.g. isi?taps=0.85,0.45,0.25"
        try:
            taps = [parse_number(text) for text in self.taps.split(",")]
        except ValueError:
            raise InvalidInputError(
                f"taps is {quote(self.taps)}; expected numbers joined by commas, "
                f"{example}"
            ) from None
        norm = math.hypot(*taps) if self.normalize else 1.0
        if norm == 0.0:
            raise InvalidInputError(
                f"taps is {quote(self.taps)}; expected a number that is not 0, "
                f"{example}"
            )
        return tuple(tap / norm for tap in taps)

    def init(self, key: Key[Array, ""]) -> Float[Array, "L 2"]:
        """The last L − 1 symbols of the stream, the latest at the end: zeros."""
        del key  # Nothing has been sent.
        return jnp.zeros((len(self.impulse_response) - 1, 2), jnp.float32)

    def __call__(
        self,
        key: Key[Array, ""],
        state: Float[Array, "L 2"],
        x: Float[Array, "B C 2"],
    ) -> tuple[Float[Array, "L 2"], Float[Array, "B C 2"]]:
        count, memory = x.shape[0] * x.shape[1], len(state)
        stream = jnp.concatenate([state, x.reshape(count, 2)])
        echoes = [
            tap * stream[memory - delay : memory - delay + count]
            for delay, tap in enumerate(self.impulse_response)
        ]
        noise = complex_noise(key, x.shape[:-1], noise_power(self.snr_db))
        return stream[count:], sum(echoes[1:], echoes[0]).reshape(x.shape) + noise
