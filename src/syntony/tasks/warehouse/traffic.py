"""Resolution of simultaneous moves in a warehouse."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def resolve_moves(
    start: Int[Array, " N"], target: Int[Array, " N"]
) -> Bool[Array, " N"]:
    """Mask of the agents that reach their target cell.

    An agent whose target is occupied follows the occupant, which has to leave. So
    agents form chains that end at a free cell, at an agent that stays, or in a cycle:

    - at a free cell, the longest chain advances, each agent by one cell;
    - a cycle of three or more agents advances, and chains that lead to it stay;
    - two agents that would swap cells stay, and so do all that follow them.

    Args:
        start: index of each agent's cell; all are different.
        target: index of each agent's target cell; its own cell, to stay.

    Source: rware 2.0.0, which builds a graph of cells and uses networkx for its cycles
        and for the longest path of each component.
    """
    follows = (target[:, None] == start[None]) & ~jnp.eye(len(start), dtype=bool)
    swaps = jnp.any(follows & follows.T, axis=1)
    can_move = _wins_conflict(target, follows) & (target != start) & ~swaps

    def block_followers(moves: Bool[Array, " N"]) -> Bool[Array, " N"]:
        return moves & jnp.all(moves[None] | ~follows, axis=1)

    return _iterate(block_followers, can_move)


def _wins_conflict(
    target: Int[Array, " N"], follows: Bool[Array, "N N"]
) -> Bool[Array, " N"]:
    """Mask of the agents with the highest priority of those with the same target."""

    def count_followers(behind: Int[Array, " N"]) -> Int[Array, " N"]:
        return jnp.max(jnp.where(follows, behind[:, None] + 1, 0), axis=0)

    # In a cycle this grows with each iteration, beyond any chain that leads to it.
    behind = _iterate(count_followers, jnp.zeros_like(target))

    # Oddity: of chains of equal length, the one advances whose front cell was added to
    # the graph first; agent 0's cell and target are added before agent 1's.
    # (If the component is less than half of the graph, networkx iterates over a set, in
    # the order of Python's hashes of the cells. This accident is not reproduced.)
    agents = jnp.arange(len(target))
    insertion = jnp.where(follows, 2 * agents[:, None] + 1, 2 * len(target))
    order = jnp.minimum(jnp.min(insertion, axis=0), 2 * agents)
    priority = behind * (2 * len(target)) - order
    rivals = target[:, None] == target[None]
    return jnp.all(~rivals | (priority[:, None] >= priority[None]), axis=1)


def _iterate(update_fn: Callable[[Array], Array], start: Array) -> Array:
    """Result of N − 1 iterations, the length of the longest possible chain."""
    iterations = len(start) - 1
    return jax.lax.fori_loop(0, iterations, lambda _, x: update_fn(x), start, unroll=8)
