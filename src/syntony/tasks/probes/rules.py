"""Probes: tiny tasks with known answers; each asks one ability of a learner.

| probe | what a learner must do | best | at random |
|---|---|---|---|
| `probe-bandit` | find out what pays | 1 | 1/3 |
| `probe-see` | act on what it sees | 1 | 1/2 |
| `probe-remember` | act on what it saw three steps ago | 1 | 1/2 |
| `probe-delay` | credit a first action with what it earns seven steps later | 1 | 1/3 |
| `probe-coordinate` | tell a teammate what it cannot see, by acting | 1 | 1/4 |
| `probe-horizon` | value what a time limit cuts off, at 1 / (1 − γ) | 10 | 10 |

A learner that fails one of them has a bug where the table says. All have two agents.

Source: A. Jones, "Debugging Reinforcement Learning Systems", 2021.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import pytree_dataclass
from syntony.errors import unknown_name_error
from syntony.tasks.family import TaskFamily, parse_task_id
from syntony.tasks.task import TimeStep

NUM_AGENTS = 2


class ProbeState(NamedTuple):
    """What may matter in a probe, whether it does or not."""

    cue: Int[Array, " N"]
    """0 or 1 for each agent, drawn alike at the start."""
    first_action: Int[Array, " N"]
    """What each agent did first; 0 before."""
    time: Int[Array, ""]


class ProbeSpec(NamedTuple):
    """The rules of a probe."""

    optimal_return: float
    num_actions: int
    obs_dim: int
    episode_length: int
    terminates: bool
    """Whether the last step is an end, or the time limit's cut."""
    observe: Callable[[ProbeState], Float[Array, "N O"]]
    is_correct: Callable[[ProbeState, Int[Array, " N"]], Bool[Array, " N"]]
    """Who earns 1/N, from the state behind the step and the actions in it."""


