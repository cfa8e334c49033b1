"""Count-based exploration: SimHash codes, visit counts and the exploration bonus.

Source: SMPE² section 3.2, after Tang et al., "#Exploration", NeurIPS 2017.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

SKETCH_TABLE_SIZES = (9931, 9953, 9959, 9961, 9979, 9983)
"""Sizes of the sketch's tables, of the released code. (9961 = 7 · 1423 is no prime.)"""
SKETCH_SIZE = sum(SKETCH_TABLE_SIZES)
"""Number of cells of the sketch, over all its tables."""


def simhash(
    z: Float[Array, "*batch Z"], projection: Float[Array, "Z K"]
) -> Int[Array, "*batch"]:
    """SimHash codes 0 … 2ᴷ − 1; bit b is (z A)_b > 0.

    Args:
        z: vectors to hash; near vectors share most bits.
        projection: A, entries N(0, 1), fixed for a run.
    """
    bits = (z @ projection > 0).astype(jnp.int32)
    return jnp.sum(bits << jnp.arange(projection.shape[-1]), axis=-1)


def update_counts(
    table: Int[Array, " codes"],
    codes: Int[Array, "*batch"],
    mask: Bool[Array, "*batch"],
) -> Int[Array, " codes"]:
    """Table n(·) after adding one for each code with a true mask.

    The table is exact, with one cell per code. (In the sketch of the released code,
    codes that collide share cells.)
    """
    return table.at[codes.ravel()].add(mask.ravel().astype(table.dtype))


def count_min_sketch_cells(
    codes: Int[Array, "*batch"], num_bits: int
) -> Int[Array, "*batch 6"]:
    """Cells of each code in the six tables of a count-min sketch.

        cell_j = Σ_b s_b (2ᵇ mod p_j) mod p_j,  s_b = ±1 the sign bits

    The count n of a code is the minimum over its six cells.

    Args:
        codes: SimHash codes.
        num_bits: K, number of bits of a code.

    Source: Tang et al. (2017), appendix, with the primes of SMPE²'s released code.
    """
    powers = np.array([[2**b % p for p in SKETCH_TABLE_SIZES] for b in range(num_bits)])
    signs = 2 * (codes[..., None] >> jnp.arange(num_bits) & 1) - 1
    starts = np.cumsum([0, *SKETCH_TABLE_SIZES[:-1]])
    return (signs @ powers) % jnp.array(SKETCH_TABLE_SIZES) + starts


def bonus(counts: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Exploration bonus 1/√n of codes with count n; n = 0 counts as 1."""
    return 1.0 / jnp.sqrt(jnp.maximum(counts, 1).astype(jnp.float32))
