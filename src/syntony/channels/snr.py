"""SNRs in dB of a channel and of channels in series; ∞ is that of no noise.

An SNR is a number, or an array within `jit`. The total of numbers is a number, in
double precision.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from syntony.channels.channel import SNR_LIMITS, ChannelProperties
from syntony.equations.signal import noise_power

SNR = Float[Array, ""] | float
"""E_s / N_0 per channel use, in dB."""


def finite_snr_db(channel: ChannelProperties) -> float | None:
    """SNR of a channel in dB, as a number; None if it adds no noise.

    That is a channel without noise, or with one whose SNR is infinite.
    """
    snr_db = channel.snr_db
    return None if snr_db is None or snr_db == math.inf else float(snr_db)


def replaced_snr_db(old: SNR, new: SNR) -> SNR:
    """SNR in dB after one was set: the new one, but ∞ where there is no noise."""
    if isinstance(old, float | int):
        return new if old < math.inf else old
    return jnp.where(old < jnp.inf, new, old)


def total_snr_db(snrs_db: Sequence[SNR]) -> SNR:
    """SNR in dB of all noises together, 1 / SNR = Σ_k 1 / SNR_k.

    Each noise is relative to a signal of unit power; ∞ if there is none.
    """
    finite = [x for x in snrs_db if not (isinstance(x, float) and x == math.inf)]
    if len(finite) < 2:
        return finite[0] if finite else math.inf
    numbers = [float(x) for x in finite if isinstance(x, float | int)]
    if len(numbers) == len(finite):
        return -10.0 * math.log10(sum(10.0 ** (-x / 10.0) for x in numbers))
    return -10.0 * jnp.log10(jnp.sum(jnp.stack([noise_power(x) for x in finite])))


def with_total_snr_db(snrs_db: Sequence[SNR], total: SNR) -> list[SNR]:
    """SNRs in dB shifted all by the same number of dB, to a new total.

    ∞ stays. None is set above the limit of 300 dB, where a noise no longer counts.
    """
    old = total_snr_db(snrs_db)
    return [_shifted(x, old, total) for x in snrs_db]


def _shifted(x: SNR, old: SNR, new: SNR) -> SNR:
    """Shifted SNR x + (new − old); exactly x where new = old."""
    high = SNR_LIMITS.high
    if all(isinstance(value, float | int) for value in (x, old, new)):
        if old in (new, math.inf):
            return x
        shifted = new + (x - old)
        # A total above the limit is no rounding: the channel reports it.
        return shifted if shifted == math.inf else min(shifted, max(new, high))
    # ∞ − ∞ is not a number.
    shifted = new + (x - jnp.where(jnp.isposinf(old), 0.0, old))
    return jnp.where(jnp.isposinf(shifted), jnp.inf, jnp.minimum(shifted, high))
