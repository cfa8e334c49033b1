"""Tasks of the user, written in JAX: `python:MODULE:CLASS?parameter=value`."""

import dataclasses
import numbers
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key

from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
    summarize_exception,
)
from syntony.plugins import PREFIX, import_user_object
from syntony.tasks.family import TaskFamily, parse_task_id
from syntony.tasks.task import Task

REQUIRED_ATTRIBUTES = [name for name in vars(Task) if not name.startswith("_")]
"""Attributes that a task must have."""
SIZE_ATTRIBUTES = ("num_agents", "num_actions", "obs_dim", "time_limit")
"""Those attributes that are positive whole numbers."""


def parse(id: str) -> Task:
    """Imports the class of a task, makes it with the id's parameters, and validates it.

    Raises:
        InvalidInputError: there is no such module or dataclass, or it is not a task.
    """
    task_class = import_user_object(id, "dataclass", dataclasses.is_dataclass)
    task = _instantiate(id, task_class)
    if missing := [part for part in REQUIRED_ATTRIBUTES if not hasattr(task, part)]:
        raise InvalidInputError(f"{id} is not a task: it lacks {', '.join(missing)}")
    expected = id.partition("?")[0]
    if str(task.id).partition("?")[0] != expected:
        raise InvalidInputError(
            f"{id} has the id {task.id!r}; expected one that starts with {expected!r}"
        )
    validate_task(task)
    return task


def validate_task(task: Task) -> None:
    """Checks a task's sizes, and the shapes, types and values of its first step.

    Raises:
        InvalidInputError: one of them is invalid, or the task raised an exception.
    """
    for name in SIZE_ATTRIBUTES:
        size = getattr(task, name)
        if not isinstance(size, numbers.Integral) or size < 1:
            raise InvalidInputError(
                f"{task.id}: {name} is {size!r}; expected a whole number, at least 1"
            )
    key = jax.random.key(0)
    _validate_shapes(task, key)
    for name, finite in jax.jit(partial(_finite_outputs, task))(key).items():
        if not finite:
            raise InvalidInputError(
                f"{task.id}: {name} is not finite; expected numbers"
            )


def _validate_shapes(task: Task, key: Key[Array, ""]) -> None:
    agents = task.num_agents
    state, obs = _eval_shape(task, "reset", key)
    action = jax.ShapeDtypeStruct((agents,), jnp.int32)
    next_state, step = _eval_shape(task, "step", key, state, action)
    action_mask = _eval_shape(task, "action_mask", state)
    obs_type = _format_shape_dtype(jnp.float32, agents, task.obs_dim)
    mask_type = _format_shape_dtype(jnp.bool_, agents, task.num_actions)
    for name, value, expected in (
        ("obs of reset", obs, obs_type),
        ("action_mask", action_mask, mask_type),
        ("obs of step", step.obs, obs_type),
        ("reward", step.reward, _format_shape_dtype(jnp.float32, agents)),
        ("terminated", step.terminated, _format_shape_dtype(jnp.bool_)),
        ("truncated", step.truncated, _format_shape_dtype(jnp.bool_)),
    ):
        if (actual := _shape_dtype_of(value)) != expected:
            raise InvalidInputError(
                f"{task.id}: {name} is {actual}; expected {expected}"
            )
    before, after = (
        list(map(_shape_dtype_of, jax.tree.leaves(x))) for x in (state, next_state)
    )
    if before != after:
        raise InvalidInputError(
            f"{task.id}: step changes the state from {', '.join(before)} to "
            f"{', '.join(after)}; expected the same types and shapes"
        )


def _eval_shape(task: Task, method: str, *args: Any) -> Any:
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


def _format_shape_dtype(dtype: Any, *shape: int) -> str:
    name = getattr(dtype, "name", None) or jnp.dtype(dtype).name
    return f"{name}[{','.join(map(str, shape))}]"


def _shape_dtype_of(value: Any) -> str:
    # The type of a random key is none of NumPy's.
    if isinstance(value, jax.ShapeDtypeStruct):
        return _format_shape_dtype(value.dtype, *value.shape)
    return type(value).__name__


def _instantiate(id: str, task_class: Any) -> Any:
    _, parameters = parse_task_id(id, task_class)
    try:
        return task_class(**parameters)
    except InvalidInputError:
        raise
    except USER_CODE_EXCEPTIONS as error:
        raise InvalidInputError(
            f"{id} cannot be constructed: {summarize_exception(error)}"
        ) from error


FAMILY = TaskFamily(
    prefix=PREFIX,
    pattern=f"{PREFIX}{{module}}:{{class}}[?{{parameter}}={{value}}&...]",
    example=f"{PREFIX}your_own_task:Corridor",
    summary="your own task in JAX; this example is in examples/",
    parse=parse,
)
