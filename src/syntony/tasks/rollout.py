"""A policy lives through whole episodes, side by side, and they are written down.

A batch is reset once and stepped to the time limit; what an episode does after its own
end is masked. (A reset costs five to nine steps, so none is taken inside the scan.)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from syntony.tasks.task import Task

Policy = Callable[
    [Key[Array, ""], Float[Array, "E N O"], Bool[Array, "E N A"], PyTree],
    tuple[Int[Array, "E N"], PyTree],
]
"""Key, observations, available actions, memory → actions, memory."""


class Trajectory(NamedTuple):
    """E episodes of T steps by N agents. Where `mask` is false nothing counts."""

    obs: Float[Array, "T+1 E N O"]
    """o_0 … o_T; after an episode's last step, its true final observation."""
    available: Bool[Array, "T E N A"]
    action: Int[Array, "T E N"]
    reward: Float[Array, "T E N"]
    """Zero behind the end of an episode."""
    terminated: Bool[Array, "T E"]
    truncated: Bool[Array, "T E"]
    mask: Bool[Array, "T E"]
    """True up to and including the step that ended the episode."""

    @property
    def steps(self) -> Int[Array, ""]:
        """Environment steps that were really lived."""
        return jnp.sum(self.mask, dtype=jnp.int32)

    @property
    def returns(self) -> Float[Array, " E"]:
        """Sum of the team's rewards over each episode."""
        return jnp.sum(self.reward, axis=(0, 2))


def rollout(
    task: Task, policy: Policy, memory: PyTree, key: Key[Array, ""], episodes: int
) -> Trajectory:
    """Returns `episodes` whole episodes of `policy`, lived in lock-step."""
    reset_key, scan_key = jax.random.split(key)
    state, obs = jax.vmap(task.reset)(jax.random.split(reset_key, episodes))
    alive = jnp.ones(episodes, bool)

    def live(carry: tuple[Any, ...], key: Key[Array, ""]):
        state, obs, alive, memory = carry
        act_key, task_key = jax.random.split(key)
        available = jax.vmap(task.available)(state)
        action, memory = policy(act_key, obs, available, memory)
        task_keys = jax.random.split(task_key, episodes)
        state, step = jax.vmap(task.step)(task_keys, state, action)
        terminated, truncated = alive & step.terminated, alive & step.truncated
        reward = jnp.where(alive[:, None], step.reward, 0.0)
        lived = (obs, available, action, reward, terminated, truncated, alive)
        alive = alive & ~(step.terminated | step.truncated)
        return (state, step.obs, alive, memory), lived

    keys = jax.random.split(scan_key, task.time_limit)
    (_, last, _, _), lived = jax.lax.scan(live, (state, obs, alive, memory), keys)
    obs, *rest = lived
    return Trajectory(jnp.concatenate([obs, last[None]]), *rest)
