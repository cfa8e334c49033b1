"""HearSee: one agent knows where to go, the other where both are.

Both are to be at one landmark. Agent 0 (hear) observes the landmark's position and
nothing else, not even its own position; agent 1 (see) observes the positions and
velocities of both agents, and not the landmark. It separates what can be inferred from
what has to be communicated: agent 1 can infer the landmark from the motion of agent 0,
but nothing that agent 0 observes depends on where it is.

Source: Santos et al., "Centralized Training with Hybrid Execution in Multi-Agent
    Reinforcement Learning" (arXiv 2210.06274). Its physics and constants are those of
    the particle tasks here; agents do not collide.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import between, field, pytree_dataclass, validate
from syntony.errors import InvalidInputError
from syntony.identifiers import format_id
from syntony.tasks.family import TaskFamily, parse_task_id
from syntony.tasks.particles import drawing
from syntony.tasks.particles.physics import (
    MAX_VALUE,
    ParticleState,
    action_force,
    at_rest,
    integrate_state,
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

HEAR, SEE = range(2)
NUM_AGENTS = 2
POSITION_DIM = 2
POINT_VARIANCE = 2.0 / 3.0
"""Mean squared distance of a uniform point of [−1, 1)² from its best guess, 0."""
REWARD_BOUNDS = {
    "without information": -POINT_VARIANCE,
    "inferred from motion": -POINT_VARIANCE / 2.0,
    "communicated": 0.0,
}
"""Upper bounds of the team's mean reward in a step, reached in long episodes: neither
agent knows of the other; agent 1 infers the landmark from agent 0's motion, while agent
0 does not know where it is; both are told what they do not observe."""
OBS_DIM = 2 * POSITION_DIM * NUM_AGENTS
"""Length of the longer observation, that of agent 1."""


class HearSeeState(NamedTuple):
    """Agents, the landmark and the time step."""

    agents: ParticleState
    landmark_position: Float[Array, " 2"]
    time: Int[Array, ""]


@pytree_dataclass
class HearSee:
    """Two agents at a landmark: one observes the landmark, the other the agents."""

    time_limit: int = field(25, static=True, limits=between(1, MAX_VALUE))
    """Steps after which an episode is truncated."""

    def __post_init__(self):
        validate(self)

    @classmethod
    def parse(cls, id: str) -> "HearSee":
        """Task with this id.

        Raises:
            InvalidInputError: the id is malformed, or a parameter is outside of its
                limits.
        """
        name, parameters = parse_task_id(id, cls)
        if name != FAMILY.prefix:
            raise InvalidInputError(
                f"{name!r} names no HearSee task; expected {FAMILY.pattern}"
            )
        return cls(**parameters)

    @property
    def id(self) -> str:
        return format_id(FAMILY.prefix, self)

    @property
    def num_agents(self) -> int:
        return NUM_AGENTS

    @property
    def num_actions(self) -> int:
        return 5

    @property
    def obs_dim(self) -> int:
        return OBS_DIM

    @property
    def shared_reward(self) -> bool:
        return False

    def return_bounds(self, snr_db: float | int, uses: int) -> dict[str, float]:
        """Upper bounds by what is known, at any SNR: `REWARD_BOUNDS` in every step."""
        del snr_db, uses
        return {name: self.time_limit * r for name, r in REWARD_BOUNDS.items()}

    @property
    def benchmark(self) -> Benchmark:
        return Benchmark("particles", scenario="hear_see")

    def reset(self, key: Key[Array, ""]) -> tuple[HearSeeState, Float[Array, "N O"]]:
        """Random positions of the agents, at rest, and of the landmark."""
        position = random_positions(key, NUM_AGENTS + 1)
        state = HearSeeState(
            at_rest(position[:NUM_AGENTS]),
            position[NUM_AGENTS],
            jnp.zeros((), jnp.int32),
        )
        return state, self.observe(state)

    def action_mask(self, state: HearSeeState) -> Bool[Array, "N A"]:
        """All actions are available."""
        return jnp.ones((*state.agents.position.shape[:-1], self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: HearSeeState, action: Int[Array, " N"]
    ) -> tuple[HearSeeState, TimeStep]:
        """Moves both agents, which may overlap, by one time step."""
        del key  # Only the initial state is random.
        agents = integrate_state(state.agents, action_force(action))
        state = state._replace(agents=agents, time=state.time + 1)
        never = jnp.zeros((), bool)
        truncated = state.time >= self.time_limit
        reward = -squared_landmark_distances(state) / NUM_AGENTS
        return state, TimeStep(self.observe(state), reward, never, truncated)

    def observe(self, state: HearSeeState) -> Float[Array, "N O"]:
        """The landmark's position, padded with zeros; positions and velocities."""
        hear = jnp.zeros(OBS_DIM).at[:POSITION_DIM].set(state.landmark_position)
        see = jnp.concatenate([jnp.ravel(part) for part in state.agents])
        return jnp.stack([hear, see])

    def render(self, state: HearSeeState) -> Scene:
        """Scene of the plane: the landmark and both agents."""
        landmark = np.asarray(state.landmark_position)[None]
        (center,) = drawing.page_positions(landmark)
        agents = drawing.page_positions(np.asarray(state.agents.position))
        circles = [Circle(*p, 0.1, agent, agent + 1) for agent, p in enumerate(agents)]
        return drawing.positions_scene([Square(*center, 0.16, Role.TARGET), *circles])

    def feature_names(self, agent: int) -> list[Feature]:
        """The landmark's position; or positions and velocities of both agents."""
        if agent == HEAR:
            padding = [str(i + 1) for i in range(OBS_DIM - POSITION_DIM)]
            return [
                *features_of_entities(["landmark position"], ("x", "y")),
                *features_of_entities(["padding"], padding),
            ]
        entities = [
            f"agent {i + 1} {what}"
            for what in ("position", "velocity")
            for i in range(NUM_AGENTS)
        ]
        return features_of_entities(entities, ("x", "y"))

    def obs_window(self, agent: int) -> ObsWindow:
        """The landmark, or both agents, at their positions in the plane."""
        if agent == HEAR:
            coordinates = drawing.offset_coordinates(0)
            landmark = ObservedEntity("landmark", Role.TARGET, "square", *coordinates)
            return drawing.plane_window([landmark])
        agents = [
            ObservedEntity(
                f"agent {i + 1}", i, "circle", *drawing.offset_coordinates(2 * i)
            )
            for i in range(NUM_AGENTS)
        ]
        return drawing.plane_window(agents)


def squared_landmark_distances(state: HearSeeState) -> Float[Array, " N"]:
    """Squared distance ‖p_i − l‖² of each agent to the landmark."""
    return jnp.sum(jnp.square(state.agents.position - state.landmark_position), -1)


FAMILY = TaskFamily(
    prefix="HearSee",
    pattern="HearSee",
    example="HearSee",
    summary="be at a landmark that one agent observes and the other does not",
    parse=HearSee.parse,
)
