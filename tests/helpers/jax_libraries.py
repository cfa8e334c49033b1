"""Small environments with the interfaces of JaxMARL and of Jumanji."""

from collections import namedtuple
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

HEALTH = jnp.array([1, 3])


class BattleState(NamedTuple):
    """State of `Battle`."""

    step: Array
    unit_alive: Array


class Battle:
    """Two agents with 2 and 3 actions; the first dies after a step, the second later.

    The enemy gives up, and the battle ends, if the second agent does action 2.
    """

    def __init__(self, max_steps: int = 5, score: float = 1.0, **others: Any):
        self.agents = ["soldier", "medic"]
        self.max_steps, self.score, self.others = max_steps, score, others

    def action_space(self, agent: str) -> Any:
        return SimpleNamespace(n={"soldier": 2, "medic": 3}[agent])

    def reset(self, key: Array) -> tuple[dict[str, Array], BattleState]:
        del key
        # Weakly typed, as in some environments of JaxMARL.
        state = BattleState(jax.lax.full((), 0), jnp.ones(2, bool))
        return self.observe(state), state

    def observe(self, state: BattleState) -> dict[str, Any]:
        medic = {"time": state.step, "board": jnp.full((2, 1), 7, jnp.int8)}
        return {"medic": medic, "soldier": state.step[None], "world_state": None}

    def get_avail_actions(self, state: BattleState) -> dict[str, Array]:
        alive = state.unit_alive.astype(jnp.uint8)
        return {
            "medic": jnp.array([1, 0, 0], jnp.uint8) | alive[1],
            "soldier": jnp.array([1, 0], jnp.uint8) | alive[0],
        }

    def get_world_state(self, state: BattleState) -> Array:
        return state.unit_alive

    def step_env(
        self, key: Array, state: BattleState, actions: dict[str, Array]
    ) -> tuple[Any, ...]:
        del key
        over = (state.step >= self.max_steps) | (actions["medic"] == 2)
        step = state.step + 1
        state = BattleState(step, step < HEALTH)
        reward = {agent: jnp.asarray(self.score) for agent in self.agents}
        dead = dict(zip(self.agents, ~state.unit_alive, strict=True))
        return self.observe(state), state, reward, {"__all__": over, **dead}, {}


class Board(NamedTuple):
    """Observation of `Meeting`."""

    grid: Array
    places: Array
    action_mask: Array
    step_count: Array


class MeetingState(NamedTuple):
    """State of `Meeting`."""

    places: Array
    step_count: Array
    key: Array


class Generator:
    """Initial states of `Meeting`."""

    def __init__(self, num_agents: int, length: int = 4):
        self.num_agents, self._length = num_agents, length

    def __call__(self, key: Array) -> MeetingState:
        places = jnp.arange(self.num_agents) % self._length
        return MeetingState(places, jnp.zeros((), jnp.int32), key)


class Meeting:
    """Agents move right on a row of cells until all are at its end: a team reward of 1.

    Its limit of steps is called a termination, as in RobotWarehouse.
    """

    def __init__(self, generator: Generator | None = None, time_limit: int = 6):
        self._generator = generator or Generator(2)
        self.num_agents, self.time_limit = self._generator.num_agents, time_limit
        self.action_spec = SimpleNamespace(num_values=[2] * self.num_agents)

    def reset(self, key: Array) -> tuple[MeetingState, Any]:
        state = self._generator(key)
        return state, self.time_step(state, jnp.zeros(()), jnp.zeros((), bool))

    def step(self, state: MeetingState, action: Array) -> tuple[MeetingState, Any]:
        end = self._generator._length - 1
        places = jnp.minimum(state.places + action, end)
        key, _ = jax.random.split(state.key)
        state = MeetingState(places, state.step_count + 1, key)
        met = jnp.all(places == end)
        over = met | (state.step_count >= self.time_limit)
        return state, self.time_step(state, met.astype(jnp.float32), over)

    def time_step(self, state: MeetingState, reward: Array, over: Array) -> Any:
        length = self._generator._length
        grid = jnp.zeros(length, jnp.int8).at[state.places].add(1)
        mask = jnp.stack([state.places >= 0, state.places < length - 1], axis=-1)
        observation = Board(grid, state.places, mask, state.step_count)
        return LibraryTimeStep(observation, reward, over)


@jax.tree_util.register_pytree_node_class
class LibraryTimeStep:
    """Time step as Jumanji has it."""

    def __init__(self, observation: Board, reward: Array, over: Array):
        self.observation, self.reward, self.over = observation, reward, over

    def last(self) -> Array:
        return self.over

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        return (self.observation, self.reward, self.over), None

    @classmethod
    def tree_unflatten(cls, _: None, children: tuple[Any, ...]) -> "LibraryTimeStep":
        return cls(*children)


def make_battle(name: str, **parameters: Any) -> Battle:
    assert name in ("HeuristicEnemySMAX", "MPE_simple_spread_v3")
    return Battle(**parameters)


def make_meeting(name: str, **parameters: Any) -> Any:
    return Meeting(**parameters) if name == "Meeting-v0" else SimpleNamespace()


JAXMARL, JUMANJI = ModuleType("jaxmarl"), ModuleType("jumanji")
vars(JAXMARL)["make"] = make_battle
vars(JUMANJI)["make"] = make_meeting
vars(JUMANJI)["registered_environments"] = lambda: {"Meeting-v0", "Maze-v0"}


def named_tuple(**fields: Any) -> Any:
    """A named tuple with these fields."""
    return namedtuple("Fields", fields)(**fields)
