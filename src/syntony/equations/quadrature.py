"""Gauss-Legendre quadrature. Host side, in double precision."""

from functools import cache

import numpy as np
from jaxtyping import Float

Grid = Float[np.ndarray, "*shape K"]


def gauss_legendre(
    low: Float[np.ndarray, "*shape"], high: Float[np.ndarray, "*shape"], num_nodes: int
) -> tuple[Grid, Grid]:
    """Nodes and weights of the integrals from `low` to `high`, on a new last axis.

    Args:
        low: lower ends.
        high: upper ends.
        num_nodes: K nodes, exact for polynomials of degree 2 K − 1.
    """
    nodes, weights = _unit_rule(num_nodes)
    half = 0.5 * (high - low)
    return low[..., None] + half[..., None] * (1.0 + nodes), half[..., None] * weights


@cache
def _unit_rule(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [−1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    return nodes, weights
