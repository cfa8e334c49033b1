"""Impulsive noise: Gaussian noise that is much stronger now and then."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.config import between, field, pytree_dataclass
from syntony.equations.detection import impulsive_ml_metric
from syntony.equations.signal import complex_noise, db_to_linear, noise_power


@pytree_dataclass
class Impulsive(NoisyChannel):
    """Adds Bernoulli–Gaussian noise.

        y = x + n,    n ~ CN(0, I N_0) with probability p, else CN(0, N_0)

    Each use is hit on its own, and the receiver does not know which ones are. The SNR
    is that of the background noise, 1 / N_0: the mean noise power is (1 − p + p I) N_0,
    7.7 dB more with the defaults.

    Source: Ghosh, "Analysis of the effect of impulse noise on multicarrier and
        single carrier QAM systems" (1996).
    """

    NAME = "impulsive"

    probability: float = field(0.05, limits=between(0.0, 1.0))
    """p, probability that a use is hit by an impulse."""
    impulse_db: float = field(20.0, limits=between(0.0, 100.0))
    """10 log₁₀ I, power of the noise in a hit use over N_0, in dB."""
    snr_db: float = field(13.0, limits=SNR_LIMITS)
    """E_s / N_0 per channel use of the background noise, in dB."""

    has_unknown_gain = False

    @property
    def excess_noise(self) -> Float[Array, ""]:
        """Mean noise power over N_0."""
        impulse = db_to_linear(jnp.asarray(self.impulse_db))
        return 1.0 - self.probability + self.probability * impulse

    def __call__(
        self, key: Key[Array, ""], x: Float[Array, "B C 2"]
    ) -> Float[Array, "B C 2"]:
        hit_key, noise_key = jax.random.split(key)
        hit = jax.random.bernoulli(hit_key, self.probability, x.shape[:-1])
        amplitude = jnp.where(hit, 10.0 ** (jnp.asarray(self.impulse_db) / 20.0), 1.0)
        noise = complex_noise(noise_key, x.shape[:-1], noise_power(self.snr_db))
        return x + amplitude[..., None] * noise

    def ml_metric(
        self, y: Float[Array, "B C 2"], codebook: Float[Array, "M C 2"]
    ) -> Float[Array, "B M"]:
        """Metric of the ML detector, which weakens uses that were probably hit."""
        return impulsive_ml_metric(
            y,
            codebook,
            self.snr_db,
            probability=self.probability,
            impulse=db_to_linear(jnp.asarray(self.impulse_db)),
        )
