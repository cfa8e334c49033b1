"""Rayleigh block fading: many paths without a dominant one, constant over a block."""

from jaxtyping import Array, Float, Key

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.channels.rician import block_fading
from syntony.config import field, pytree_dataclass


@pytree_dataclass
class Rayleigh(NoisyChannel):
    """Multiplies each block by a gain unknown to both sides, and adds noise.

        y = h x + n,    h ~ CN(0, 1) once per block,    n ~ CN(0, N_0)

    As E|h|² = 1, the mean received SNR is the transmitted one. Gains of different
    blocks are independent. It is `rician` with K = 0.

    Source: Aoudia & Hoydis (2018), the Rayleigh block-fading channel; trained at 20 dB.
    """

    NAME = "rayleigh"

    snr_db: float = field(20.0, limits=SNR_LIMITS)
    """E_s / N_0 per channel use, averaged over h, in dB."""

    has_unknown_gain = True

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        return block_fading(key, x, 0.0, self.snr_db)