@pytree_dataclass
class Probe:
    """Two agents play one of `GAMES`."""

    name: str
    """What is asked: the name of a game."""

    def __post_init__(self):
        if self.name not in PROBE_SPECS:
            raise unknown_name_error(
                "task", self.id, (f"probe-{name}" for name in PROBE_SPECS)
            )

    @classmethod
    def parse(cls, id: str) -> "Probe":
        """Returns the record that `id` names; its form is `FAMILY.pattern`.

        Raises:
            BadInput: there is no such probe.
        """
        name, parameters = parse_task_id(id, cls)
        return cls(name=name.removeprefix(FAMILY.prefix), **parameters)

    @property
    def spec(self) -> ProbeSpec:
        return PROBE_SPECS[self.name]

    @property
    def optimal_return(self) -> float:
        """The highest return of an episode that a team can have on average."""
        return self.spec.optimal_return

    @property
    def id(self) -> str:
        return f"probe-{self.name}"

    @property
    def num_agents(self) -> int:
        return NUM_AGENTS

    @property
    def num_actions(self) -> int:
        return self.spec.num_actions

    @property
    def obs_dim(self) -> int:
        return self.spec.obs_dim

    @property
    def time_limit(self) -> int:
        return self.spec.episode_length

    @property
    def shared_reward(self) -> bool:
        return False

    def reset(self, key: Key[Array, ""]) -> tuple[ProbeState, Float[Array, "N O"]]:
        """Draws the cues."""
        cue = jax.random.randint(key, (NUM_AGENTS,), 0, 2)
        state = ProbeState(cue, jnp.zeros_like(cue), jnp.zeros((), jnp.int32))
        return state, self.spec.observe(state)

    def action_mask(self, state: ProbeState) -> Bool[Array, "N A"]:
        """All of them."""
        return jnp.ones((*state.cue.shape, self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: ProbeState, action: Int[Array, " N"]
    ) -> tuple[ProbeState, TimeStep]:
        """Plays one step."""
        del key  # Chance only draws the cues.
        first = jnp.where(state.time == 0, action, state.first_action)
        state = state._replace(first_action=first, time=state.time + 1)
        reward = self.spec.is_correct(state, action) / NUM_AGENTS
        over = state.time >= self.spec.episode_length
        ends = jnp.array(self.spec.terminates)
        return state, TimeStep(
            self.spec.observe(state), reward, over & ends, over & ~ends
        )


def observe_constant(state: ProbeState) -> Float[Array, "N 1"]:
    """Shows a constant."""
    return jnp.ones((*state.cue.shape, 1))


def observe_own_cue(state: ProbeState) -> Float[Array, "N 2"]:
    """Shows each its cue, one-hot."""
    return jax.nn.one_hot(state.cue, 2)


def observe_own_cue_at_start(state: ProbeState) -> Float[Array, "N 2"]:
    """Shows each its cue at the start, and nothing later."""
    return jnp.where(state.time == 0, observe_own_cue(state), 0.0)


def observe_clock_and_first_correct(state: ProbeState) -> Float[Array, "N 2"]:
    """Shows the share of the time that is over, and whether one's start was right."""
    clock = jnp.full(
        state.first_action.shape, state.time / PROBE_SPECS["delay"].episode_length
    )
    right = (state.time > 0) & (state.first_action == jnp.arange(NUM_AGENTS))
    return jnp.stack([clock, right.astype(jnp.float32)], axis=-1)


def observe_cue_or_first_action(state: ProbeState) -> Float[Array, "N 4"]:
    """Shows the first agent its cue, the second what the first one did first."""
    word = jnp.where(state.time > 0, jax.nn.one_hot(state.first_action[0], 2), 0.0)
    blank = jnp.zeros(2)
    speaker = jnp.concatenate([observe_own_cue(state)[0], blank])
    return jnp.stack([speaker, jnp.concatenate([blank, word])])


def matches_own_index(state: ProbeState, action: Int[Array, " N"]) -> Bool[Array, " N"]:
    """Pays who does its own index."""
    del state
    return action == jnp.arange(NUM_AGENTS)


def first_matched_own_index(
    state: ProbeState, action: Int[Array, " N"]
) -> Bool[Array, " N"]:
    """Pays at the end who did its own index first."""
    del action
    last = state.time == PROBE_SPECS["delay"].episode_length
    return last & (state.first_action == jnp.arange(NUM_AGENTS))


def matches_cue(state: ProbeState, action: Int[Array, " N"]) -> Bool[Array, " N"]:
    """Pays who does its cue."""
    return action == state.cue


def matches_cue_at_end(
    state: ProbeState, action: Int[Array, " N"]
) -> Bool[Array, " N"]:
    """Pays who does its cue in the last step."""
    return (state.time == PROBE_SPECS["remember"].episode_length) & matches_cue(
        state, action
    )


def all_match_first_cue_at_end(
    state: ProbeState, action: Int[Array, " N"]
) -> Bool[Array, " N"]:
    """Pays both if in the last step both do the first agent's cue."""
    last = state.time == PROBE_SPECS["coordinate"].episode_length
    return jnp.full(action.shape, last & jnp.all(action == state.cue[0]))


def always_correct(state: ProbeState, action: Int[Array, " N"]) -> Bool[Array, " N"]:
    """Pays all."""
    del state
    return jnp.ones_like(action, bool)


PROBE_SPECS = {
    "bandit": ProbeSpec(1.0, 3, 1, 1, True, observe_constant, matches_own_index),
    "see": ProbeSpec(1.0, 2, 2, 1, True, observe_own_cue, matches_cue),
    "remember": ProbeSpec(
        1.0, 2, 2, 4, True, observe_own_cue_at_start, matches_cue_at_end
    ),
    "delay": ProbeSpec(
        1.0, 3, 2, 8, True, observe_clock_and_first_correct, first_matched_own_index
    ),
    "coordinate": ProbeSpec(
        1.0, 2, 4, 2, True, observe_cue_or_first_action, all_match_first_cue_at_end
    ),
    "horizon": ProbeSpec(10.0, 2, 1, 10, False, observe_constant, always_correct),
}
"""The probes by name: what they are for is in the table above."""

FAMILY = TaskFamily(
    prefix="probe-",
    pattern="probe-{" + "|".join(PROBE_SPECS) + "}",
    example="probe-bandit",
    summary="for tests of learners: tiny tasks with known answers",
    parse=Probe.parse,
)
