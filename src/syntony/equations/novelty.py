"""How new a belief is: SimHash codes, exact counts, and the bonus they earn.

Source: SMPE² section 3.2, after Tang et al., "#Exploration", NeurIPS 2017.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

SKETCH_TABLE_SIZES = (9931, 9953, 9959, 9961, 9979, 9983)
"""Sizes of the sketch's tables. (9961 = 7 · 1423 is none, but it is the authors'.)"""
SKETCH_SIZE = sum(SKETCH_TABLE_SIZES)
"""Cells of the sketch, its tables side by side."""


def simhash(
    z: Float[Array, "*batch Z"], projection: Float[Array, "Z K"]
) -> Int[Array, "*batch"]:
    """Returns codes 0 … 2ᴷ − 1 whose bit b says whether (z A)_b > 0.

    Args:
        z: what is hashed; near vectors share most bits.
        projection: A, entries N(0, 1), fixed for a run.
    """
    bits = (z @ projection > 0).astype(jnp.int32)
    return jnp.sum(bits << jnp.arange(projection.shape[-1]), axis=-1)


def update_counts(
    table: Int[Array, " codes"],
    codes: Int[Array, "*batch"],
    mask: Bool[Array, "*batch"],
) -> Int[Array, " codes"]:
    """Returns the table n(·) with every masked-in occurrence added.

    The table is exact, one cell a code. (The authors' six-table sketch counts codes
    that collide together.)
    """
    return table.at[codes.ravel()].add(mask.ravel().astype(table.dtype))


def count_min_sketch_cells(
    codes: Int[Array, "*batch"], num_bits: int
) -> Int[Array, "*batch 6"]:
    """Returns the cell of each code in each of six tables; n is the least of the six.

        cell_j = Σ_b s_b (2ᵇ mod p_j) mod p_j,  s_b = ±1 the sign bits

    Args:
        bits: K of the codes.

    Source: Tang et al. (2017), appendix, with the primes of SMPE²'s released code.
    """
    powers = np.array([[2**b % p for p in SKETCH_TABLE_SIZES] for b in range(num_bits)])
    signs = 2 * (codes[..., None] >> jnp.arange(num_bits) & 1) - 1
    starts = np.cumsum([0, *SKETCH_TABLE_SIZES[:-1]])
    return (signs @ powers) % jnp.array(SKETCH_TABLE_SIZES) + starts


def bonus(counts: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Returns 1/√n, the reward of having met a code for the n-th time.

    A code never counted (n = 0) earns as much as one met once.
    """
    return 1.0 / jnp.sqrt(jnp.maximum(counts, 1).astype(jnp.float32))
