"""A task whose observations include each agent's last action."""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import pytree_dataclass
from syntony.pytrees import PyTree
from syntony.tasks.task import (
    Task,
    TimeStep,
    agents_alive,
    global_state,
    global_state_dim,
)

ArrayT = TypeVar("ArrayT", Array, np.ndarray)


class LastActionState(NamedTuple):
    """The task's state, and the last actions."""

    task_state: PyTree[Array]
    last_action: Float[Array, "N A"]
    """One-hot; zero before the first step."""


@pytree_dataclass
class LastAction:
    """Wraps a task: appends each agent's one-hot last action to its observation."""

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

    @property
    def global_state_dim(self) -> int:
        return global_state_dim(self.task)

    def global_state(self, state: LastActionState) -> Float[Array, " S"]:
        """Global state of the task; it contains no action."""
        return global_state(self.task, state.task_state)

    def alive(self, state: LastActionState) -> Bool[Array, " N"]:
        """Which agents of the task still act."""
        return agents_alive(self.task, state.task_state)

    def reset(self, key: Key[Array, ""]) -> tuple[LastActionState, Float[Array, "N O"]]:
        """Resets the task; the last action is zero."""
        state, obs = self.task.reset(key)
        last_action = jnp.zeros((self.num_agents, self.num_actions))
        return LastActionState(state, last_action), append_last_action(obs, last_action)

    def action_mask(self, state: LastActionState) -> Bool[Array, "N A"]:
        """Action mask of the task."""
        return self.task.action_mask(state.task_state)

    def step(
        self, key: Key[Array, ""], state: LastActionState, action: Int[Array, " N"]
    ) -> tuple[LastActionState, TimeStep]:
        """Steps the task."""
        task_state, step = self.task.step(key, state.task_state, action)
        last_action = jax.nn.one_hot(action, self.num_actions)
        obs = append_last_action(step.obs, last_action)
        return LastActionState(task_state, last_action), step._replace(obs=obs)


def append_last_action(obs: ArrayT, last_action: ArrayT) -> ArrayT:
    """Observations followed by the agents' last actions.

    Args:
        obs: observation of each agent, [N, O]; a JAX or a NumPy array.
        last_action: one-hot, [N, A]; zero before the first step of an episode.
    """
    # NumPy arrays stay on the host: an external environment is stepped there.
    return obs.__array_namespace__().concat([obs, last_action], axis=-1)
