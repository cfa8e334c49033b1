"""Rayleigh block fading: many paths without a dominant one, constant over a block."""

import math

from jaxtyping import Array, Float, Key

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.channels.rician import block_fading
from syntony.config import field, pytree_dataclass
from syntony.equations.detection import noncoherent_ml_metric


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

    def ml_metric(
        self, y: Float[Array, "B C 2"], codebook: Float[Array, "M C 2"]
    ) -> Float[Array, "B M"]:
        """Metric of the noncoherent ML detector, which does not know the gain."""
        return noncoherent_ml_metric(y, codebook, self.snr_db)

    def bler_bounds(self, messages: int, uses: int) -> dict[str, float]:
        """Bounds for receivers that know the gain, as this one does not.

        None without noise.
        """
        if self.snr_db == math.inf:
            return {}
        # Imported late: SciPy is slow to import, and training needs no bounds.
        from syntony.equations import limits

        size = messages, uses
        csi_bound = limits.rayleigh_csi_bound(self.snr_db, *size)
        bounds = {"Shannon 1959, fading known": csi_bound}
        if messages == 4**uses:
            qpsk = limits.rayleigh_qpsk_bler(self.snr_db, *size)
            bounds["QPSK, fading known"] = qpsk
        return bounds
