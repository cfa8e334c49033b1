"""A policy lives through whole episodes, side by side, and they are written down.

A batch is reset once and stepped to the time limit; what an episode does after its own
end is masked. (A reset costs five to nine steps, so none is taken inside the scan.)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from syntony.equations import distributions
from syntony.tasks.task import Task

Policy = Callable[[Float[Array, "E N O"], PyTree], tuple[Float[Array, "E N A"], PyTree]]
"""Observations and memory to logits of the actions and memory."""


class Trajectory(NamedTuple):
    """E episodes of T steps by N agents. Where `mask` is false nothing counts."""

    state: PyTree[Array]
    """The task's states, T+1 of each of E: for pictures; costs nothing unread."""
    obs: Float[Array, "T1 E N O"]
    """o_0 … o_T; after an episode's last step, its true final observation, for good."""
    action_mask: Bool[Array, "T E N A"]
    action: Int[Array, "T E N"]
    log_prob: Float[Array, "T E N"]
    """ln π(a) of the policy that acted."""
    reward: Float[Array, "T E N"]
    """Zero behind the end of an episode."""
    terminated: Bool[Array, "T E"]
    truncated: Bool[Array, "T E"]
    valid: Bool[Array, "T E"]
    """True up to and including the step that ended the episode."""
    alive: Bool[Array, "T E N"]
    """Which agents act in those steps: all, but for who has finished early. Such a one
    sees zeros and earns nothing; what its team still earns counts for its value."""

    @property
    def num_steps(self) -> Int[Array, ""]:
        """Environment steps that were really lived."""
        return jnp.sum(self.valid, dtype=jnp.int32)

    @property
    def returns(self) -> Float[Array, " E"]:
        """Sum of the team's rewards over each episode."""
        return jnp.sum(self.reward, axis=(0, 2))


def rollout(
    task: Task,
    policy: Policy,
    initial_hidden: PyTree,
    key: Key[Array, ""],
    *,
    episodes: int,
    greedy: Bool[Array, ""] | bool = False,
) -> Trajectory:
    """Returns whole episodes of `policy`, lived in lock-step.

    Args:
        memory: what the policy starts every episode with.
        episodes: how many, E.
        greedy: take the most likely actions, instead of drawing them.
    """
    reset_key, task_key, noise_key = jax.random.split(key, 3)
    state, obs = jax.vmap(task.reset)(jax.random.split(reset_key, episodes))
    alive = jnp.ones(episodes, bool)

    # All actions' luck in one draw: on a CPU, one a step costs half the rollout.
    shape = (task.time_limit, episodes, task.num_agents, task.num_actions)
    noise = jnp.where(greedy, 0.0, jax.random.gumbel(noise_key, shape))

    def live(carry: tuple[Any, ...], luck: tuple[Array, Array]):
        state, obs, alive, memory = carry
        task_key, noise = luck
        logits, memory = policy(obs, memory)
        available = jax.vmap(task.action_mask)(state)
        action, log_prob = sample_actions(logits, available, noise)
        task_keys = jax.random.split(task_key, episodes)
        next_state, step = jax.vmap(task.step)(task_keys, state, action)
        reward = jnp.where(alive[:, None], step.reward, 0.0)
        ended = (alive & step.terminated, alive & step.truncated)
        lived = (state, obs, available, action, log_prob, reward, *ended, alive)
        # Behind its end a task may say what it likes, NaN as well.
        obs = jnp.where(alive[:, None, None], step.obs, obs)
        alive = alive & ~(step.terminated | step.truncated)
        return (next_state, obs, alive, memory), lived

    luck = (jax.random.split(task_key, task.time_limit), noise)
    (*last, _, _), lived = jax.lax.scan(live, (state, obs, alive, initial_hidden), luck)
    state, obs = jax.tree.map(
        lambda rest, end: jnp.concatenate([rest, end[None]]), lived[:2], tuple(last)
    )
    playing = jnp.broadcast_to(
        lived[-1][..., None], (*lived[-1].shape, task.num_agents)
    )
    return Trajectory(state, obs, *lived[2:], playing)


def sample_actions(
    logits: Float[Array, "E N A"],
    action_mask: Bool[Array, "E N A"],
    noise: Float[Array, "E N A"],
) -> tuple[Int[Array, "E N"], Float[Array, "E N"]]:
    """Returns actions of those available, and ln π of them.

    Args:
        noise: Gumbel's; without any the actions are the most likely.
    """
    logits = distributions.masked_logits(logits, action_mask)
    action = distributions.categorical_sample(noise, logits)
    return action, distributions.categorical_log_prob(logits, action)
