"""Phases of oscillators as 32-bit counters, in units of 2^−32 turns.

Unsigned integers wrap around, as phases do: a phase is exact after any number of uses,
where the sum of a float32 loses precision.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

Phase = UInt32[Array, "..."]


def phase_step(frequency: Float[Array, "..."]) -> Phase:
    """Increase of the phase per use, to the nearest 2^−32 turns.

    Args:
        frequency: in turns per use, from −1/2 to 1/2.
    """
    size = jnp.round(jnp.abs(frequency) * 2.0**32).astype(jnp.uint32)
    return jnp.where(frequency < 0.0, jnp.uint32(0) - size, size)


def random_phase(key: Array, shape: tuple[int, ...]) -> Phase:
    """Phases that are uniform on the circle; the key is consumed."""
    return jax.random.bits(key, shape, jnp.uint32)


def radians(phase: Phase) -> Float[Array, "..."]:
    """Angle in radians, from −π to below π."""
    signed = jax.lax.bitcast_convert_type(phase, jnp.int32)
    return signed.astype(jnp.float32) * jnp.float32(jnp.pi / 2**31)
