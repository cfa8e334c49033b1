"""Rules of tasks: in JAX, and external environments, which are stepped on the host."""

import dataclasses
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from syntony.conformance.suite import (
    Report,
    Rule,
    Subject,
    check_rules,
    clone_keys,
    first_difference,
    jit,
    require,
    require_strong_types,
    trace_difference,
)
from syntony.conformance.task_capabilities import BENCHMARK_RULE, CAPABILITY_RULES
from syntony.tasks import validation
from syntony.tasks.external.external_env import ExternalEnv
from syntony.tasks.external.rollout import rollout_external
from syntony.tasks.registry import task as parse_task
from syntony.tasks.task import Task, TimeStep

MIN_CALLS = 300
"""Steps of random play at least."""
MIN_EPISODES = 8
"""Episodes of random play at least, side by side."""
MAX_OPERATIONS = 250
"""Operations of a step that are also run without `jit`: each is compiled by itself."""
MAX_STEPS = 500
"""Most steps of an episode that are played."""
TOLERANCE = 1e-4
"""Difference by which compiled code may round otherwise."""


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

    def first_step(self, reset_key: Any, step_key: Any, action: Any) -> FirstStep:
        """Values of the methods in the first step of an episode.

        Args:
            reset_key: bits of a key, so that one key can be used several times.
            step_key: bits of a key.
            action: action of each agent.
        """
        self.num_calls += 3
        keys = map(jax.random.wrap_key_data, (reset_key, step_key))
        state, obs = self.task.reset(next(keys))
        action_mask = self.task.action_mask(state)
        next_state, step = self.task.step(next(keys), state, jnp.asarray(action))
        return FirstStep(state, obs, action_mask, next_state, step)

    @cached_property
    def first_step_program(self) -> Any:
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


def check_task(task: Task) -> Report:
    """Checks the rules of tasks; see `JAX_RULES` and `EXTERNAL_RULES`."""
    if isinstance(task, ExternalEnv):
        return check_rules("task", task.id, ExternalSubject(task), EXTERNAL_RULES)
    return check_rules("task", str(task.id), TaskSubject(task), JAX_RULES)


def _play_episodes(
    task: Task,
    steps: int,
    reset_bits: Array,
    step_bits: Array,
) -> tuple[Any, ...]:
    """Values of `Play`; the states are the last ones."""
    state, obs = jax.vmap(task.reset)(jax.random.wrap_key_data(reset_bits))

    def env_step(carry: Any, bits: Array) -> tuple[Any, Any]:
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


def _sizes(subject: Any) -> None:
    validation.validate_sizes(subject.task)
    shared = subject.task.shared_reward
    require(
        isinstance(shared, bool), f"shared_reward is {shared!r}; expected True or False"
    )


def _shapes(subject: TaskSubject) -> None:
    subject.num_calls += 3
    validation.validate_shapes(subject.task)


def _state_types(subject: TaskSubject) -> None:
    subject.num_calls += 3
    validation.validate_state_types(subject.task)


def _strong_types(subject: TaskSubject) -> None:
    require_strong_types(subject.shapes.state, "the state of reset")
    require_strong_types(subject.shapes.next_state, "the state of step")


def _purity(subject: TaskSubject) -> None:
    require(
        not subject.impurity,
        f"two calls with the same key and state differ in {subject.impurity}; expected "
        "all randomness to come from `key`, and nothing to be kept outside of the "
        "state",
    )


def _same_without_jit(subject: TaskSubject) -> None:
    args = subject.first_step_args
    eager, compiled = subject.first_step(*args), subject.first_step_program(*args)
    difference = first_difference(compiled, eager, tolerance=TOLERANCE)
    require(
        not difference,
        f"compiled and plain calls differ, in {difference}; use jax.numpy and "
        "jax.random, not NumPy or Python numbers of the state",
    )


def _same_with_vmap(subject: TaskSubject) -> None:
    play = subject.play
    state, next_state = (
        jax.tree.map(lambda x, t=t: x[t, 1], play.state) for t in range(2)
    )
    ends = play.terminated[0, 1], play.truncated[0, 1]
    step = TimeStep(play.obs[1, 1], play.reward[0, 1], *ends)
    of_batch = FirstStep(
        state, play.obs[0, 1], play.action_mask[0, 1], next_state, step
    )
    single = subject.first_step_program(*subject.first_step_args)
    difference = first_difference(of_batch, single, tolerance=TOLERANCE)
    require(
        not difference,
        f"a batch by jax.vmap differs from single calls, in {difference}; expected the "
        "same values",
    )


def _masks(subject: TaskSubject) -> None:
    play = subject.play
    available = play.action_mask.any(axis=-1) | ~play.alive[..., None]
    if not available.all():
        t, _, agent = np.argwhere(~available)[0]
        require(
            False,
            f"no action of agent {agent} is available at step {t} of an episode; "
            "expected at least one, e.g. an action that does nothing",
        )


