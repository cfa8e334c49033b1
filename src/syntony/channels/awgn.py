"""Additive white Gaussian noise (AWGN)."""

import math

from jaxtyping import Array, Float, Key

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.config import field, pytree_dataclass
from syntony.equations.detection import coherent_ml_metric
from syntony.equations.signal import complex_noise, noise_power


@pytree_dataclass
class AWGN(NoisyChannel):
    """Adds white Gaussian noise.

        y = x + n,    n ~ CN(0, N_0),    N_0 = 10^(−SNR/10)

    N_0 is the variance of a complex use, N_0 / 2 that of each real part.

    Source: Aoudia & Hoydis (2018), who train at 10 dB.
    """

    NAME = "awgn"

    snr_db: float = field(10.0, limits=SNR_LIMITS)
    """E_s / N_0 per channel use, in dB."""

    has_unknown_gain = False

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        return x + complex_noise(key, x.shape[:-1], noise_power(self.snr_db))

    def ml_metric(
        self, y: Float[Array, "B C 2"], codebook: Float[Array, "M C 2"]
    ) -> Float[Array, "B M"]:
        """Metric of a coherent ML detector, which needs no SNR."""
        return coherent_ml_metric(y, codebook)

    def bler_bounds(self, messages: int, uses: int) -> dict[str, float]:
        """Lower bounds for codewords of equal energy or of at most that energy.

        None without noise.
        """
        if self.snr_db == math.inf:
            return {}
        # Imported late: SciPy is slow to import, and training needs no bounds.
        from syntony.equations import limits

        size = messages, uses
        return {
            "Shannon 1959": limits.shannon59(self.snr_db, *size),
            "Shannon 1959, peak energy": limits.shannon59_peak(self.snr_db, *size),
            "meta-converse": limits.metaconverse(self.snr_db, *size),
            "normal approximation (no bound)": limits.normal_approximation(
                self.snr_db, *size
            ),
        }
