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

from syntony.errors import BadInput
from syntony.naming import check, join
from syntony.record import record
from syntony.tasks.family import Family, split
from syntony.tasks.particles import (
    LIMITS,
    Body,
    action_force,
    advance,
    offsets,
    resting,
    scatter,
)
from syntony.tasks.task import Step

SPEAKER, LISTENER = range(2)
LANDMARKS = 3
WORDS = 3

BRIGHT, DARK = 0.65, 0.15
"""A landmark's colour: bright in the channel of its number, dark in the others."""


class SpeakerState(NamedTuple):
    """The listener, the landmarks, the goal, the last word and the clock.

    Where the speaker stands is no part of it: nothing depends on that.
    """

    body: Body
    """The listener's alone."""
    landmark: Float[Array, "L 2"]
    goal: Int[Array, ""]
    word: Float[Array, " L"]
    """One-hot; zeros before the first word."""
    time: Int[Array, ""]


@record
class SpeakerListener:
    """A speaker that sees the goal's colour talks to a listener that can move."""

    shared_reward: bool = True
    """Whether both are given the sum over both, which the team's reward then counts
    twice, as in the paper; or each its own."""
    position_first: bool = False
    """Whether the listener moves by the velocity before a step, as in mpe2; or after
    it."""
    time_limit: int = 25

    def __post_init__(self):
        check(self, LIMITS)

    @classmethod
    def parse(cls, id: str) -> "SpeakerListener":
        """Returns the record that `id` names.

        Raises:
            BadInput: the id is malformed, or no such task can exist.
        """
        name, parameters = split(id, cls)
        if name != FAMILY.prefix:
            raise BadInput(
                f"{name!r} names no speaker-listener task; expected {FAMILY.pattern}"
            )
        return cls(**parameters)

    @property
    def id(self) -> str:
        return join("SpeakerListener", self)

    @property
    def agents(self) -> int:
        return 2

    @property
    def actions(self) -> int:
        return 5

    @property
    def obs_size(self) -> int:
        return 2 + 2 * LANDMARKS + WORDS

    def reset(self, key: Key[Array, ""]) -> tuple[SpeakerState, Float[Array, "N O"]]:
        """Scatters the listener, at rest, and the landmarks; draws the goal."""
        place_key, goal_key = jax.random.split(key)
        place = scatter(place_key, 1 + LANDMARKS)
        state = SpeakerState(
            body=resting(place[:1]),
            landmark=place[1:],
            goal=jax.random.randint(goal_key, (), 0, LANDMARKS),
            word=jnp.zeros(WORDS),
            time=jnp.zeros((), jnp.int32),
        )
        return state, self.observe(state)

    def available(self, state: SpeakerState) -> Bool[Array, "N A"]:
        """Returns three words for the speaker, all five moves for the listener."""
        del state
        return jnp.arange(self.actions)[None] < jnp.array([[WORDS], [self.actions]])

    def step(
        self, key: Key[Array, ""], state: SpeakerState, action: Int[Array, " N"]
    ) -> tuple[SpeakerState, Step]:
        """Pushes the listener for one step of time; it then hears the word."""
        del key  # Chance only sets the scene.
        force = action_force(action[LISTENER:])
        state = state._replace(
            body=advance(state.body, force, position_first=self.position_first),
            word=jax.nn.one_hot(action[SPEAKER], WORDS),
            time=state.time + 1,
        )
        never = jnp.zeros((), bool)
        truncated = state.time >= self.time_limit
        return state, Step(self.observe(state), self.reward(state), never, truncated)

    def reward(self, state: SpeakerState) -> Float[Array, " N"]:
        """Returns what each is given: −d², or the sum over both, −2 d²."""
        own = jnp.full(2, -missed(state))
        return own * 2.0 if self.shared_reward else own

    def observe(self, state: SpeakerState) -> Float[Array, "N O"]:
        """Returns the goal's colour, filled up with zeros; and what the listener sees.

        That is its velocity, the ways to the landmarks, and the word.
        """
        colour = DARK + (BRIGHT - DARK) * jax.nn.one_hot(state.goal, LANDMARKS)
        spoken = jnp.zeros(self.obs_size).at[:LANDMARKS].set(colour)
        ways = offsets(state.landmark, state.body.position)
        seen = [state.body.velocity[0], jnp.ravel(ways), state.word]
        return jnp.stack([spoken, jnp.concatenate(seen)])


def missed(state: SpeakerState) -> Float[Array, ""]:
    """Returns d² = ‖p − goal‖², by how much the listener misses the goal."""
    miss = state.body.position[0] - state.landmark[state.goal]
    return jnp.sum(jnp.square(miss))


FAMILY = Family(
    prefix="SpeakerListener",
    pattern="SpeakerListener",
    example="SpeakerListener",
    summary="tell a listener where to go; go where a speaker says",
    parse=SpeakerListener.parse,
)
