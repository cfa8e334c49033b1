"""The tasks that are checked, and random play in them that their rules share."""

from functools import cached_property, partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import replace_fields
from syntony.conformance.suite import (
    Program,
    Subject,
    clone_keys,
    jit,
    trace_difference,
)
from syntony.pytrees import PyTree
from syntony.tasks import validation
from syntony.tasks.rollout import SteppedOnHost, Trajectory
from syntony.tasks.task import Task, TimeStep

MIN_CALLS = 300
"""Steps of random play at least."""
MIN_EPISODES = 8
"""Episodes of random play at least, side by side."""
MAX_OPERATIONS = 250
"""Operations of a step that are also run without `jit`: each is compiled by itself."""
MAX_STEPS = 500
"""Most steps of an episode that are played."""


class Play(NamedTuple):
    """Random legal play: T steps of E episodes, on the host."""

    state: PyTree
    """States before every step, and the last ones: T + 1 of each episode."""
    obs: Float[np.ndarray, "T1 E N O"]
    action_mask: Bool[np.ndarray, "T E N A"]
    action: Int[np.ndarray, "T E N"]
    reward: Float[np.ndarray, "T E N"]
    terminated: Bool[np.ndarray, "T E"]
    truncated: Bool[np.ndarray, "T E"]
    alive: Bool[np.ndarray, "T E"]
    """Whether the episode had not ended before the step."""


class FirstStep(NamedTuple):
    """Values of a task's methods in the first step of an episode."""

    state: PyTree
    obs: Float[Array, "N O"]
    action_mask: Bool[Array, "N A"]
    next_state: PyTree
    step: TimeStep


@runtime_checkable
class HasTask(Protocol):
    """Subject of the rules of all tasks."""

    @property
    def task(self) -> Task:
        """The task."""
        ...


