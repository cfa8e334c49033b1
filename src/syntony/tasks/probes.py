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

from syntony.errors import unknown
from syntony.record import record
from syntony.tasks.family import Family, split
from syntony.tasks.task import Step

AGENTS = 2


class ProbeState(NamedTuple):
    """What may matter in a probe, whether it does or not."""

    cue: Int[Array, " N"]
    """0 or 1 for each agent, drawn alike at the start."""
    first: Int[Array, " N"]
    """What each agent did first; 0 before."""
    time: Int[Array, ""]


class Game(NamedTuple):
    """The rules of a probe."""

    best_return: float
    actions: int
    obs_size: int
    steps: int
    ends: bool
    """Whether the last step is an end, or the time limit's cut."""
    observe: Callable[[ProbeState], Float[Array, "N O"]]
    right: Callable[[ProbeState, Int[Array, " N"]], Bool[Array, " N"]]
    """Who earns 1/N, from the state behind the step and the actions in it."""


@record
class Probe:
    """Two agents play one of `GAMES`."""

    ability: str
    """What is asked: the name of a game."""

    def __post_init__(self):
        if self.ability not in GAMES:
            raise unknown("task", self.id, (f"probe-{name}" for name in GAMES))

    @classmethod
    def parse(cls, id: str) -> "Probe":
        """Returns the record that `id` names; its form is `FAMILY.pattern`.

        Raises:
            BadInput: there is no such probe.
        """
        name, parameters = split(id, cls)
        return cls(ability=name.removeprefix(FAMILY.prefix), **parameters)

    @property
    def game(self) -> Game:
        return GAMES[self.ability]

    @property
    def best_return(self) -> float:
        """The highest return of an episode that a team can have on average."""
        return self.game.best_return

    @property
    def id(self) -> str:
        return f"probe-{self.ability}"

    @property
    def agents(self) -> int:
        return AGENTS

    @property
    def actions(self) -> int:
        return self.game.actions

    @property
    def obs_size(self) -> int:
        return self.game.obs_size

    @property
    def time_limit(self) -> int:
        return self.game.steps

    @property
    def shared_reward(self) -> bool:
        return False

    def reset(self, key: Key[Array, ""]) -> tuple[ProbeState, Float[Array, "N O"]]:
        """Draws the cues."""
        cue = jax.random.randint(key, (AGENTS,), 0, 2)
        state = ProbeState(cue, jnp.zeros_like(cue), jnp.zeros((), jnp.int32))
        return state, self.game.observe(state)

    def available(self, state: ProbeState) -> Bool[Array, "N A"]:
        """All of them."""
        return jnp.ones((*state.cue.shape, self.actions), bool)

    def step(
        self, key: Key[Array, ""], state: ProbeState, action: Int[Array, " N"]
    ) -> tuple[ProbeState, Step]:
        """Plays one step."""
        del key  # Chance only draws the cues.
        first = jnp.where(state.time == 0, action, state.first)
        state = state._replace(first=first, time=state.time + 1)
        reward = self.game.right(state, action) / AGENTS
        over = state.time >= self.game.steps
        ends = jnp.array(self.game.ends)
        return state, Step(self.game.observe(state), reward, over & ends, over & ~ends)


def nothing(state: ProbeState) -> Float[Array, "N 1"]:
    """Shows a constant."""
    return jnp.ones((*state.cue.shape, 1))


def own_cue(state: ProbeState) -> Float[Array, "N 2"]:
    """Shows each its cue, one-hot."""
    return jax.nn.one_hot(state.cue, 2)


def own_cue_at_first(state: ProbeState) -> Float[Array, "N 2"]:
    """Shows each its cue at the start, and nothing later."""
    return jnp.where(state.time == 0, own_cue(state), 0.0)


def clock_and_own_first(state: ProbeState) -> Float[Array, "N 2"]:
    """Shows the share of the time that is over, and whether one's start was right."""
    clock = jnp.full(state.first.shape, state.time / GAMES["delay"].steps)
    right = (state.time > 0) & (state.first == jnp.arange(AGENTS))
    return jnp.stack([clock, right.astype(jnp.float32)], axis=-1)


def cue_or_word(state: ProbeState) -> Float[Array, "N 4"]:
    """Shows the first agent its cue, the second what the first one did first."""
    word = jnp.where(state.time > 0, jax.nn.one_hot(state.first[0], 2), 0.0)
    blank = jnp.zeros(2)
    speaker = jnp.concatenate([own_cue(state)[0], blank])
    return jnp.stack([speaker, jnp.concatenate([blank, word])])


def own_index(state: ProbeState, action: Int[Array, " N"]) -> Bool[Array, " N"]:
    """Pays who does its own index."""
    del state
    return action == jnp.arange(AGENTS)


def own_index_at_first(
    state: ProbeState, action: Int[Array, " N"]
) -> Bool[Array, " N"]:
    """Pays at the end who did its own index first."""
    del action
    last = state.time == GAMES["delay"].steps
    return last & (state.first == jnp.arange(AGENTS))


def cue(state: ProbeState, action: Int[Array, " N"]) -> Bool[Array, " N"]:
    """Pays who does its cue."""
    return action == state.cue


def cue_at_last(state: ProbeState, action: Int[Array, " N"]) -> Bool[Array, " N"]:
    """Pays who does its cue in the last step."""
    return (state.time == GAMES["remember"].steps) & cue(state, action)


def all_first_cue_at_last(
    state: ProbeState, action: Int[Array, " N"]
) -> Bool[Array, " N"]:
    """Pays both if in the last step both do the first agent's cue."""
    last = state.time == GAMES["coordinate"].steps
    return jnp.full(action.shape, last & jnp.all(action == state.cue[0]))


def always(state: ProbeState, action: Int[Array, " N"]) -> Bool[Array, " N"]:
    """Pays all."""
    del state
    return jnp.ones_like(action, bool)


GAMES = {
    "bandit": Game(1.0, 3, 1, 1, True, nothing, own_index),
    "see": Game(1.0, 2, 2, 1, True, own_cue, cue),
    "remember": Game(1.0, 2, 2, 4, True, own_cue_at_first, cue_at_last),
    "delay": Game(1.0, 3, 2, 8, True, clock_and_own_first, own_index_at_first),
    "coordinate": Game(1.0, 2, 4, 2, True, cue_or_word, all_first_cue_at_last),
    "horizon": Game(10.0, 2, 1, 10, False, nothing, always),
}
"""The probes by name: what they are for is in the table above."""

FAMILY = Family(
    prefix="probe-",
    pattern="probe-{" + "|".join(GAMES) + "}",
    example="probe-bandit",
    summary="for tests of learners: tiny tasks with known answers",
    parse=Probe.parse,
)
