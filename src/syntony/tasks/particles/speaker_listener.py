"""Speaker and listener: one sees where to go, the other can go there.

By default the task of SMPE² ("Double Speaker-Listener": the ordinary
simple_speaker_listener), its reward as EPyMARL's wrapper adds it up.

Source: Lowe et al., "Multi-Agent Actor-Critic for Mixed Cooperative-Competitive
    Environments", NeurIPS 2017.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import pytree_dataclass
from syntony.errors import InvalidInputError
from syntony.identifiers import check_limits, format_id
from syntony.tasks.family import TaskFamily, parse_task_id
from syntony.tasks.particles.physics import (
    PARTICLE_LIMITS,
    ParticleState,
    action_force,
    at_rest,
    integrate_state,
    pairwise_offsets,
    random_positions,
)
from syntony.tasks.task import TimeStep

SPEAKER, LISTENER = range(2)
NUM_LANDMARKS = 3
VOCAB_SIZE = 3

COLOR_HIGH, COLOR_LOW = 0.65, 0.15
"""A landmark's colour: bright in the channel of its number, dark in the others."""


class SpeakerState(NamedTuple):
    """The listener, the landmarks, the goal, the last word and the clock.

    Where the speaker stands is no part of it: nothing depends on that.
    """

    listener: ParticleState
    """The listener's alone."""
    landmark_position: Float[Array, "L 2"]
    goal: Int[Array, ""]
    message: Float[Array, " L"]
    """One-hot; zeros before the first word."""
    time: Int[Array, ""]


@pytree_dataclass
class SpeakerListener:
    """A speaker that sees the goal's colour talks to a listener that can move."""

    shared_reward: bool = True
    """Whether both are given the sum over both, which the team's reward then counts
    twice, as in the paper; or each its own."""
    explicit_euler: bool = False
    """Whether the listener moves by the velocity before a step, as in mpe2; or after
    it."""
    time_limit: int = 25

    def __post_init__(self):
        check_limits(self, PARTICLE_LIMITS)

    @classmethod
    def parse(cls, id: str) -> "SpeakerListener":
        """Returns the record that `id` names.

        Raises:
            BadInput: the id is malformed, or no such task can exist.
        """
        name, parameters = parse_task_id(id, cls)
        if name != FAMILY.prefix:
            raise InvalidInputError(
                f"{name!r} names no speaker-listener task; expected {FAMILY.pattern}"
            )
        return cls(**parameters)

    @property
    def id(self) -> str:
        return format_id("SpeakerListener", self)

    @property
    def num_agents(self) -> int:
        return 2

    @property
    def num_actions(self) -> int:
        return 5

    @property
    def obs_dim(self) -> int:
        return 2 + 2 * NUM_LANDMARKS + VOCAB_SIZE

    def reset(self, key: Key[Array, ""]) -> tuple[SpeakerState, Float[Array, "N O"]]:
        """Scatters the listener, at rest, and the landmarks; draws the goal."""
        place_key, goal_key = jax.random.split(key)
        place = random_positions(place_key, 1 + NUM_LANDMARKS)
        state = SpeakerState(
            listener=at_rest(place[:1]),
            landmark_position=place[1:],
            goal=jax.random.randint(goal_key, (), 0, NUM_LANDMARKS),
            message=jnp.zeros(VOCAB_SIZE),
            time=jnp.zeros((), jnp.int32),
        )
        return state, self.observe(state)

    def action_mask(self, state: SpeakerState) -> Bool[Array, "N A"]:
        """Returns three words for the speaker, all five moves for the listener."""
        del state
        return jnp.arange(self.num_actions)[None] < jnp.array(
            [[VOCAB_SIZE], [self.num_actions]]
        )

    def step(
        self, key: Key[Array, ""], state: SpeakerState, action: Int[Array, " N"]
    ) -> tuple[SpeakerState, TimeStep]:
        """Pushes the listener for one step of time; it then hears the word."""
        del key  # Chance only sets the scene.
        force = action_force(action[LISTENER:])
        state = state._replace(
            listener=integrate_state(
                state.listener, force, explicit_euler=self.explicit_euler
            ),
            message=jax.nn.one_hot(action[SPEAKER], VOCAB_SIZE),
            time=state.time + 1,
        )
        never = jnp.zeros((), bool)
        truncated = state.time >= self.time_limit
        return state, TimeStep(
            self.observe(state), self.reward(state), never, truncated
        )

    def reward(self, state: SpeakerState) -> Float[Array, " N"]:
        """Returns what each is given: −d², or the sum over both, −2 d²."""
        own = jnp.full(2, -squared_goal_distance(state))
        return own * 2.0 if self.shared_reward else own

    def observe(self, state: SpeakerState) -> Float[Array, "N O"]:
        """Returns the goal's colour, filled up with zeros; and what the listener sees.

        That is its velocity, the ways to the landmarks, and the word.
        """
        colour = COLOR_LOW + (COLOR_HIGH - COLOR_LOW) * jax.nn.one_hot(
            state.goal, NUM_LANDMARKS
        )
        spoken = jnp.zeros(self.obs_dim).at[:NUM_LANDMARKS].set(colour)
        ways = pairwise_offsets(state.landmark_position, state.listener.position)
        seen = [state.listener.velocity[0], jnp.ravel(ways), state.message]
        return jnp.stack([spoken, jnp.concatenate(seen)])


def squared_goal_distance(state: SpeakerState) -> Float[Array, ""]:
    """Returns d² = ‖p − goal‖², by how much the listener misses the goal."""
    miss = state.listener.position[0] - state.landmark_position[state.goal]
    return jnp.sum(jnp.square(miss))


FAMILY = TaskFamily(
    prefix="SpeakerListener",
    pattern="SpeakerListener",
    example="SpeakerListener",
    summary="tell a listener where to go; go where a speaker says",
    parse=SpeakerListener.parse,
)