class TaskSubject(Subject):
    """A task in JAX, with an example of play that its rules share."""

    def __init__(self, task: Task):
        super().__init__()
        self.task = task

    @cached_property
    def shapes(self) -> validation.TaskShapes:
        """Shapes and types of what the methods return."""
        return validation.task_shapes(self.task)

    @property
    def num_steps(self) -> int:
        """Steps T of random play."""
        return min(self.task.time_limit, MAX_STEPS)

    @property
    def num_episodes(self) -> int:
        """Episodes E of random play, side by side."""
        return max(MIN_EPISODES, MIN_CALLS // self.num_steps)

    @cached_property
    def play(self) -> Play:
        """Random legal play, on the host."""
        play = jit(partial(_play_episodes, self.task, self.num_steps))
        self.num_calls += self.num_episodes * (2 * self.num_steps + 1)
        *values, state = jax.device_get(play(*self.keys))
        return Play(state, *values)

    @cached_property
    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        """Bits of the keys of the resets [E] and of the steps [T, E]."""
        shapes = (self.num_episodes,), (self.num_steps, self.num_episodes)

        def split() -> list[Array]:
            keys = jax.random.split(jax.random.key(1))
            return [
                jax.random.key_data(jax.random.split(key, shape))
                for key, shape in zip(keys, shapes, strict=True)
            ]

        reset_keys, step_keys = jax.device_get(jit(split)())
        return reset_keys, step_keys

    @cached_property
    def first_step_args(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Arguments of `first_step` in the second episode of `play`."""
        reset_keys, step_keys = self.keys
        return reset_keys[1], step_keys[0, 1], self.play.action[0, 1]

    def first_step(
        self,
        reset_key: Array | np.ndarray,
        step_key: Array | np.ndarray,
        action: Array | np.ndarray,
    ) -> FirstStep:
        """Values of the methods in the first step of an episode.

        Args:
            reset_key: bits of a key, so that one key can be used several times.
            step_key: bits of a key.
            action: action of each agent.
        """
        self.num_calls += 3
        bits = map(jnp.asarray, (reset_key, step_key))
        keys = map(jax.random.wrap_key_data, bits)
        state, obs = self.task.reset(next(keys))
        action_mask = self.task.action_mask(state)
        next_state, step = self.task.step(next(keys), state, jnp.asarray(action))
        return FirstStep(state, obs, action_mask, next_state, step)

    @cached_property
    def first_step_program(self) -> Program[FirstStep]:
        """`first_step`, compiled."""
        return jit(self.first_step)

    @cached_property
    def impurity(self) -> str:
        """Part in which two traces of `first_step` differ; empty if they do not."""
        action = np.zeros(self.task.num_agents, np.int32)
        reset_keys, step_keys = self.keys
        args = reset_keys[1], step_keys[0, 1], action
        return trace_difference(self.first_step, self.first_step_program, *args)

    @cached_property
    def is_small(self) -> bool:
        """Whether `first_step` has few operations."""
        jaxpr = self.first_step_program.trace(*self.first_step_args).jaxpr
        return len(str(jaxpr).splitlines()) <= MAX_OPERATIONS


class ExternalSubject(Subject):
    """An external environment as a task."""

    def __init__(self, task: SteppedOnHost):
        super().__init__()
        self.task = task

    @cached_property
    def first_episodes(self) -> Trajectory:
        """The episodes of the first call of `episodes`."""
        return self.episodes()

    def episodes(self) -> Trajectory:
        """Whole episodes of random play; the same in every call."""

        def act(
            obs: np.ndarray, action_mask: np.ndarray, noise: np.ndarray, hidden: tuple
        ) -> tuple[Array, Array, tuple]:
            action = jnp.argmax(jnp.where(action_mask, noise, -jnp.inf), axis=-1)
            return action, jnp.zeros(obs.shape[:2]), hidden

        short = replace_fields(
            self.task, time_limit=min(self.task.time_limit, MAX_STEPS)
        )
        rounds = -(-MIN_CALLS // (4 * short.time_limit))
        try:
            trajectory = short.rollout(
                act, (), jax.random.key(0), episodes=2 * rounds, num_envs=2
            )
        finally:
            short.close()
        self.num_calls += int(trajectory.num_steps) + 2 * rounds
        return trajectory._replace(state=())


def _play_episodes(
    task: Task,
    steps: int,
    reset_bits: Array,
    step_bits: Array,
) -> tuple[PyTree, ...]:
    """Values of `Play`; the states are the last ones."""
    state, obs = jax.vmap(task.reset)(jax.random.wrap_key_data(reset_bits))

    def env_step(
        carry: tuple[PyTree, Array], bits: Array
    ) -> tuple[tuple[PyTree, Array], tuple[PyTree, Array, Array, TimeStep, Array]]:
        state, alive = carry
        copies = clone_keys(state)
        action_mask = jax.vmap(task.action_mask)(state)
        # Another stream than that of `step`, which gets the keys as they are.
        action_key = jax.random.fold_in(jax.random.wrap_key_data(bits[0]), steps)
        action = _random_actions(action_key, action_mask)
        keys = jax.random.wrap_key_data(bits)
        next_state, step = jax.vmap(task.step)(keys, state, action)
        ended = step.terminated | step.truncated
        values = copies, action_mask, action, step, alive
        return (next_state, alive & ~ended), values

    start = (state, jnp.ones(len(reset_bits), bool))
    (last, _), (states, action_mask, action, step, alive) = jax.lax.scan(
        env_step, start, step_bits
    )
    obs = jnp.concatenate([obs[None], step.obs])
    states = jax.tree.map(lambda x, y: jnp.concatenate([x, y[None]]), states, last)
    ends = step.terminated, step.truncated
    return obs, action_mask, action, step.reward, *ends, alive, states


def _random_actions(
    key: Key[Array, ""], action_mask: Bool[Array, "*batch A"]
) -> Int[Array, "*batch"]:
    logits = jnp.where(action_mask, 0.0, -1e9)
    return jax.random.categorical(key, logits).astype(jnp.int32)
