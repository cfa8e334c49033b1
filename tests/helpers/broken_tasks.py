# ruff: noqa: ARG002
"""Tasks that break one rule each: the example of the guide with one mistake."""

from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from your_own_task import Corridor

from syntony.config import field, pytree_dataclass
from syntony.identifiers import format_id
from syntony.tasks.scene import (
    Circle,
    Coordinate,
    Feature,
    ObservedEntity,
    ObsWindow,
    Scene,
    grid_scene,
)
from syntony.tasks.task import TimeStep


class Broken(Corridor):
    """The example, under the id of the subclass."""

    @property
    def id(self) -> str:
        return format_id(f"python:broken_tasks:{type(self).__name__}", self)

    def step(self, key: Any, state: Any, action: Any) -> Any:
        state, timestep = super().step(key, state, action)
        return self.change(key, state, timestep)

    def change(self, key: Any, state: Any, timestep: TimeStep) -> Any:
        del key
        return state, timestep


@pytree_dataclass
class NoAgents(Broken):
    num_agents: int = field(0, static=True)


@pytree_dataclass
class WrongReward(Broken):
    def change(self, key: Any, state: Any, timestep: TimeStep) -> Any:
        return state, timestep._replace(reward=timestep.reward.sum())


@pytree_dataclass
class ChangedType(Broken):
    def change(self, key: Any, state: Any, timestep: TimeStep) -> Any:
        return state._replace(cell=state.cell.astype(jnp.float32)), timestep


@pytree_dataclass
class WeakReset(Broken):
    def reset(self, key: Any) -> Any:
        state, obs = super().reset(key)
        return state._replace(time=jnp.asarray(0)), obs


@pytree_dataclass
class Impure(Broken):
    def change(self, key: Any, state: Any, timestep: TimeStep) -> Any:
        lucky = float(np.random.default_rng().uniform())
        return state, timestep._replace(reward=timestep.reward * lucky)


@pytree_dataclass
class NoticesTracing(Broken):
    def change(self, key: Any, state: Any, timestep: TimeStep) -> Any:
        traced = isinstance(timestep.reward, jax.core.Tracer)
        return state, timestep._replace(reward=timestep.reward + (not traced))


@jax.custom_batching.custom_vmap
def one_more_in_batches(x: jax.Array) -> jax.Array:
    return x


@one_more_in_batches.def_vmap
def _(axis_size: int, batched: list[bool], x: jax.Array) -> tuple[jax.Array, bool]:
    del axis_size
    return x + 1.0, batched[0]


@pytree_dataclass
class NoticesBatches(Broken):
    def change(self, key: Any, state: Any, timestep: TimeStep) -> Any:
        return state, timestep._replace(reward=one_more_in_batches(timestep.reward))


@pytree_dataclass
class NoAction(Broken):
    def action_mask(self, state: Any) -> Any:
        return super().action_mask(state) & (state.time < 7)


@pytree_dataclass
class LateNaN(Broken):
    def change(self, key: Any, state: Any, timestep: TimeStep) -> Any:
        obs = jnp.where(state.time >= 7, jnp.nan, timestep.obs)
        return state, timestep._replace(obs=obs)


@pytree_dataclass
class LateInfiniteReward(Broken):
    def change(self, key: Any, state: Any, timestep: TimeStep) -> Any:
        reward = jnp.where(state.time >= 7, jnp.inf, timestep.reward)
        return state, timestep._replace(reward=reward)


@pytree_dataclass
class Endless(Broken):
    def change(self, key: Any, state: Any, timestep: TimeStep) -> Any:
        return state, timestep._replace(truncated=jnp.zeros((), bool))


@pytree_dataclass
class EndsTwice(Broken):
    def change(self, key: Any, state: Any, timestep: TimeStep) -> Any:
        return state, timestep._replace(truncated=timestep.terminated)


@pytree_dataclass
class DrawnOutside(Broken):
    def render(self, state: Any) -> Scene:
        return grid_scene(1, self.length, [Circle(self.length, 0, 0.3, 0)])


@pytree_dataclass
class DrawsNaN(Broken):
    def render(self, state: Any) -> Scene:
        return grid_scene(1, self.length, [Circle(float("nan"), 0, 0.3, 0)])


@pytree_dataclass
class FewNames(Broken):
    def feature_names(self, agent: int) -> list[Feature]:
        return super().feature_names(agent)[agent:]


@pytree_dataclass
class WrongWindow(Broken):
    def obs_window(self, agent: int) -> ObsWindow:
        x, y = Coordinate(self.obs_dim), Coordinate(None)
        teammate = ObservedEntity("teammate", 1 - agent, "circle", x, y)
        return ObsWindow((-1, -1, 2, 2), has_cells=False, entities=(teammate,))


@pytree_dataclass
class FewActions(Broken):
    action_counts = (3, 2)


@pytree_dataclass
class LowRange(Broken):
    score_range = (0.0, 0.5)


@pytree_dataclass
class TextBenchmark(Broken):
    benchmark = "foraging"


@pytree_dataclass
class ForgetfulId(Broken):
    @property
    def id(self) -> str:
        return "python:your_own_task:Corridor"
