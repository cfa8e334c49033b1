"""Tasks of one's own as they may go wrong: each the example, but for one mistake."""

import sys
from typing import Any

import jax.numpy as jnp
from your_own_task import Corridor

from syntony.config import pytree_dataclass
from syntony.identifiers import format_id
from syntony.tasks.task import TimeStep


class World(Corridor):
    """The example, under the name that it is found by."""

    @property
    def id(self) -> str:
        return format_id(f"python:user_tasks:{type(self).__name__}", self)

    def step(self, key: Any, state: Any, action: Any) -> Any:
        state, step = super().step(key, state, action)
        return state, self.answer(step)

    def answer(self, step: TimeStep) -> TimeStep:
        return step


@pytree_dataclass
class Plain(World):
    """Right, though its arguments have names of their own."""

    def action_mask(self, s: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().available(s)

    def step(self, k: Any, s: Any, a: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().step(k, s, a)


@pytree_dataclass
class Blind(World):
    def observe(self, state: Any) -> Any:
        return super().observe(state)[:, :1]


@pytree_dataclass
class Whole(World):
    def observe(self, state: Any) -> Any:
        return super().observe(state).astype(jnp.int32)


@pytree_dataclass
class Shared(World):
    def answer(self, step: TimeStep) -> TimeStep:
        return step._replace(reward=step.reward.sum())


@pytree_dataclass
class Grown(World):
    def step(self, key: Any, state: Any, action: Any) -> Any:
        state, step = super().step(key, state, action)
        return state._replace(cell=state.cell.astype(jnp.float32)), step


@pytree_dataclass
class Locked(World):
    def action_mask(self, state: Any) -> Any:
        del state
        return jnp.ones((2, 4), bool)


@pytree_dataclass
class Broken(World):
    def answer(self, step: TimeStep) -> TimeStep:
        raise KeyError(step._fields[0])


@pytree_dataclass
class Leaving(World):
    def answer(self, step: TimeStep) -> TimeStep:
        sys.exit(len(step) - 4)


@pytree_dataclass
class Undecided(World):
    def answer(self, step: TimeStep) -> TimeStep:
        return step if step.terminated else step._replace(reward=-step.reward)


@pytree_dataclass
class Unsound(World):
    def observe(self, state: Any) -> Any:
        return super().observe(state) / jnp.zeros(2)


@pytree_dataclass
class Poor(World):
    def answer(self, step: TimeStep) -> TimeStep:
        return step._replace(reward=jnp.full_like(step.reward, jnp.nan))


@pytree_dataclass
class Endless(World):
    time_limit: Any = None


@pytree_dataclass
class Lost(World):
    @property
    def id(self) -> str:
        return "python:your_own_task:Corridor"
