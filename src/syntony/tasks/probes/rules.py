"""Probes: minimal tasks with known solutions; each tests one ability of an algorithm.

| probe | required ability | optimal return | random policy |
|---|---|---|---|
| `probe-bandit` | find the action with reward | 1 | 1/3 |
| `probe-see` | act on the current observation | 1 | 1/2 |
| `probe-remember` | act on the observation of three steps ago | 1 | 1/2 |
| `probe-delay` | credit the first action with a reward seven steps later | 1 | 1/3 |
| `probe-coordinate` | signal an observation to a teammate by an action | 1 | 1/4 |
| `probe-horizon` | bootstrap at a time limit: value 1 / (1 − γ) | 10 | 10 |
| `probe-cue` | communicate an observation, see `tasks.probes.cue` | 1 | 1/K |

An implementation that fails one of them lacks this ability. All have two agents.

Source: A. Jones, "Debugging Reinforcement Learning Systems", 2021.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import field, pytree_dataclass
from syntony.errors import unknown_name_error
from syntony.tasks.family import TaskFamily, parse_task_id
from syntony.tasks.probes.cue import CUE_ID, CueGame
from syntony.tasks.scene import Benchmark
from syntony.tasks.task import TimeStep

NUM_AGENTS = 2


class ProbeState(NamedTuple):
    """State of any probe; a probe may not use all of it."""

    cue: Int[Array, " N"]
    """0 or 1 for each agent, drawn uniformly at the reset."""
    first_action: Int[Array, " N"]
    """Each agent's first action; 0 before it."""
    time: Int[Array, ""]


class ProbeSpec(NamedTuple):
    """Rules of a probe."""

    optimal_return: float
    num_actions: int
    obs_dim: int
    episode_length: int
    terminates: bool
    """Whether the last step terminates the episode, or truncates it."""
    observe: Callable[[ProbeState], Float[Array, "N O"]]
    is_correct: Callable[[ProbeState, Int[Array, " N"]], Bool[Array, " N"]]
    """Which agents receive a reward of 1/N, from the state after the step and the
    actions in it."""


