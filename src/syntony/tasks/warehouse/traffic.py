"""Who moves in a warehouse when all agents set off at once."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def resolve_moves(
    start: Int[Array, " N"], target: Int[Array, " N"]
) -> Bool[Array, " N"]:
    """Returns which agents reach the cell that they want.

    An agent that wants the cell of another needs that one to leave it. So agents form
    chains that end before a free cell, before one that stands, or in a ring:

    - before a free cell, the longest chain advances, each agent by one cell;
    - a ring of three or more turns, and who waits beside it stays;
    - two who want to swap stay, and so do all behind them.

    Args:
        start: the cell of each agent; no two are on one.
        target: the cell that each wants; its own, to stay.

    Source: rware 2.0.0, which builds a graph of cells and asks networkx for its rings
        and for the longest path of each part.
    """
    itself = jnp.eye(len(start), dtype=bool)
    wants = target[:, None] == start[None]
    follows = wants & ~itself
    swaps = jnp.any(follows & follows.T, axis=1)
    may = _wins_conflict(target, follows) & (target != start) & ~swaps

    def ask(moves: Bool[Array, " N"]) -> Bool[Array, " N"]:
        return moves & jnp.all(moves[None] | ~follows, axis=1)

    return _iterate(ask, may)


def _wins_conflict(
    target: Int[Array, " N"], follows: Bool[Array, "N N"]
) -> Bool[Array, " N"]:
    """Returns which agents nobody outdoes of those who want the same cell."""

    def count(behind: Int[Array, " N"]) -> Int[Array, " N"]:
        return jnp.max(jnp.where(follows, behind[:, None] + 1, 0), axis=0)

    # In a ring this grows with each pass, beyond any chain that waits beside it.
    behind = _iterate(count, jnp.zeros_like(target))

    # Oddity: of chains as long, the one advances whose foremost cell came first into
    # the graph: there agent 0's own and the one it wants come before agent 1's.
    # (If the part is less than half of the graph, networkx walks a set, in the order of
    # Python's hashes of the cells: a rule of nobody's making, and not kept here.)
    agents = jnp.arange(len(target))
    named = jnp.where(follows, 2 * agents[:, None] + 1, 2 * len(target))
    order = jnp.minimum(jnp.min(named, axis=0), 2 * agents)
    strength = behind * (2 * len(target)) - order
    rivals = target[:, None] == target[None]
    return jnp.all(~rivals | (strength[:, None] >= strength[None]), axis=1)


def _iterate(update_fn: Callable[[Array], Array], start: Array) -> Array:
    """Applies `one` as often as a chain of agents can be long."""
    longest = len(start) - 1
    return jax.lax.fori_loop(0, longest, lambda _, x: update_fn(x), start, unroll=8)
