"""White Gaussian noise: the channel of a cable, or of free space."""

import dataclasses

from jaxtyping import Array, Float, Key

from syntony import naming
from syntony.channels.channel import SNR
from syntony.equations.signal import complex_noise, noise_power
from syntony.record import record


@record
class Awgn:
    """Adds white Gaussian noise.

        y = x + n,    n ~ CN(0, N_0),    N_0 = 10^(−SNR/10)

    N_0 is the variance of a complex use, N_0 / 2 that of each real part.

    Source: Aoudia & Hoydis (2018), who train at 10 dB.
    """

    snr_db: float = 10.0
    """E_s / N_0 a complex use, in dB."""

    differentiable = True
    opaque = False
    fading = False

    def check(self) -> None:
        naming.check(self, SNR)

    __post_init__ = check

    @property
    def id(self) -> str:
        return naming.join("awgn", self)

    def at(self, snr_db: Float[Array, ""] | float) -> "Awgn":
        return dataclasses.replace(self, snr_db=snr_db)

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        return x + complex_noise(key, x.shape[:-1], noise_power(self.snr_db))
