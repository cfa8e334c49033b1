"""Invalid user tasks: each is the example with one mistake."""

import sys
from typing import Any

import jax.numpy as jnp
from your_own_task import Corridor

from syntony.config import field, pytree_dataclass
from syntony.identifiers import format_id
from syntony.tasks.task import TimeStep


class BaseTask(Corridor):
    """The example, under the id of the subclass."""

    @property
    def id(self) -> str:
        return format_id(f"python:user_tasks:{type(self).__name__}", self)

    def step(self, key: Any, state: Any, action: Any) -> Any:
        state, timestep = super().step(key, state, action)
        return state, self.change(timestep)

    def change(self, timestep: TimeStep) -> TimeStep:
        return timestep


@pytree_dataclass
class Plain(BaseTask):
    """A valid task whose arguments have other names than the protocol's."""

    def action_mask(self, s: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().action_mask(s)

    def step(self, k: Any, s: Any, a: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().step(k, s, a)


@pytree_dataclass
class Undrawn(BaseTask):
    """A valid task without a drawing; None hides an inherited method."""

    render = None  # pyright: ignore[reportAssignmentType]


@pytree_dataclass
class NotATask:
    """A config without any attribute of a task."""


@pytree_dataclass
class RequiredParameter(BaseTask):
    """A task that an id cannot construct, as a field has no default."""

    width: int = field(static=True)


@pytree_dataclass
class WrongObsShape(BaseTask):
    def observe(self, state: Any) -> Any:
        return super().observe(state)[:, :1]


@pytree_dataclass
class WrongObsType(BaseTask):
    def observe(self, state: Any) -> Any:
        return super().observe(state).astype(jnp.int32)


@pytree_dataclass
class ScalarReward(BaseTask):
    def change(self, timestep: TimeStep) -> TimeStep:
        return timestep._replace(reward=timestep.reward.sum())


@pytree_dataclass
class ChangedState(BaseTask):
    def step(self, key: Any, state: Any, action: Any) -> Any:
        state, timestep = super().step(key, state, action)
        return state._replace(cell=state.cell.astype(jnp.float32)), timestep


@pytree_dataclass
class WrongMaskShape(BaseTask):
    def action_mask(self, state: Any) -> Any:
        del state
        return jnp.ones((2, 4), bool)


@pytree_dataclass
class RaisingStep(BaseTask):
    def change(self, timestep: TimeStep) -> TimeStep:
        raise KeyError(timestep._fields[0])


@pytree_dataclass
class ExitingStep(BaseTask):
    def change(self, timestep: TimeStep) -> TimeStep:
        sys.exit(len(timestep) - 4)


@pytree_dataclass
class BranchOnTracer(BaseTask):
    def change(self, timestep: TimeStep) -> TimeStep:
        if timestep.terminated:
            return timestep
        return timestep._replace(reward=-timestep.reward)


@pytree_dataclass
class NonFiniteObs(BaseTask):
    def observe(self, state: Any) -> Any:
        return super().observe(state) / jnp.zeros(2)


@pytree_dataclass
class NonFiniteReward(BaseTask):
    def change(self, timestep: TimeStep) -> TimeStep:
        return timestep._replace(reward=jnp.full_like(timestep.reward, jnp.nan))


@pytree_dataclass
class NoTimeLimit(BaseTask):
    time_limit: Any = None


@pytree_dataclass
class WrongId(BaseTask):
    @property
    def id(self) -> str:
        return "python:your_own_task:Corridor"
