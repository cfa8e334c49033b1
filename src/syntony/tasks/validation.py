"""Validation of tasks: sizes, and shapes, types and values of the first step."""

import numbers
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Key

from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
    summarize_exception,
)
from syntony.tasks.task import Task, TimeStep

SIZE_ATTRIBUTES = ("num_agents", "num_actions", "obs_dim", "time_limit")
"""Attributes of a task that are positive whole numbers."""


def validate_task(task: Task) -> None:
    """Checks a task's sizes, and the shapes, types and values of its first step.

    Raises:
        InvalidInputError: one of them is invalid, or the task raised an exception.
    """
    validate_sizes(task)
    validate_shapes(task)
    validate_state_types(task)
    key = jax.random.key(0)
    for name, finite in jax.jit(partial(_finite_outputs, task))(key).items():
        if not finite:
            raise InvalidInputError(
                f"{task.id}: {name} is not finite; expected numbers"
            )


def validate_sizes(task: Task) -> None:
    """Checks the numbers of agents and actions, the observations' length, and T.

    Raises:
        InvalidInputError: one of them is no positive whole number.
    """
    for name in SIZE_ATTRIBUTES:
        size = getattr(task, name)
        if not isinstance(size, numbers.Integral) or size < 1:
            raise InvalidInputError(
                f"{task.id}: {name} is {size!r}; expected a whole number, at least 1"
            )


class TaskShapes(NamedTuple):
    """Shapes and types of the values that a task's methods return."""

    state: object
    obs: object
    next_state: object
    step: TimeStep
    action_mask: object


def task_shapes(task: Task) -> TaskShapes:
    """Shapes and types of the values that a task's methods return.

    Raises:
        InvalidInputError: a method raised an exception.
    """
    key = jax.random.key(0)
    state, obs = _eval_shape(task, "reset", key)
    action = jax.ShapeDtypeStruct((task.num_agents,), jnp.int32)
    next_state, step = _eval_shape(task, "step", key, state, action)
    return TaskShapes(
        state, obs, next_state, step, _eval_shape(task, "action_mask", state)
    )


def validate_shapes(task: Task) -> None:
    """Checks the shapes and types of observations, masks, rewards and endings.

    Raises:
        InvalidInputError: one of them is not as `Task` says, or a method raised an
            exception.
    """
    shapes, agents = task_shapes(task), task.num_agents
    step = shapes.step
    obs_type = _format_shape_dtype(jnp.float32, agents, task.obs_dim)
    mask_type = _format_shape_dtype(jnp.bool_, agents, task.num_actions)
    for name, value, expected in (
        ("obs of reset", shapes.obs, obs_type),
        ("action_mask", shapes.action_mask, mask_type),
        ("obs of step", step.obs, obs_type),
        ("reward", step.reward, _format_shape_dtype(jnp.float32, agents)),
        ("terminated", step.terminated, _format_shape_dtype(jnp.bool_)),
        ("truncated", step.truncated, _format_shape_dtype(jnp.bool_)),
    ):
        if (actual := _shape_dtype_of(value)) != expected:
            raise InvalidInputError(
                f"{task.id}: {name} is {actual}; expected {expected}"
            )


def validate_state_types(task: Task) -> None:
    """Checks that a step keeps the shapes and types of the state.

    Raises:
        InvalidInputError: it changes one, or a method raised an exception.
    """
    shapes = task_shapes(task)
    before, after = (
        list(map(_shape_dtype_of, jax.tree.leaves(x)))
        for x in (shapes.state, shapes.next_state)
    )
    if before != after:
        raise InvalidInputError(
            f"{task.id}: step changes the state from {', '.join(before)} to "
            f"{', '.join(after)}; expected the same types and shapes"
        )


# Of any type: the method is a user's, and the results are what is checked.
def _eval_shape(task: Task, method: str, *args: object) -> Any:
    """Shapes and types of the values that a method of the task returns."""
    try:
        return jax.eval_shape(getattr(task, method), *args)
    except USER_CODE_EXCEPTIONS as error:
        cause = summarize_exception(error)
        raise InvalidInputError(f"{task.id}: {method} raised {cause}") from error


def _finite_outputs(task: Task, key: Key[Array, ""]) -> dict[str, Bool[Array, ""]]:
    """Whether the observations and rewards of an episode's first step are finite."""
    state, obs = task.reset(key)
    _, step = task.step(key, state, jnp.zeros((task.num_agents,), jnp.int32))
    outputs = {"obs of reset": obs, "obs of step": step.obs, "reward": step.reward}
    return {name: jnp.isfinite(value).all() for name, value in outputs.items()}


def _format_shape_dtype(dtype: object, *shape: int) -> str:
    # The type of a random key is no `DTypeLike`.
    name = getattr(dtype, "name", None) or jnp.dtype(cast(DTypeLike, dtype)).name
    return f"{name}[{','.join(map(str, shape))}]"


def _shape_dtype_of(value: object) -> str:
    # The type of a random key is none of NumPy's.
    if isinstance(value, jax.ShapeDtypeStruct):
        return _format_shape_dtype(value.dtype, *value.shape)
    return type(value).__name__
