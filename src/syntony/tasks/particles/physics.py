"""Particle physics: discs of unit mass with forces, damping, and contact forces.

One time step, for all particles at once:

    F ← 5 · direction of the action, plus the contact forces
    p ← p + v dt
    v ← (1 − damping) v + F dt

The original MPE moves by the new velocity (semi-implicit Euler), mpe2 by the old one
(explicit Euler).

Source: Mordatch and Abbeel, "Emergence of Grounded Compositional Language in
    Multi-Agent Populations", AAAI 2018; Lowe et al., "Multi-Agent Actor-Critic for
    Mixed Cooperative-Competitive Environments", NeurIPS 2017.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

NONE, LEFT, RIGHT, DOWN, UP = range(5)

DT = 0.1
"""Duration of a time step."""
DAMPING = 0.25
"""Fraction of the velocity that is lost in a step."""
SENSITIVITY = 5.0
"""Force of an action."""
CONTACT_FORCE = 100.0
"""Force per length of overlap of two discs."""
CONTACT_MARGIN = 0.001
"""Length scale k over which the contact force increases from zero."""

# Larger than any useful value.
MAX_VALUE = 1_000_000


class ParticleState(NamedTuple):
    """Positions and velocities of particles."""

    position: Float[Array, "N 2"]
    velocity: Float[Array, "N 2"]


def random_positions(key: Key[Array, ""], count: int) -> Float[Array, "{count} 2"]:
    """Positions drawn uniformly from the square [−1, 1)².

    Args:
        key: consumed.
        count: number of positions.
    """
    return jax.random.uniform(key, (count, 2), minval=-1.0, maxval=1.0)


def at_rest(position: Float[Array, "N 2"]) -> ParticleState:
    """State of particles with velocity zero."""
    return ParticleState(position, jnp.zeros_like(position))


def integrate_state(
    state: ParticleState, force: Float[Array, "N 2"], *, explicit_euler: bool = False
) -> ParticleState:
    """State of all particles after one time step.

    Args:
        state: positions and velocities.
        force: force on each particle.
        explicit_euler: whether to move by the velocity before the step, as mpe2 does,
            instead of the one after it, as the original does.
    """
    velocity = update_velocity(state.velocity, force)
    applied = state.velocity if explicit_euler else velocity
    return ParticleState(update_position(state.position, applied), velocity)


def update_velocity(
    velocity: Float[Array, "N 2"], force: Float[Array, "N 2"]
) -> Float[Array, "N 2"]:
    """New velocity v' = (1 − damping) v + F dt, for a mass of 1."""
    return (1.0 - DAMPING) * velocity + force * DT


def update_position(
    position: Float[Array, "N 2"], velocity: Float[Array, "N 2"]
) -> Float[Array, "N 2"]:
    """New position p' = p + v dt."""
    return position + velocity * DT


def action_force(action: Int[Array, " N"]) -> Float[Array, "N 2"]:
    """Force 5 · (−1, 0) for left, (1, 0) right, (0, −1) down, (0, 1) up, else 0."""
    x = (action == RIGHT).astype(float) - (action == LEFT).astype(float)
    y = (action == UP).astype(float) - (action == DOWN).astype(float)
    return SENSITIVITY * jnp.stack([x, y], axis=-1)


def contact_force(
    position: Float[Array, "N 2"], *, radius: float
) -> Float[Array, "N 2"]:
    """Repulsion of overlapping discs, F_i = 100 Σ_j (p_i − p_j) / d_ij · s(d_ij).

    s is `penetration`. Two discs at the same position exert no force, as its direction
    is undefined.
    """
    offset = pairwise_offsets(position, position)
    distance = vector_norms(offset)
    force = CONTACT_FORCE * penetration(distance, 2.0 * radius)
    # The distance of a disc to itself is zero, and so is the force.
    divisor = jnp.where(distance > 0.0, distance, 1.0)
    return jnp.sum(offset * (force / divisor)[..., None], axis=1)


def penetration(
    distance: Float[Array, "*batch"], min_distance: float
) -> Float[Array, "*batch"]:
    """Overlap k ln(1 + e^((d_min − d) / k)), a soft max(0, d_min − d); k is 0.001.

    Args:
        distance: d, between two centers.
        min_distance: d_min, the sum of the radii, at which two discs touch.
    """
    k = CONTACT_MARGIN
    return k * jax.nn.softplus((min_distance - distance) / k)


def collision_matrix(
    position: Float[Array, "N 2"], *, radius: float
) -> Bool[Array, "N N"]:
    """Mask of the pairs of discs that overlap; each overlaps itself."""
    return pairwise_distances(position, position) < 2.0 * radius


def pairwise_offsets(
    target: Float[Array, "P 2"], origin: Float[Array, "Q 2"]
) -> Float[Array, "P Q 2"]:
    """Offsets a_i − b_j of each target from each origin."""
    return target[:, None] - origin[None]


def vector_norms(vectors: Float[Array, "*batch 2"]) -> Float[Array, "*batch"]:
    """Euclidean norms √(x² + y²)."""
    return jnp.sqrt(jnp.sum(jnp.square(vectors), axis=-1))


def pairwise_distances(
    a: Float[Array, "P 2"], b: Float[Array, "Q 2"]
) -> Float[Array, "P Q"]:
    """Distances ‖a_i − b_j‖."""
    return vector_norms(pairwise_offsets(a, b))


def drop_diagonal(matrix: Float[Array, "N N F"]) -> Float[Array, "N others F"]:
    """Each row without its entry on the diagonal, in order."""
    agents, _, features = matrix.shape
    # After the first entry, every (N + 1)th is on the diagonal: no gather is needed.
    tail = matrix.reshape(agents * agents, features)[1:]
    blocks = tail.reshape(agents - 1, agents + 1, features)[:, :-1]
    return blocks.reshape(agents, agents - 1, features)
