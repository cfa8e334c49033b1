"""Tasks of one's own as they may go wrong: each the example, but for one mistake."""

import sys
from typing import Any

import jax.numpy as jnp
from your_own_task import Corridor

from syntony.naming import join
from syntony.record import record
from syntony.tasks.task import Step


class World(Corridor):
    """The example, under the name that it is found by."""

    @property
    def id(self) -> str:
        return join(f"python:own_worlds:{type(self).__name__}", self)

    def step(self, key: Any, state: Any, action: Any) -> Any:
        state, step = super().step(key, state, action)
        return state, self.answer(step)

    def answer(self, step: Step) -> Step:
        return step


@record
class Plain(World):
    """Right, though its arguments have names of their own."""

    def available(self, s: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().available(s)

    def step(self, k: Any, s: Any, a: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().step(k, s, a)


@record
class Blind(World):
    def observe(self, state: Any) -> Any:
        return super().observe(state)[:, :1]


@record
class Whole(World):
    def observe(self, state: Any) -> Any:
        return super().observe(state).astype(jnp.int32)


@record
class Shared(World):
    def answer(self, step: Step) -> Step:
        return step._replace(reward=step.reward.sum())


@record
class Grown(World):
    def step(self, key: Any, state: Any, action: Any) -> Any:
        state, step = super().step(key, state, action)
        return state._replace(cell=state.cell.astype(jnp.float32)), step


@record
class Locked(World):
    def available(self, state: Any) -> Any:
        del state
        return jnp.ones((2, 4), bool)


@record
class Broken(World):
    def answer(self, step: Step) -> Step:
        raise KeyError(step._fields[0])


@record
class Leaving(World):
    def answer(self, step: Step) -> Step:
        sys.exit(len(step) - 4)


@record
class Undecided(World):
    def answer(self, step: Step) -> Step:
        return step if step.terminated else step._replace(reward=-step.reward)


@record
class Unsound(World):
    def observe(self, state: Any) -> Any:
        return super().observe(state) / jnp.zeros(2)


@record
class Poor(World):
    def answer(self, step: Step) -> Step:
        return step._replace(reward=jnp.full_like(step.reward, jnp.nan))


@record
class Endless(World):
    time_limit: Any = None


@record
class Lost(World):
    @property
    def id(self) -> str:
        return "python:your_own_task:Corridor"
