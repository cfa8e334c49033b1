"""Speaker-listener: the speaker observes the goal, the listener can move to it.

The default is the task of SMPE² ("Double Speaker-Listener", which is
simple_speaker_listener), with the reward summed over agents by EPyMARL's wrapper.

Source: Lowe et al., "Multi-Agent Actor-Critic for Mixed Cooperative-Competitive
    Environments", NeurIPS 2017.
"""

from typing import NamedTuple

import jax
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
    pairwise_offsets,
    random_positions,
)
from syntony.tasks.scene import (
    Benchmark,
    Circle,
    Coordinate,
    Feature,
    ObservedEntity,
    ObsWindow,
    Role,
    Scene,
    Square,
    Strip,
    features_of_entities,
)
from syntony.tasks.task import TimeStep

SPEAKER, LISTENER = range(2)
NUM_LANDMARKS = 3
VOCAB_SIZE = 3

COLOR_HIGH, COLOR_LOW = 0.65, 0.15
"""Color of a landmark: high in the channel of its index, low in the others."""

STRIP_HEIGHT = 0.45
"""Height of the strip below the plane where the speaker is drawn: its position has no
effect."""


class SpeakerState(NamedTuple):
    """The listener, the landmarks, the goal, the last message and the time step.

    The position of the speaker is not part of it, as nothing depends on it.
    """

    listener: ParticleState
    """The listener's only, N = 1."""
    landmark_position: Float[Array, "L 2"]
    goal: Int[Array, ""]
    """Index of the goal landmark."""
    message: Float[Array, " V"]
    """One-hot; zero before the first message."""
    time: Int[Array, ""]


