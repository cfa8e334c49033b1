"""Whole episodes where the environment is on the host and the policy is compiled."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    EnvironmentStepError,
    summarize_exception,
)
from syntony.tasks.external.adapter import MultiAgentEnv, Observation, StepResult
from syntony.tasks.external.external_env import ExternalEnv
from syntony.tasks.rollout import Trajectory

ActFn = Callable[..., tuple[Int[Array, "E N"], Float[Array, "E N"], PyTree]]
"""Observations, what is available, Gumbel noise and memory to actions, ln π, memory."""


def rollout_external(
    task: ExternalEnv,
    act_fn: ActFn,
    initial_hidden: PyTree,
    key: Key[Array, ""],
    *,
    episodes: int,
    num_envs: int,
    greedy: Bool[Array, ""] | bool = False,
    last_action: bool = False,
) -> Trajectory:
    """Returns whole episodes, lived in lock-step; their states are nobody's to see.

    Args:
        memory: what the policy starts `abreast` episodes with.
        episodes: how many, E.
        abreast: how many copies there are; the episodes are lived in rounds.
        greedy: take the most likely actions, instead of drawing them.
        last_action: show each agent its last action as well, as `LastAction` does.

    Raises:
        HostFault: a copy failed, or answered what cannot be used.
    """
    rounds = -(-episodes // num_envs)
    live = partial(
        _rollout_batch,
        task,
        act_fn,
        initial_hidden,
        num_envs=num_envs,
        greedy=bool(greedy),
    )
    keys = jax.random.split(key, rounds)
    parts = [live(round_key, last_action=last_action) for round_key in keys]
    return jax.tree.map(
        lambda *x: jnp.asarray(np.concatenate(x, axis=1)[:, :episodes]), *parts
    )


def _rollout_batch(
    task: ExternalEnv,
    act_fn: ActFn,
    hidden: PyTree,
    key: Key[Array, ""],
    *,
    num_envs: int,
    greedy: bool,
    last_action: bool,
) -> Trajectory:
    seeds, noise = jax.device_get(_sample_seeds_and_noise(task, key, num_envs))
    noise = np.zeros_like(noise) if greedy else noise
    diary = TrajectoryBuilder(task, num_envs, last_action=last_action)
    with task.env_pool.acquire(num_envs) as copies:
        for e, copy in enumerate(copies):
            diary.record_reset(e, _reset_env(task, e, copy, int(seeds[e])))
        for t in range(task.time_limit):
            going = diary.active(t)
            if not going.any():
                break
            seen = diary.obs[t], diary.action_mask[t]
            action, log_prob, hidden = act_fn(*seen, noise[t], hidden)
            diary.record_action(t, np.asarray(action), np.asarray(log_prob))
            for e in np.flatnonzero(going):
                answer = _step_env(task, t, int(e), copies[e], diary.action[t, e])
                diary.record_step(t, int(e), answer)
    return diary.build()


@partial(jax.jit, static_argnums=(0, 2))
def _sample_seeds_and_noise(
    task: ExternalEnv, key: Key[Array, ""], episodes: int
) -> tuple[Int[Array, " E"], Float[Array, "T E N A"]]:
    """Returns a seed for each episode, and the luck of all actions."""
    seed_key, noise_key = jax.random.split(key)
    # Of 31 bits: some libraries take no more.
    seeds = jax.random.randint(seed_key, (episodes,), 0, np.iinfo(np.int32).max)
    shape = (task.time_limit, episodes, task.num_agents, task.num_actions)
    return seeds, jax.random.gumbel(noise_key, shape)


def _reset_env(task: ExternalEnv, e: int, env: MultiAgentEnv, seed: int) -> Observation:
    try:
        return env.reset(seed)
    except USER_CODE_EXCEPTIONS as error:
        raise _step_error(task, e, f"reset with seed {seed}", error) from error


def _step_env(
    task: ExternalEnv, t: int, e: int, env: MultiAgentEnv, action: Int[np.ndarray, " N"]
) -> StepResult:
    try:
        return env.step(action)
    except USER_CODE_EXCEPTIONS as error:
        raise _step_error(task, e, f"step {t + 1}", error) from error


def _step_error(
    task: ExternalEnv, e: int, when: str, error: BaseException
) -> EnvironmentStepError:
    known = isinstance(error, EnvironmentStepError)
    said = str(error) if known else f"it raised {summarize_exception(error)}"
    return EnvironmentStepError(f"environment {task.id}, copy {e}, {when}: {said}")


class TrajectoryBuilder:
    """Episodes that are written down step by step, as `Trajectory` holds them.

    With `last_action` each agent's, one-hot, stands behind its observation.
    """

    def __init__(self, task: ExternalEnv, episodes: int, *, last_action: bool):
        steps = task.time_limit
        shape = (steps, episodes, task.num_agents)
        obs_size = task.obs_dim + last_action * task.num_actions
        self.obs = np.zeros((steps + 1, *shape[1:], obs_size), np.float32)
        # Behind an episode's end all are: no row of a softmax may be empty.
        self.action_mask = np.ones((*shape, task.num_actions), bool)
        self.action = np.zeros(shape, np.int32)
        self.log_prob = np.zeros(shape, np.float32)
        self.reward = np.zeros(shape, np.float32)
        self.terminated = np.zeros(shape[:2], bool)
        self.truncated = np.zeros(shape[:2], bool)
        self.valid = np.ones(shape[:2], bool)
        self.alive = np.zeros(shape, bool)

    def active(self, t: int) -> Bool[np.ndarray, " E"]:
        """Returns which episodes have not ended before a step."""
        return self.valid[t]

    def record_reset(self, e: int, observation: Observation) -> None:
        """Writes down what an episode begins with."""
        self._record_obs(0, e, observation.obs)
        self.action_mask[0, e], self.alive[0, e] = (
            observation.action_mask,
            observation.alive,
        )

    def record_action(
        self, t: int, action: Int[np.ndarray, "E N"], log_prob: Float[np.ndarray, "E N"]
    ) -> None:
        """Writes down what was chosen in those episodes that still play."""
        going = self.active(t)[:, None]
        self.action[t] = np.where(going, action, 0)
        self.log_prob[t] = np.where(going, log_prob, 0.0)

    def record_step(self, t: int, e: int, result: StepResult) -> None:
        """Writes down what came of it."""
        steps = len(self.valid)
        self.reward[t, e] = result.reward
        self.terminated[t, e] = result.terminated
        self.truncated[t, e] = not result.terminated and (
            result.truncated or t + 1 == steps
        )
        self._record_obs(t + 1, e, result.observation.obs)
        if self.terminated[t, e] or self.truncated[t, e]:
            self.valid[t + 1 :, e] = False
            self.obs[t + 2 :, e] = self.obs[t + 1, e]
        else:
            self.action_mask[t + 1, e] = result.observation.action_mask
            self.alive[t + 1, e] = result.observation.alive

    def _record_obs(self, t: int, e: int, obs: Float[np.ndarray, "N O"]) -> None:
        size, actions = obs.shape[-1], self.action_mask.shape[-1]
        self.obs[t, e, :, :size] = obs
        # Nothing was done before the start: it stays zero.
        if t > 0 and size < self.obs.shape[-1]:
            self.obs[t, e, :, size:] = np.eye(actions)[self.action[t - 1, e]]

    def build(self) -> Trajectory:
        """Returns all of it."""
        parts: dict[str, Any] = vars(self)
        return Trajectory(state=(), **parts)
