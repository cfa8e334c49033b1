"""A team in a task of your own, written in JAX: two agents look for each other.

They walk a corridor, see two cells in each direction, and are paid when they meet.

    python examples/your_own_task.py            half a minute on two cores
    python examples/your_own_task.py 1000       a glance: so many steps
"""

import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

import syntony
from syntony.config import pytree_dataclass
from syntony.identifiers import format_id
from syntony.tasks.task import TimeStep


class CorridorState(NamedTuple):
    """Where the agents are, and the clock."""

    cell: Int[Array, " N"]
    time: Int[Array, ""]


@pytree_dataclass
class Corridor:
    """Two agents meet, in cells that are beside one another or the same."""

    length: int = 20
    """Cells of the corridor."""
    time_limit: int = 20
    num_agents: int = 2
    num_actions: int = 3
    """Left, stay, right."""
    obs_dim: int = 2
    shared_reward: bool = False

    @property
    def id(self) -> str:
        return format_id("python:your_own_task:Corridor", self)

    def reset(self, key: Key[Array, ""]) -> tuple[CorridorState, Float[Array, "N O"]]:
        """Puts both anywhere."""
        cell = jax.random.randint(key, (self.num_agents,), 0, self.length)
        state = CorridorState(cell, jnp.zeros((), jnp.int32))
        return state, self.observe(state)

    def action_mask(self, state: CorridorState) -> Bool[Array, "N A"]:
        """All actions: who walks against a wall stays."""
        del state
        return jnp.ones((self.num_agents, self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: CorridorState, action: Int[Array, " N"]
    ) -> tuple[CorridorState, TimeStep]:
        """Walks; a meeting pays the team 1, and is the end."""
        del key  # Nothing is left to chance after the start.
        cell = jnp.clip(state.cell + action - 1, 0, self.length - 1)
        state = CorridorState(cell, state.time + 1)
        met = jnp.abs(cell[0] - cell[1]) <= 1
        reward = jnp.where(met, 0.5, 0.0) * jnp.ones(self.num_agents)
        late = ~met & (state.time >= self.time_limit)
        return state, TimeStep(self.observe(state), reward, met, late)

    def observe(self, state: CorridorState) -> Float[Array, "N O"]:
        """Returns where each is, from -1 to 1, and how far the other, 0 if unseen."""
        place = 2.0 * state.cell / (self.length - 1) - 1.0
        offset = state.cell[::-1] - state.cell
        seen = jnp.where(jnp.abs(offset) <= 2, offset, 0)
        return jnp.stack([place, seen], axis=-1).astype(jnp.float32)


def learn(steps: int) -> None:
    """Trains a team, and says how long it looks for itself before and after."""
    team = syntony.MAA2C(task=Corridor())
    out = f"runs/corridor-{steps}"
    run = syntony.train(team, steps=steps, eval_every=steps, out=out)
    for line in run.metrics():
        took, met = line["eval/length_mean"], line["eval/return_mean"]
        print(f"step {line['step']:,}: {met:.0%} meet; an episode takes {took:.1f}")


if __name__ == "__main__":
    learn(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
