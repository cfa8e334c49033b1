"""Particle worlds: discs of unit mass that are pushed, slowed, and kept apart.

One step of time, for all particles at once:

    F ← 5 · direction of the action, plus the forces of contact
    p ← p + v dt
    v ← (1 − damping) v + F dt

The first particle worlds moved by the new velocity, mpe2 moves by the old one.

Source: Mordatch and Abbeel, "Emergence of Grounded Compositional Language in
    Multi-Agent Populations", AAAI 2018; Lowe et al., "Multi-Agent Actor-Critic for
    Mixed Cooperative-Competitive Environments", NeurIPS 2017.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.identifiers import Limits

NONE, LEFT, RIGHT, DOWN, UP = range(5)

DT = 0.1
"""Time of a step."""
DAMPING = 0.25
"""Share of the velocity that is lost in a step."""
SENSITIVITY = 5.0
"""Force of an action."""
CONTACT_FORCE = 100.0
"""Force per length that two discs overlap."""
CONTACT_MARGIN = 0.001
"""Length over which contact sets in, instead of at once."""

# Beyond any use.
MAX_VALUE = 1_000_000

PARTICLE_LIMITS: Limits = {"time_limit": lambda _: (1, MAX_VALUE)}


class ParticleState(NamedTuple):
    """Where particles are, and where they are going."""

    position: Float[Array, "N 2"]
    velocity: Float[Array, "N 2"]


def random_positions(key: Key[Array, ""], count: int) -> Float[Array, "{count} 2"]:
    """Returns positions drawn alike from the square [−1, 1)²."""
    return jax.random.uniform(key, (count, 2), minval=-1.0, maxval=1.0)


def at_rest(position: Float[Array, "N 2"]) -> ParticleState:
    """Returns particles that do not move yet."""
    return ParticleState(position, jnp.zeros_like(position))


def integrate_state(
    state: ParticleState, force: Float[Array, "N 2"], *, explicit_euler: bool = False
) -> ParticleState:
    """Moves all particles through one step of time.

    Args:
        position_first: move by the velocity before the step, as mpe2, instead of by
            the one after it, as the original.
    """
    after = update_velocity(state.velocity, force)
    by = state.velocity if explicit_euler else after
    return ParticleState(update_position(state.position, by), after)


def update_velocity(
    velocity: Float[Array, "N 2"], force: Float[Array, "N 2"]
) -> Float[Array, "N 2"]:
    """Returns v' = (1 − damping) v + F dt, for a mass of 1."""
    return (1.0 - DAMPING) * velocity + force * DT


def update_position(
    position: Float[Array, "N 2"], velocity: Float[Array, "N 2"]
) -> Float[Array, "N 2"]:
    """Returns p' = p + v dt."""
    return position + velocity * DT


def action_force(action: Int[Array, " N"]) -> Float[Array, "N 2"]:
    """Returns 5 · (−1, 0) for left, (1, 0) right, (0, −1) down, (0, 1) up, else 0."""
    x = (action == RIGHT).astype(float) - (action == LEFT).astype(float)
    y = (action == UP).astype(float) - (action == DOWN).astype(float)
    return SENSITIVITY * jnp.stack([x, y], axis=-1)


def contact_force(
    position: Float[Array, "N 2"], *, radius: float
) -> Float[Array, "N 2"]:
    """Returns F_i = 100 Σ_j (p_i − p_j) / d_ij · overlap(d_ij): discs push apart.

    Two discs at the very same place do not push: they know no direction.
    """
    apart = pairwise_offsets(position, position)
    distance = vector_norms(apart)
    push = CONTACT_FORCE * penetration(distance, 2.0 * radius)
    # A disc is at no distance from itself, and does not push itself.
    over = jnp.where(distance > 0.0, distance, 1.0)
    return jnp.sum(apart * (push / over)[..., None], axis=1)


def penetration(
    distance: Float[Array, "*batch"], min_distance: float
) -> Float[Array, "*batch"]:
    """Returns k ln(1 + e^((reach − d) / k)), a soft max(0, reach − d); k is 0.001.

    Args:
        distance: between two centres, d.
        reach: the sum of the radii, at which two discs touch.
    """
    k = CONTACT_MARGIN
    return k * jax.nn.softplus((min_distance - distance) / k)


def collision_matrix(
    position: Float[Array, "N 2"], *, radius: float
) -> Bool[Array, "N N"]:
    """Returns which discs overlap; each overlaps itself."""
    return pairwise_distances(position, position) < 2.0 * radius


def pairwise_offsets(
    target: Float[Array, "A 2"], origin: Float[Array, "B 2"]
) -> Float[Array, "A B 2"]:
    """Returns a_i − b_j: the way from each origin to each place."""
    return target[:, None] - origin[None]


def vector_norms(vectors: Float[Array, "*batch 2"]) -> Float[Array, "*batch"]:
    """Returns √(x² + y²)."""
    return jnp.sqrt(jnp.sum(jnp.square(vectors), axis=-1))


def pairwise_distances(
    a: Float[Array, "A 2"], b: Float[Array, "B 2"]
) -> Float[Array, "A B"]:
    """Returns ‖a_i − b_j‖."""
    return vector_norms(pairwise_offsets(a, b))


def drop_diagonal(matrix: Float[Array, "N N F"]) -> Float[Array, "N others F"]:
    """Returns each row without its entry on the diagonal, the others in order."""
    agents, _, features = matrix.shape
    # Behind the first entry, every (N + 1)th is one of the diagonal: no gather needed.
    behind = jnp.reshape(matrix, (agents * agents, features))[1:]
    blocks = jnp.reshape(behind, (agents - 1, agents + 1, features))[:, :-1]
    return jnp.reshape(blocks, (agents, agents - 1, features))
