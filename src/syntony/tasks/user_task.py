"""Tasks of the user's own, written in JAX: `python:MODULE:RECORD?parameter=number`."""

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
    unknown_name_error,
)
from syntony.plugins import import_user_module
from syntony.tasks.family import TaskFamily, parse_task_id
from syntony.tasks.task import Task

PREFIX = "python:"
REQUIRED_ATTRIBUTES = [name for name in vars(Task) if not name.startswith("_")]
"""What a task has to have."""
SIZE_ATTRIBUTES = ("num_agents", "num_actions", "obs_dim", "time_limit")
"""Those of them that count something."""


def parse(id: str) -> Task:
    """Returns the task that `id` names: a record, made with its parameters.

    Raises:
        BadInput: there is no such module or record, or it is no task.
    """
    module_name, _, name = id.removeprefix(PREFIX).partition("?")[0].partition(":")
    if not (module_name and name):
        raise InvalidInputError(
            f"task {id!r} is incomplete; expected {PREFIX}MODULE:RECORD"
        )
    home = import_user_module(module_name)
    records = {n: x for n, x in vars(home).items() if dataclasses.is_dataclass(x)}
    if name not in records:
        known = records or ["(it has none)"]
        raise unknown_name_error(f"record of {module_name}", name, known)
    task = _instantiate(id, records[name])
    if lacking := [part for part in REQUIRED_ATTRIBUTES if not hasattr(task, part)]:
        raise InvalidInputError(f"{id} is no task: it lacks {', '.join(lacking)}")
    own = f"{PREFIX}{module_name}:{name}"
    if str(task.id).partition("?")[0] != own:
        raise InvalidInputError(
            f"{id} has the id {task.id!r}; expected one that starts with {own!r}"
        )
    validate_task(task)
    return task


def validate_task(task: Task) -> None:
    """Raises BadInput where a task fails, or answers in other shapes than it should.

    Nothing of it is lived but the first step of one episode.
    """
    for name in SIZE_ATTRIBUTES:
        size = getattr(task, name)
        if not isinstance(size, numbers.Integral) or size < 1:
            raise InvalidInputError(
                f"{task.id}: {name} is {size!r}; expected a whole number, at least 1"
            )
    agents, key = task.num_agents, jax.random.key(0)
    state, obs = _eval_shape(task, "reset", key)
    action = jax.ShapeDtypeStruct((agents,), jnp.int32)
    after, step = _eval_shape(task, "step", key, state, action)
    seen, flag = (
        _format_shape_dtype(jnp.float32, agents, task.obs_dim),
        _format_shape_dtype(jnp.bool_),
    )
    for name, found, expected in (
        ("obs of reset", obs, seen),
        (
            "action_mask",
            _eval_shape(task, "action_mask", state),
            _format_shape_dtype(jnp.bool_, agents, task.num_actions),
        ),
        ("obs of step", step.obs, seen),
        ("reward", step.reward, _format_shape_dtype(jnp.float32, agents)),
        ("terminated", step.terminated, flag),
        ("truncated", step.truncated, flag),
    ):
        if (form := _shape_dtype_of(found)) != expected:
            raise InvalidInputError(f"{task.id}: {name} is {form}; expected {expected}")
    was, now = (list(map(_shape_dtype_of, jax.tree.leaves(x))) for x in (state, after))
    if was != now:
        raise InvalidInputError(
            f"{task.id}: step makes of the state {', '.join(was)} the state "
            f"{', '.join(now)}; expected the same types and shapes"
        )
    for name, finite in jax.jit(partial(_finite_outputs, task))(key).items():
        if not finite:
            raise InvalidInputError(
                f"{task.id}: {name} is not finite; expected numbers"
            )


def _eval_shape(task: Task, method: str, *args: Any) -> Any:
    """Returns the shapes of what a part of the task answers."""
    try:
        return jax.eval_shape(getattr(task, method), *args)
    except USER_CODE_EXCEPTIONS as error:
        # What JAX says goes on for paragraphs.
        what = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise InvalidInputError(f"{task.id}: {method} raised {what}") from error


def _finite_outputs(task: Task, key: Key[Array, ""]) -> dict[str, Bool[Array, ""]]:
    """Returns whether what the first step of an episode answers is finite."""
    state, obs = task.reset(key)
    _, step = task.step(key, state, jnp.zeros((task.num_agents,), jnp.int32))
    answers = {"obs of reset": obs, "obs of step": step.obs, "reward": step.reward}
    return {name: jnp.isfinite(answer).all() for name, answer in answers.items()}


def _format_shape_dtype(dtype: Any, *shape: int) -> str:
    return f"{jnp.dtype(dtype).name}[{','.join(map(str, shape))}]"


def _shape_dtype_of(array: Any) -> str:
    return _format_shape_dtype(jnp.result_type(array), *jnp.shape(array))


def _instantiate(id: str, task_class: Any) -> Any:
    _, parameters = parse_task_id(id, task_class)
    try:
        return task_class(**parameters)
    except InvalidInputError:
        raise
    except USER_CODE_EXCEPTIONS as error:
        raise InvalidInputError(
            f"{id} cannot be made: {summarize_exception(error)}"
        ) from error


FAMILY = TaskFamily(
    prefix=PREFIX,
    pattern=f"{PREFIX}{{module}}:{{record}}[?{{parameter}}={{value}}&...]",
    example=f"{PREFIX}your_own_task:Corridor",
    summary="a task of your own in JAX; this one is in examples/",
    parse=parse,
)