def _finite_obs(subject: TaskSubject) -> None:
    # What an episode's end leads to is its true final observation.
    alive = np.concatenate([subject.play.alive[:1], subject.play.alive])
    _require_finite(subject.play.obs, alive, "observation", offset=0)


def _finite_rewards(subject: TaskSubject) -> None:
    _require_finite(subject.play.reward, subject.play.alive, "reward", offset=1)


def _require_finite(
    values: np.ndarray, alive: np.ndarray, what: str, *, offset: int
) -> None:
    finite = np.isfinite(values).reshape(*alive.shape, -1).all(axis=-1) | ~alive
    if not finite.all():
        t = int(np.argwhere(~finite)[0][0]) + offset
        when = f"step {t}" if t else "the reset"
        require(False, f"{what} after {when} is not finite; expected numbers")


def _endings(subject: TaskSubject) -> None:
    play, limit = subject.play, subject.task.time_limit
    both = play.terminated & play.truncated & play.alive
    if both.any():
        t = int(np.argwhere(both)[0][0]) + 1
        require(
            False,
            f"step {t} of an episode is both terminated and truncated; expected "
            "truncated only where no terminal state is reached",
        )
    ended = (play.terminated | play.truncated).any(axis=0)
    require(
        limit > MAX_STEPS or ended.all(),
        f"an episode has not ended after time_limit = {limit} steps; expected "
        "truncated at the time limit, e.g. state.time >= self.time_limit",
    )


def _id_round_trip(subject: Any) -> None:
    require_same_config(subject.task, parse_task(subject.task.id), subject.task.id)


def require_same_config(given: Any, parsed: Any, id: str) -> None:
    """Raises `RuleViolation` unless a config equals the one that its id stands for."""
    require(
        parsed.id == id,
        f"{id!r} is parsed to a config with the id {parsed.id!r}; expected the same",
    )
    names = [f.name for f in dataclasses.fields(given)]
    for name in names:
        old, new = getattr(given, name), getattr(parsed, name)
        require(
            old == new,
            f"{name} is {old!r}, and {new!r} if {id!r} is parsed; expected all "
            "parameters that are not default in the id, e.g. by format_id",
        )


JAX_RULES: tuple[Rule, ...] = (
    Rule("sizes", _sizes, is_essential=True),
    Rule("shapes and types", _shapes, is_essential=True),
    Rule("step keeps the state's types", _state_types, is_essential=True),
    Rule("no weak types", _strong_types),
    Rule("same key, same result", _purity),
    Rule(
        "same with and without jit",
        _same_without_jit,
        applies=lambda subject: not subject.impurity and subject.is_small,
    ),
    Rule(
        "same with vmap",
        _same_with_vmap,
        applies=lambda subject: not subject.impurity,
    ),
    Rule("an action is available", _masks),
    Rule("observations are finite", _finite_obs),
    Rule("rewards are finite", _finite_rewards),
    Rule("episodes end", _endings),
    *CAPABILITY_RULES,
    Rule("id round trip", _id_round_trip),
)
"""Rules of a task in JAX."""


class ExternalSubject(Subject):
    """An external environment as a task."""

    def __init__(self, task: ExternalEnv):
        super().__init__()
        self.task = task

    @cached_property
    def first_episodes(self) -> Any:
        """The episodes of the first call of `episodes`."""
        return self.episodes()

    def episodes(self) -> Any:
        """Whole episodes of random play; the same in every call."""

        def act(
            obs: np.ndarray, action_mask: np.ndarray, noise: np.ndarray, hidden: tuple
        ) -> tuple[Array, Array, tuple]:
            action = jnp.argmax(jnp.where(action_mask, noise, -jnp.inf), axis=-1)
            return action, jnp.zeros(obs.shape[:2]), hidden

        short: Any = dataclasses.replace(
            self.task, time_limit=min(self.task.time_limit, MAX_STEPS)
        )
        rounds = -(-MIN_CALLS // (4 * short.time_limit))
        try:
            trajectory = rollout_external(
                short, act, (), jax.random.key(0), episodes=2 * rounds, num_envs=2
            )
        finally:
            short.env_pool.close()
        self.num_calls += int(trajectory.num_steps) + 2 * rounds
        return trajectory._replace(state=())


def _episodes_run(subject: ExternalSubject) -> None:
    # The environment's values are checked where they are read.
    _ = subject.first_episodes


def _reproducible(subject: ExternalSubject) -> None:
    difference = first_difference(subject.first_episodes, subject.episodes())
    require(
        not difference,
        f"the same seed gave two episodes, which differ in {difference}; expected all "
        "randomness to come from the seed of reset",
    )


EXTERNAL_RULES: tuple[Rule, ...] = (
    Rule("sizes", _sizes, is_essential=True),
    Rule("episodes of random play", _episodes_run, is_essential=True),
    Rule("same seed, same episode", _reproducible),
    BENCHMARK_RULE,
    Rule("id round trip", _id_round_trip),
)
"""Rules of an external environment; its values are checked where they are read."""
