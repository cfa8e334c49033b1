"""Small operations, each compiled as one program.

Beside a black box they are called from Python, where single operations are slow.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import optax
from jaxtyping import Array, Int

LoopIndex = Int[Array, ""] | int
CarryT = TypeVar("CarryT")
SumsT = TypeVar("SumsT")

fold_in = jax.jit(jax.random.fold_in)
zeros_like = jax.jit(optax.tree.zeros_like)
add = jax.jit(optax.tree.add)


@jax.jit
def divide(sums: SumsT, count: Int[Array, ""] | int) -> SumsT:
    """Means of so many terms, given their sums."""
    return jax.tree.map(lambda total: total / count, sums)


def fori_loop(
    num_iterations: LoopIndex,
    body: Callable[[LoopIndex, CarryT], CarryT],
    carry: CarryT,
    *,
    on_host: bool,
) -> CarryT:
    """`jax.lax.fori_loop` from 0, or a loop in Python around a black box."""
    if not on_host:
        return jax.lax.fori_loop(0, num_iterations, body, carry)
    for i in range(int(num_iterations)):
        carry = body(i, carry)
    return carry
