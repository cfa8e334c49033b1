"""Cue game: each of two agents has to name what only its teammate observes.

One step. Agent i observes its own cue c_i, uniform over K, as a one-hot vector; perhaps
a hint of the teammate's cue, which is right with probability p and uniform over the
K − 1 wrong cues otherwise; and a distractor, uniform over D and independent of all
else. It has K actions, and

    r_i = ½ if a_i = c_j, else 0,   j the teammate

so that the return is the fraction of correct names. No action is observed: without
communication the best return is that of the hint alone. With an ideal code over C
complex uses of an AWGN channel it is known within narrow bounds.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import between, field, pytree_dataclass, validate
from syntony.equations import limits
from syntony.errors import unknown_name_error
from syntony.identifiers import format_id
from syntony.tasks.family import parse_task_id
from syntony.tasks.scene import (
    Benchmark,
    Circle,
    Feature,
    Role,
    Scene,
    Shape,
    Square,
    features_of_entities,
    grid_scene,
)
from syntony.tasks.task import TimeStep

CUE_ID = "probe-cue"
"""Id without parameters."""
NUM_AGENTS = 2
NO_ACTION = -1
"""Action in a state before the first step."""


class CueState(NamedTuple):
    """Values that each agent observes, and its action."""

    cue: Int[Array, " N"]
    hint: Int[Array, " N"]
    """The cue that each agent is told of its teammate."""
    distractor: Int[Array, " N"]
    action: Int[Array, " N"]
    """The last action; `NO_ACTION` before it."""


@pytree_dataclass
class CueGame:
    """Two agents, each of which names the cue that its teammate observes."""

    cues: int = field(4, static=True, limits=between(2, 1000))
    """Number K of cues, and of actions."""
    hint: float = field(0.0, limits=between(0.0, 1.0))
    """Probability p that the hint is right; with 0 there is no hint, and its features
    are zero."""
    distractors: int = field(0, static=True, limits=between(0, 1000))
    """Number D of values of the distractor; with 0 there is none."""

    def __post_init__(self):
        validate(self)

    @classmethod
    def parse(cls, id: str) -> "CueGame":
        """Task with this id.

        Raises:
            InvalidInputError: the id is malformed, or a parameter is outside of its
                limits.
        """
        name, parameters = parse_task_id(id, cls)
        if name != CUE_ID:
            raise unknown_name_error("task", name, [CUE_ID])
        return cls(**parameters)

    @property
    def id(self) -> str:
        return format_id(CUE_ID, self)

    @property
    def num_agents(self) -> int:
        return NUM_AGENTS

    @property
    def num_actions(self) -> int:
        return self.cues

    @property
    def obs_dim(self) -> int:
        return 2 * self.cues + self.distractors

    @property
    def time_limit(self) -> int:
        return 1

    @property
    def shared_reward(self) -> bool:
        return False

    @property
    def score_range(self) -> tuple[float, float]:
        """No correct name, to two."""
        return 0.0, 1.0

    def return_bounds(self, snr_db: float | int, uses: int) -> dict[str, float]:
        """Best return without communication, with an ideal code, and with QPSK.

        QPSK is one where there are as many cues as its blocks. Nothing but the cue has
        to be transmitted: both directions are a link of K messages each.
        """
        # A hint that is right by chance tells nothing.
        hint = float(self.hint) or 1.0 / self.cues
        bound = limits.hinted_shannon59(snr_db, self.cues, uses, hint)
        bounds = {
            "without communication": 1.0 - limits.hint_bler(self.cues, hint),
            "upper bound": 1.0 - bound,
        }
        if self.cues == 4**uses:
            qpsk = limits.hinted_qpsk_bler(snr_db, self.cues, uses, hint)
            bounds["QPSK, MAP"] = 1.0 - qpsk
        return bounds

    @property
    def benchmark(self) -> Benchmark:
        return Benchmark("probes")

    def reset(self, key: Key[Array, ""]) -> tuple[CueState, Float[Array, "N O"]]:
        """Random cues, hints and distractors."""
        cue_key, wrong_key, hint_key, distractor_key = jax.random.split(key, 4)
        shape = (NUM_AGENTS,)
        cue = jax.random.randint(cue_key, shape, 0, self.cues)
        other = cue[::-1]
        wrong = (other + jax.random.randint(wrong_key, shape, 1, self.cues)) % self.cues
        is_right = jax.random.uniform(hint_key, shape) < self.hint
        state = CueState(
            cue=cue,
            hint=jnp.where(is_right, other, wrong),
            distractor=jax.random.randint(
                distractor_key, shape, 0, max(self.distractors, 1)
            ),
            action=jnp.full(shape, NO_ACTION, cue.dtype),
        )
        return state, self.observe(state)

    def action_mask(self, state: CueState) -> Bool[Array, "N A"]:
        """All actions are available."""
        return jnp.ones((*state.cue.shape, self.cues), bool)

    def step(
        self, key: Key[Array, ""], state: CueState, action: Int[Array, " N"]
    ) -> tuple[CueState, TimeStep]:
        """Rewards the correct names, and ends the episode."""
        del key  # Only the initial state is random.
        state = state._replace(action=action.astype(state.cue.dtype))
        reward = (action == state.cue[::-1]) / NUM_AGENTS
        return state, TimeStep(
            self.observe(state), reward, jnp.array(True), jnp.array(False)
        )

    def observe(self, state: CueState) -> Float[Array, "N O"]:
        """Own cue, hint and distractor, each one-hot."""
        hint = jax.nn.one_hot(state.hint, self.cues) * (jnp.asarray(self.hint) > 0)
        parts = [
            jax.nn.one_hot(state.cue, self.cues),
            hint,
            jax.nn.one_hot(state.distractor, self.distractors),
        ]
        return jnp.concatenate(parts, axis=-1)

    def feature_names(self, agent: int) -> list[Feature]:
        """Cue, hint and distractor."""
        del agent
        cues = [str(i + 1) for i in range(self.cues)]
        distractors = [str(i + 1) for i in range(self.distractors)]
        return [
            *features_of_entities(["cue", "hint"], cues),
            *features_of_entities(["distractor"], distractors),
        ]

    def render(self, state: CueState) -> Scene:
        """One row per agent: its start, then a cell for each cue that it can name.

        The agent is marked with its own cue and moves to the cell that it names. The
        correct cell is a target; that of the hint is outlined by a gray square.
        """
        shapes: list[Shape] = []
        for agent in range(NUM_AGENTS):
            target = int(state.cue[1 - agent])
            shapes.append(Square(1 + target, agent, 0.8, Role.TARGET, opacity=0.6))
            if float(self.hint) > 0:
                column = 1 + int(state.hint[agent])
                shapes.append(Square(column, agent, 0.9, Role.NEUTRAL, opacity=0.3))
            column = 1 + int(state.action[agent])
            text = int(state.cue[agent]) + 1
            shapes.append(Circle(column, agent, 0.3, agent, text))
        return grid_scene(NUM_AGENTS, 1 + self.cues, shapes)
