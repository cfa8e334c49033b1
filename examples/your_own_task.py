"""A user's task, written in JAX: two agents meet in a corridor.

They move along the corridor, observe two cells in each direction, and are rewarded when
they meet. `render` and `feature_names` are optional: with them, reports, figures and
animations show the corridor.

    python examples/your_own_task.py            half a minute on two cores
    python examples/your_own_task.py 1000       a short run: environment steps
"""

import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

import syntony
from syntony import TimeStep, field, format_id, pytree_dataclass
from syntony.tasks.scene import Circle, Feature, Scene, grid_scene


class CorridorState(NamedTuple):
    """Positions of the agents, and the time step."""

    cell: Int[Array, " N"]
    time: Int[Array, ""]


@pytree_dataclass
class Corridor:
    """Two agents meet when they are in the same or in neighboring cells."""

    length: int = field(20, static=True)
    """Cells of the corridor."""
    time_limit: int = field(20, static=True)
    num_agents: int = field(2, static=True)
    num_actions: int = field(3, static=True)
    """Left, stay, right."""
    obs_dim: int = field(2, static=True)
    shared_reward: bool = field(False, static=True)

    @property
    def id(self) -> str:
        return format_id("python:your_own_task:Corridor", self)

    def reset(self, key: Key[Array, ""]) -> tuple[CorridorState, Float[Array, "N O"]]:
        """Random positions of both agents."""
        cell = jax.random.randint(key, (self.num_agents,), 0, self.length)
        state = CorridorState(cell, jnp.zeros((), jnp.int32))
        return state, self.observe(state)

    def action_mask(self, state: CorridorState) -> Bool[Array, "N A"]:
        """All actions are available; a move against a wall has no effect."""
        del state
        return jnp.ones((self.num_agents, self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: CorridorState, action: Int[Array, " N"]
    ) -> tuple[CorridorState, TimeStep]:
        """Moves both agents; a meeting has a team reward of 1 and terminates."""
        del key  # Only the initial state is random.
        cell = jnp.clip(state.cell + action - 1, 0, self.length - 1)
        state = CorridorState(cell, state.time + 1)
        met = jnp.abs(cell[0] - cell[1]) <= 1
        reward = jnp.where(met, 0.5, 0.0) * jnp.ones(self.num_agents)
        truncated = ~met & (state.time >= self.time_limit)
        return state, TimeStep(self.observe(state), reward, met, truncated)

    def observe(self, state: CorridorState) -> Float[Array, "N O"]:
        """Own position in [-1, 1], and offset of the other agent, 0 beyond sight."""
        position = 2.0 * state.cell / (self.length - 1) - 1.0
        offset = state.cell[::-1] - state.cell
        visible = jnp.where(jnp.abs(offset) <= 2, offset, 0)
        return jnp.stack([position, visible], axis=-1).astype(jnp.float32)

    def render(self, state: CorridorState) -> Scene:
        """The corridor as a row of cells, with both agents."""
        agents = [
            Circle(x, 0, 0.34, agent, agent + 1)
            for agent, x in enumerate(state.cell.tolist())
        ]
        return grid_scene(1, self.length, agents)

    def feature_names(self, agent: int) -> list[Feature]:
        """Names of the observed position and offset."""
        del agent  # Both have the same features.
        return [Feature("itself", "position"), Feature("teammate", "offset")]


def train(steps: int) -> None:
    """Trains a team, and prints its results before and after."""
    system = syntony.MAA2C(task=Corridor())
    out = f"runs/corridor-{steps}"
    run = syntony.train(system, steps=steps, eval_every=steps, out=out)
    for row in run.metrics():
        length, met = row["eval/length_mean"], row["eval/return_mean"]
        print(f"step {row['step']:,}: {met:.0%} meet; mean episode length {length:.1f}")


if __name__ == "__main__":
    train(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
