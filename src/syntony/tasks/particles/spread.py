"""Spread: as many agents as landmarks; cover all of them, and do not collide.

By default the task of SMPE²: the original simple_spread, its reward as EPyMARL's
wrapper adds it up. Parameters lead from there to mpe2's.

Source: Lowe et al., "Multi-Agent Actor-Critic for Mixed Cooperative-Competitive
    Environments", NeurIPS 2017.
"""

import re
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import pytree_dataclass
from syntony.errors import InvalidInputError
from syntony.identifiers import Limits, check_limits, clip_to_limits, format_id
from syntony.tasks.family import TaskFamily, parse_task_id
from syntony.tasks.particles.physics import (
    MAX_VALUE,
    PARTICLE_LIMITS,
    ParticleState,
    action_force,
    at_rest,
    collision_matrix,
    contact_force,
    drop_diagonal,
    integrate_state,
    pairwise_distances,
    pairwise_offsets,
    random_positions,
)
from syntony.tasks.task import TimeStep

AGENT_RADIUS = 0.15
"""Of an agent."""
COMM_DIM = 2
"""Numbers that each agent hears of each other, in a task where all are silent."""


class SpreadState(NamedTuple):
    """Agents, landmarks and the clock."""

    agents: ParticleState
    landmark_position: Float[Array, "N 2"]
    time: Int[Array, ""]


@pytree_dataclass
class SimpleSpread:
    """Agents push themselves over a plane so that each landmark has one near it."""

    players: int
    """Agents, and landmarks, N."""
    distance_cost: float = 1.0
    """What each agent loses for each unit from a landmark to the agent nearest it."""
    collision_cost: float = 1.0
    """What an agent loses for each agent that it touches."""
    self_collision: bool = True
    """Whether each agent touches itself, always, as in the original."""
    shared_reward: bool = True
    """Whether every agent is given the sum over agents, which the team's reward then
    counts N times, as in the paper; or its own."""
    explicit_euler: bool = False
    """Whether agents move by the velocity before a step, as in mpe2; or after it."""
    time_limit: int = 25

    def __post_init__(self):
        check_limits(self, _LIMITS)

    @classmethod
    def parse(cls, id: str) -> "SimpleSpread":
        """Returns the record that `id` names; its form is `FAMILY.pattern`.

        Raises:
            BadInput: the id is malformed, or no such task can exist.
        """
        name, parameters = parse_task_id(id, cls)
        return cls(players=_parse_num_agents(name), **parameters)

    @property
    def id(self) -> str:
        return format_id(f"SimpleSpread-{self.players}", self)

    @property
    def num_agents(self) -> int:
        return self.players

    @property
    def num_actions(self) -> int:
        return 5

    @property
    def obs_dim(self) -> int:
        return 4 + 2 * self.players + (2 + COMM_DIM) * (self.players - 1)

    def reset(self, key: Key[Array, ""]) -> tuple[SpreadState, Float[Array, "N O"]]:
        """Scatters agents at rest, and landmarks."""
        place = random_positions(key, 2 * self.players)
        agents, landmarks = place[: self.players], place[self.players :]
        state = SpreadState(at_rest(agents), landmarks, jnp.zeros((), jnp.int32))
        return state, self.observe(state)

    def action_mask(self, state: SpreadState) -> Bool[Array, "N A"]:
        """All of them."""
        return jnp.ones((*state.agents.position.shape[:-1], self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: SpreadState, action: Int[Array, " N"]
    ) -> tuple[SpreadState, TimeStep]:
        """Pushes all agents for one step of time."""
        del key  # Chance only scatters.
        force = action_force(action)
        force += contact_force(state.agents.position, radius=AGENT_RADIUS)
        body = integrate_state(state.agents, force, explicit_euler=self.explicit_euler)
        state = state._replace(agents=body, time=state.time + 1)
        never = jnp.zeros((), bool)
        truncated = state.time >= self.time_limit
        return state, TimeStep(
            self.observe(state), self.reward(state), never, truncated
        )

    def reward(self, state: SpreadState) -> Float[Array, " N"]:
        """Returns what each agent is given: its own reward, or the sum over agents."""
        far = coverage_cost(state.agents.position, state.landmark_position)
        hits = count_collisions(state.agents.position, include_self=self.self_collision)
        own = -self.distance_cost * far - self.collision_cost * hits
        if not self.shared_reward:
            return own
        return jnp.broadcast_to(jnp.sum(own), own.shape)

    def observe(self, state: SpreadState) -> Float[Array, "N O"]:
        """Returns own velocity and position, the ways to all, and what they say: 0."""
        position, velocity = state.agents
        landmarks = jnp.swapaxes(
            pairwise_offsets(state.landmark_position, position), 0, 1
        )
        others = drop_diagonal(jnp.swapaxes(pairwise_offsets(position, position), 0, 1))
        seen = [
            velocity,
            position,
            jnp.reshape(landmarks, (self.players, -1)),
            jnp.reshape(others, (self.players, -1)),
            jnp.zeros((self.players, COMM_DIM * (self.players - 1))),
        ]
        return jnp.concatenate(seen, axis=-1)


def coverage_cost(
    position: Float[Array, "N 2"], landmark: Float[Array, "L 2"]
) -> Float[Array, ""]:
    """Returns Σ_l min_i ‖p_i − l‖: how far the landmarks are from being covered."""
    return jnp.sum(jnp.min(pairwise_distances(position, landmark), axis=0))


def count_collisions(
    position: Float[Array, "N 2"], *, include_self: bool
) -> Float[Array, " N"]:
    """Returns how many agents each touches.

    Args:
        itself: count that each touches itself, too: a constant of one.
    """
    hits = jnp.sum(
        collision_matrix(position, radius=AGENT_RADIUS), axis=-1, dtype=jnp.float32
    )
    return hits if include_self else hits - 1.0


FAMILY = TaskFamily(
    prefix="SimpleSpread",
    pattern="SimpleSpread-{players}",
    example="SimpleSpread-3",
    summary="cover as many landmarks as there are agents, without collisions",
    parse=SimpleSpread.parse,
)

_LIMITS: Limits = PARTICLE_LIMITS | {
    "players": lambda _: (2, 1000),
    "distance_cost": lambda _: (0.0, MAX_VALUE),
    "collision_cost": lambda _: (0.0, MAX_VALUE),
}


def _parse_num_agents(name: str) -> int:
    """Returns the number of agents that the id's name holds."""
    match = re.fullmatch("SimpleSpread-(0|[1-9][0-9]{0,8})", name)
    if match is None:
        digits = re.search("[1-9][0-9]{0,8}", name)
        near = clip_to_limits({"players": int(digits[0]) if digits else 3}, _LIMITS)
        raise InvalidInputError(
            f"{name!r} names no spread task; expected {FAMILY.pattern}, "
            f"e.g. {SimpleSpread(**near).id}"
        )
    return int(match[1])