@pytree_dataclass
class SpeakerListener:
    """A speaker that observes the goal's color sends messages to a moving listener."""

    shared_reward: bool = field(True, static=True)
    """Whether each agent receives the sum of both rewards, which the team's reward then
    counts twice, as in the paper; otherwise each receives its own."""
    explicit_euler: bool = field(False, static=True)
    """Whether the listener moves by the velocity before a step, as in mpe2; otherwise
    by the one after it."""
    word: bool = field(True, static=True)
    """Whether the listener observes the word that the speaker chooses; otherwise its
    features are zero, and the goal has to be communicated in another way."""
    time_limit: int = field(25, static=True, limits=between(1, MAX_VALUE))
    """Steps after which an episode is truncated."""

    def __post_init__(self):
        validate(self)

    @classmethod
    def parse(cls, id: str) -> "SpeakerListener":
        """Task with this id.

        Raises:
            InvalidInputError: the id is malformed, or a parameter is outside of its
                limits.
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

    def return_bounds(self, snr_db: float | int, uses: int) -> dict[str, float]:
        """Upper bounds by what is known of the goal, at any SNR.

        The best place without that knowledge is the centroid of the landmarks: the mean
        squared distance of L uniform points from it is ⅔ (1 − 1/L).
        """
        del snr_db, uses
        mean_square = 2.0 / 3.0 * (1.0 - 1.0 / NUM_LANDMARKS)
        factor = -self.time_limit * (4.0 if self.shared_reward else 2.0)
        return {"without communication": factor * mean_square, "upper bound": 0.0}

    @property
    def benchmark(self) -> Benchmark:
        return Benchmark("particles", scenario="simple_speaker_listener")

    def reset(self, key: Key[Array, ""]) -> tuple[SpeakerState, Float[Array, "N O"]]:
        """Random positions of the listener, at rest, and landmarks; a random goal."""
        position_key, goal_key = jax.random.split(key)
        position = random_positions(position_key, 1 + NUM_LANDMARKS)
        state = SpeakerState(
            listener=at_rest(position[:1]),
            landmark_position=position[1:],
            goal=jax.random.randint(goal_key, (), 0, NUM_LANDMARKS),
            message=jnp.zeros(VOCAB_SIZE),
            time=jnp.zeros((), jnp.int32),
        )
        return state, self.observe(state)

    def action_mask(self, state: SpeakerState) -> Bool[Array, "N A"]:
        """Three messages for the speaker, five moves for the listener."""
        del state
        return jnp.arange(self.num_actions) < jnp.array(self.action_counts)[:, None]

    @property
    def action_counts(self) -> tuple[int, int]:
        """Number of actions of the speaker and of the listener."""
        return VOCAB_SIZE, self.num_actions

    def step(
        self, key: Key[Array, ""], state: SpeakerState, action: Int[Array, " N"]
    ) -> tuple[SpeakerState, TimeStep]:
        """Moves the listener; it observes the message, if at all, after the step."""
        del key  # Only the initial state is random.
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
        """Reward of each agent: −d², or the sum over both, −2 d²."""
        own = jnp.full(2, -squared_goal_distance(state))
        return own * 2.0 if self.shared_reward else own

    def observe(self, state: SpeakerState) -> Float[Array, "N O"]:
        """The speaker's observation, padded with zeros, and the listener's.

        The speaker observes the goal's color; the listener its velocity, the offsets to
        the landmarks, and the message, zero where the word is not observed.
        """
        color = COLOR_LOW + (COLOR_HIGH - COLOR_LOW) * jax.nn.one_hot(
            state.goal, NUM_LANDMARKS
        )
        speaker = jnp.zeros(self.obs_dim).at[:NUM_LANDMARKS].set(color)
        offsets = pairwise_offsets(state.landmark_position, state.listener.position)
        message = state.message if self.word else jnp.zeros_like(state.message)
        listener = [state.listener.velocity[0], jnp.ravel(offsets), message]
        return jnp.stack([speaker, jnp.concatenate(listener)])

    def render(self, state: SpeakerState) -> Scene:
        """Scene of the landmarks and the listener, with the speaker below them."""
        centers = drawing.page_positions(np.asarray(state.landmark_position))
        (listener,) = drawing.page_positions(np.asarray(state.listener.position))
        goal = int(state.goal)
        landmarks = [
            Square(*center, 0.16, Role.TARGET, i + 1, opacity=1.0 if i == goal else 0.4)
            for i, center in enumerate(centers)
        ]
        shapes = [*landmarks, Circle(*listener, 0.075, LISTENER, LISTENER + 1)]
        message = np.asarray(state.message).tolist()
        return drawing.positions_scene(
            shapes, strip=_speaker_strip(message if self.word else [])
        )

    def feature_names(self, agent: int) -> list[Feature]:
        """The goal's color, or the listener's velocity, offsets and message."""
        channels = [str(i + 1) for i in range(NUM_LANDMARKS)]
        padding = [str(i + 1) for i in range(self.obs_dim - NUM_LANDMARKS)]
        if agent == SPEAKER:
            return [
                *features_of_entities(["goal color"], channels),
                *features_of_entities(["padding"], padding),
            ]
        landmarks = [f"offset to landmark {i + 1}" for i in range(NUM_LANDMARKS)]
        words = [f"word {i + 1}" for i in range(VOCAB_SIZE)]
        message = "message" if self.word else "padding"
        return [
            *features_of_entities(["velocity", *landmarks], ("x", "y")),
            *features_of_entities([message], words),
        ]

    def obs_window(self, agent: int) -> ObsWindow:
        """The goal among three cells, or the landmarks around the listener."""
        if agent == LISTENER:
            landmarks = [
                drawing.landmark_entity(i, 2 + 2 * i) for i in range(NUM_LANDMARKS)
            ]
            return drawing.plane_window([drawing.own_entity(agent), *landmarks])
        cells = [
            ObservedEntity(
                f"landmark {i + 1}",
                Role.TARGET,
                "square",
                Coordinate(None, i, 0),
                Coordinate(None, 1, 0),
                opacity_index=i,
            )
            for i in range(NUM_LANDMARKS)
        ]
        return ObsWindow((-0.5, -0.5, 3, 3), True, tuple(cells))


def _speaker_strip(message: list[float]) -> Strip:
    """The speaker, and beside it all words, of which the sent one is opaque.

    Args:
        message: one-hot; empty where no word is observed.
    """
    y = STRIP_HEIGHT / 2
    words = [
        Square(
            0.3 * (1 + word) - 0.45,
            y,
            0.2,
            Role.MESSAGE,
            "abc"[word],
            opacity=1.0 if message[word] else 0.2,
            corner_radius=0.05,
        )
        for word in range(len(message))
    ]
    speaker = Circle(-0.55, y, 0.1, SPEAKER, SPEAKER + 1)
    return Strip(STRIP_HEIGHT, (speaker, *words))


def squared_goal_distance(state: SpeakerState) -> Float[Array, ""]:
    """Squared distance d² = ‖p − goal‖² of the listener to the goal."""
    offset = state.listener.position[0] - state.landmark_position[state.goal]
    return jnp.sum(jnp.square(offset))


FAMILY = TaskFamily(
    prefix="SpeakerListener",
    pattern="SpeakerListener",
    example="SpeakerListener",
    summary="move to a goal that only the speaker observes (MPE)",
    parse=SpeakerListener.parse,
)
