"""Small operations, each compiled as one program.

Beside a black box they are called from Python, where single operations are slow.
"""

from typing import TypeVar

import jax
import optax
from jaxtyping import Array, Int

SumsT = TypeVar("SumsT")

fold_in = jax.jit(jax.random.fold_in)
zeros_like = jax.jit(optax.tree.zeros_like)
add = jax.jit(optax.tree.add)


@jax.jit
def divide(sums: SumsT, count: Int[Array, ""] | int) -> SumsT:
    """Means of so many terms, given their sums."""
    return jax.tree.map(lambda total: total / count, sums)
