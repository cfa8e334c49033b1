"""Simple spread: as many agents as landmarks cover all of them, without collisions.

The default is the task of SMPE²: the original simple_spread, with the reward summed
over agents by EPyMARL's wrapper. Parameters give the rules of mpe2.

Source: Lowe et al., "Multi-Agent Actor-Critic for Mixed Cooperative-Competitive
    Environments", NeurIPS 2017.
"""

import re
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import (
    between,
    clip_to_limits,
    field,
    pytree_dataclass,
    validate,
)
from syntony.errors import InvalidInputError
from syntony.identifiers import format_id
from syntony.tasks.family import TaskFamily, parse_task_id
from syntony.tasks.particles import drawing
from syntony.tasks.particles.physics import (
    MAX_VALUE,
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
from syntony.tasks.scene import (
    Benchmark,
    Circle,
    Feature,
    ObservedEntity,
    ObsWindow,
    Role,
    Scene,
    Square,
    features_of_entities,
)
from syntony.tasks.task import TimeStep

AGENT_RADIUS = 0.15
"""Radius of an agent."""
COMM_DIM = 2
"""Length of the message observed from each other agent; always zero in this task."""


class SpreadState(NamedTuple):
    """Agents, landmarks and the time step."""

    agents: ParticleState
    landmark_position: Float[Array, "N 2"]
    time: Int[Array, ""]


@pytree_dataclass
class SimpleSpread:
    """Agents move in a plane so that each landmark has an agent near it."""

    players: int = field(static=True, limits=between(2, 1000))
    """Number N of agents, and of landmarks."""
    distance_cost: float = field(1.0, limits=between(0.0, MAX_VALUE))
    """Negative reward of each agent per unit of distance from each landmark to its
    nearest agent."""
    collision_cost: float = field(1.0, limits=between(0.0, MAX_VALUE))
    """Negative reward of an agent for each agent that it overlaps."""
    self_collision: bool = field(True, static=True)
    """Whether each agent also counts a collision with itself, as in the original."""
    shared_reward: bool = field(True, static=True)
    """Whether each agent receives the sum over agents, which the team's reward then
    counts N times, as in the paper; otherwise each receives its own reward."""
    explicit_euler: bool = field(False, static=True)
    """Whether agents move by the velocity before a step, as in mpe2; otherwise by the
    one after it."""
    time_limit: int = field(25, static=True, limits=between(1, MAX_VALUE))
    """Steps after which an episode is truncated."""

    def __post_init__(self):
        validate(self)

    @classmethod
    def parse(cls, id: str) -> "SimpleSpread":
        """Task with this id, which has the form `FAMILY.pattern`.

        Raises:
            InvalidInputError: the id is malformed, or a parameter is outside of its
                limits.
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

    @property
    def benchmark(self) -> Benchmark:
        return Benchmark("particles", scenario="simple_spread")

    def reset(self, key: Key[Array, ""]) -> tuple[SpreadState, Float[Array, "N O"]]:
        """Random positions of the agents, at rest, and the landmarks."""
        position = random_positions(key, 2 * self.players)
        agents, landmarks = position[: self.players], position[self.players :]
        state = SpreadState(at_rest(agents), landmarks, jnp.zeros((), jnp.int32))
        return state, self.observe(state)

    def action_mask(self, state: SpreadState) -> Bool[Array, "N A"]:
        """All actions are available."""
        return jnp.ones((*state.agents.position.shape[:-1], self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: SpreadState, action: Int[Array, " N"]
    ) -> tuple[SpreadState, TimeStep]:
        """Moves all agents by one time step."""
        del key  # Only the initial state is random.
        force = action_force(action)
        force += contact_force(state.agents.position, radius=AGENT_RADIUS)
        agents = integrate_state(
            state.agents, force, explicit_euler=self.explicit_euler
        )
        state = state._replace(agents=agents, time=state.time + 1)
        never = jnp.zeros((), bool)
        truncated = state.time >= self.time_limit
        return state, TimeStep(
            self.observe(state), self.reward(state), never, truncated
        )

    def reward(self, state: SpreadState) -> Float[Array, " N"]:
        """Reward of each agent: its own, or the sum over agents."""
        distance = coverage_cost(state.agents.position, state.landmark_position)
        collisions = count_collisions(
            state.agents.position, include_self=self.self_collision
        )
        own = -self.distance_cost * distance - self.collision_cost * collisions
        if not self.shared_reward:
            return own
        return jnp.broadcast_to(jnp.sum(own), own.shape)

    def observe(self, state: SpreadState) -> Float[Array, "N O"]:
        """Own velocity and position, offsets to landmarks and agents, messages (0)."""
        position, velocity = state.agents
        landmarks = jnp.swapaxes(
            pairwise_offsets(state.landmark_position, position), 0, 1
        )
        others = drop_diagonal(jnp.swapaxes(pairwise_offsets(position, position), 0, 1))
        parts = [
            velocity,
            position,
            landmarks.reshape(self.players, -1),
            others.reshape(self.players, -1),
            jnp.zeros((self.players, COMM_DIM * (self.players - 1))),
        ]
        return jnp.concatenate(parts, axis=-1)

    def render(self, state: SpreadState) -> Scene:
        """Scene of the plane: landmarks and agents."""
        landmarks = drawing.page_positions(np.asarray(state.landmark_position))
        agents = drawing.page_positions(np.asarray(state.agents.position))
        return drawing.positions_scene(
            [
                *(Square(*center, 0.1, Role.TARGET) for center in landmarks),
                *(
                    Circle(*center, AGENT_RADIUS, agent, agent + 1)
                    for agent, center in enumerate(agents)
                ),
            ]
        )

    def feature_names(self, agent: int) -> list[Feature]:
        """Own velocity and position, offsets to landmarks and agents, messages."""
        others = [f"agent {other + 1}" for other in self._others(agent)]
        landmarks = [f"landmark {i + 1}" for i in range(self.players)]
        offsets = [f"offset to {name}" for name in landmarks + others]
        messages = [f"message from {name}" for name in others]
        symbols = [str(i + 1) for i in range(COMM_DIM)]
        return [
            *features_of_entities(["velocity", "position", *offsets], ("x", "y")),
            *features_of_entities(messages, symbols),
        ]

    def obs_window(self, agent: int) -> ObsWindow:
        """Landmarks and the other agents around the agent."""
        # The first four features are the agent's own velocity and position.
        others_start = 4 + 2 * self.players
        landmarks = [drawing.landmark_entity(i, 4 + 2 * i) for i in range(self.players)]
        others = [
            ObservedEntity(
                f"agent {other + 1}",
                other,
                "circle",
                *drawing.offset_coordinates(others_start + 2 * i),
            )
            for i, other in enumerate(self._others(agent))
        ]
        return drawing.plane_window([drawing.own_entity(agent), *landmarks, *others])

    def _others(self, agent: int) -> list[int]:
        return [other for other in range(self.players) if other != agent]


def coverage_cost(
    position: Float[Array, "N 2"], landmark: Float[Array, "L 2"]
) -> Float[Array, ""]:
    """Sum over landmarks of the distance to the nearest agent, Σ_l min_i ‖p_i − l‖."""
    return jnp.sum(jnp.min(pairwise_distances(position, landmark), axis=0))


def count_collisions(
    position: Float[Array, "N 2"], *, include_self: bool
) -> Float[Array, " N"]:
    """Number of agents that each agent overlaps.

    Args:
        position: of each agent.
        include_self: whether to count an agent's overlap with itself, always one.
    """
    collisions = jnp.sum(
        collision_matrix(position, radius=AGENT_RADIUS), axis=-1, dtype=jnp.float32
    )
    return collisions if include_self else collisions - 1.0


FAMILY = TaskFamily(
    prefix="SimpleSpread",
    pattern="SimpleSpread-{players}",
    example="SimpleSpread-3",
    summary="cover as many landmarks as there are agents, without collisions (MPE)",
    parse=SimpleSpread.parse,
)


def _parse_num_agents(name: str) -> int:
    """Number of agents in the name of an id."""
    match = re.fullmatch("SimpleSpread-(0|[1-9][0-9]{0,8})", name)
    if match is None:
        digits = re.search("[1-9][0-9]{0,8}", name)
        given = {"players": int(digits[0]) if digits else 3}
        nearest = SimpleSpread(**clip_to_limits(SimpleSpread, given))
        raise InvalidInputError(
            f"{name!r} names no spread task; expected {FAMILY.pattern}, "
            f"e.g. {nearest.id}"
        )
    return int(match[1])