@pytree_dataclass
class Probe:
    """Two agents in one of the probes `PROBE_SPECS`."""

    name: str = field(static=True)
    """Key of `PROBE_SPECS`."""

    def __post_init__(self):
        if self.name not in PROBE_SPECS:
            raise unknown_name_error(
                "task", self.id, [*(f"probe-{name}" for name in PROBE_SPECS), CUE_ID]
            )

    @classmethod
    def parse(cls, id: str) -> "Probe":
        """Probe with this id, which has the form `FAMILY.pattern`.

        Raises:
            InvalidInputError: there is no such probe.
        """
        name, parameters = parse_task_id(id, cls)
        return cls(name=name.removeprefix(FAMILY.prefix), **parameters)

    @property
    def spec(self) -> ProbeSpec:
        return PROBE_SPECS[self.name]

    @property
    def optimal_return(self) -> float:
        """Highest expected return of an episode."""
        return self.spec.optimal_return

    @property
    def score_range(self) -> tuple[float, float]:
        """0 to the optimal return; no episode has more."""
        return 0.0, self.spec.optimal_return

    @property
    def benchmark(self) -> Benchmark:
        return Benchmark("probes")

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
        """Random cues."""
        cue = jax.random.randint(key, (NUM_AGENTS,), 0, 2)
        state = ProbeState(cue, jnp.zeros_like(cue), jnp.zeros((), jnp.int32))
        return state, self.spec.observe(state)

    def action_mask(self, state: ProbeState) -> Bool[Array, "N A"]:
        """All actions are available."""
        return jnp.ones((*state.cue.shape, self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: ProbeState, action: Int[Array, " N"]
    ) -> tuple[ProbeState, TimeStep]:
        """Applies the joint action."""
        del key  # Only the cues are random.
        first = jnp.where(state.time == 0, action, state.first_action)
        state = state._replace(first_action=first, time=state.time + 1)
        reward = self.spec.is_correct(state, action) / NUM_AGENTS
        over = state.time >= self.spec.episode_length
        ends = jnp.array(self.spec.terminates)
        return state, TimeStep(
            self.spec.observe(state), reward, over & ends, over & ~ends
        )


def observe_constant(state: ProbeState) -> Float[Array, "N 1"]:
    """Observation of a constant."""
    return jnp.ones((*state.cue.shape, 1))


def observe_own_cue(state: ProbeState) -> Float[Array, "N 2"]:
    """Observation of the own cue, one-hot."""
    return jax.nn.one_hot(state.cue, 2)


def observe_own_cue_at_start(state: ProbeState) -> Float[Array, "N 2"]:
    """Observation of the own cue in the first step, zero later."""
    return jnp.where(state.time == 0, observe_own_cue(state), 0.0)


def observe_clock_and_first_correct(state: ProbeState) -> Float[Array, "N 2"]:
    """Observation of the elapsed fraction of time, and of a correct first action."""
    clock = jnp.full(
        state.first_action.shape, state.time / PROBE_SPECS["delay"].episode_length
    )
    correct = (state.time > 0) & (state.first_action == jnp.arange(NUM_AGENTS))
    return jnp.stack([clock, correct.astype(jnp.float32)], axis=-1)


def observe_cue_or_first_action(state: ProbeState) -> Float[Array, "N 4"]:
    """Own cue for the first agent, the first agent's first action for the second."""
    signal = jnp.where(state.time > 0, jax.nn.one_hot(state.first_action[0], 2), 0.0)
    zeros = jnp.zeros(2)
    first = jnp.concatenate([observe_own_cue(state)[0], zeros])
    return jnp.stack([first, jnp.concatenate([zeros, signal])])


def matches_own_index(state: ProbeState, action: Int[Array, " N"]) -> Bool[Array, " N"]:
    """Whether an agent's action is its own index."""
    del state
    return action == jnp.arange(NUM_AGENTS)


def first_matched_own_index(
    state: ProbeState, action: Int[Array, " N"]
) -> Bool[Array, " N"]:
    """At the end, whether an agent's first action was its own index."""
    del action
    last = state.time == PROBE_SPECS["delay"].episode_length
    return last & (state.first_action == jnp.arange(NUM_AGENTS))


def matches_cue(state: ProbeState, action: Int[Array, " N"]) -> Bool[Array, " N"]:
    """Whether an agent's action is its cue."""
    return action == state.cue


def matches_cue_at_end(
    state: ProbeState, action: Int[Array, " N"]
) -> Bool[Array, " N"]:
    """At the end, whether an agent's action is its cue."""
    last = state.time == PROBE_SPECS["remember"].episode_length
    return last & matches_cue(state, action)


def all_match_first_cue_at_end(
    state: ProbeState, action: Int[Array, " N"]
) -> Bool[Array, " N"]:
    """At the end, whether both actions are the first agent's cue."""
    last = state.time == PROBE_SPECS["coordinate"].episode_length
    return jnp.full(action.shape, last & jnp.all(action == state.cue[0]))


def always_correct(state: ProbeState, action: Int[Array, " N"]) -> Bool[Array, " N"]:
    """True for every action."""
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
"""Probes by name; the table above describes them."""


def parse_probe(id: str) -> Probe | CueGame:
    """Probe with this id.

    Raises:
        InvalidInputError: there is no such probe, or a parameter is invalid.
    """
    is_cue_game = id.startswith(CUE_ID)
    return CueGame.parse(id) if is_cue_game else Probe.parse(id)


FAMILY = TaskFamily(
    prefix="probe-",
    pattern="probe-{" + "|".join((*PROBE_SPECS, "cue")) + "}",
    example="probe-bandit",
    summary="minimal tasks with known solutions, to test an algorithm",
    parse=parse_probe,
)
