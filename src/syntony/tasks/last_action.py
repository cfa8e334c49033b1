"""A task whose agents also see what they themselves did last."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import pytree_dataclass
from syntony.tasks.task import Task, TimeStep


class LastActionState(NamedTuple):
    """The task's state, and what was done in it last."""

    task_state: Any
    last_action: Float[Array, "N A"]
    """One-hot; zero before the first step."""


@pytree_dataclass
class LastAction:
    """Any task; an agent's last action, one-hot, stands behind its observation."""

    task: Task

    @property
    def id(self) -> str:
        return self.task.id

    @property
    def num_agents(self) -> int:
        return self.task.num_agents

    @property
    def num_actions(self) -> int:
        return self.task.num_actions

    @property
    def obs_dim(self) -> int:
        return self.task.obs_dim + self.task.num_actions

    @property
    def time_limit(self) -> int:
        return self.task.time_limit

    @property
    def shared_reward(self) -> bool:
        return self.task.shared_reward

    def reset(self, key: Key[Array, ""]) -> tuple[LastActionState, Float[Array, "N O"]]:
        """Resets the task; nothing was done yet."""
        state, obs = self.task.reset(key)
        action = jnp.zeros((self.num_agents, self.num_actions))
        return LastActionState(state, action), jnp.concatenate([obs, action], axis=-1)

    def action_mask(self, state: LastActionState) -> Bool[Array, "N A"]:
        """What the task allows."""
        return self.task.action_mask(state.task_state)

    def step(
        self, key: Key[Array, ""], state: LastActionState, action: Int[Array, " N"]
    ) -> tuple[LastActionState, TimeStep]:
        """Moves all agents once, and shows each its move."""
        inner, step = self.task.step(key, state.task_state, action)
        done = jax.nn.one_hot(action, self.num_actions)
        obs = jnp.concatenate([step.obs, done], axis=-1)
        return LastActionState(inner, done), step._replace(obs=obs)
