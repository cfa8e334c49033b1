"""A task whose agents also see what they themselves did last."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.record import record
from syntony.tasks.task import Step, Task


class LastActionState(NamedTuple):
    """The task's state, and what was done in it last."""

    task: Any
    action: Float[Array, "N A"]
    """One-hot; zero before the first step."""


@record
class LastAction:
    """Any task; an agent's last action, one-hot, stands behind its observation."""

    task: Task

    @property
    def id(self) -> str:
        return self.task.id

    @property
    def agents(self) -> int:
        return self.task.agents

    @property
    def actions(self) -> int:
        return self.task.actions

    @property
    def obs_size(self) -> int:
        return self.task.obs_size + self.task.actions

    @property
    def time_limit(self) -> int:
        return self.task.time_limit

    @property
    def shared_reward(self) -> bool:
        return self.task.shared_reward

    def reset(self, key: Key[Array, ""]) -> tuple[LastActionState, Float[Array, "N O"]]:
        """Resets the task; nothing was done yet."""
        state, obs = self.task.reset(key)
        action = jnp.zeros((self.agents, self.actions))
        return LastActionState(state, action), jnp.concatenate([obs, action], axis=-1)

    def available(self, state: LastActionState) -> Bool[Array, "N A"]:
        """What the task allows."""
        return self.task.available(state.task)

    def step(
        self, key: Key[Array, ""], state: LastActionState, action: Int[Array, " N"]
    ) -> tuple[LastActionState, Step]:
        """Moves all agents once, and shows each its move."""
        inner, step = self.task.step(key, state.task, action)
        done = jax.nn.one_hot(action, self.actions)
        obs = jnp.concatenate([step.obs, done], axis=-1)
        return LastActionState(inner, done), step._replace(obs=obs)
