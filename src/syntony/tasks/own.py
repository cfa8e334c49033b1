"""Tasks of the user's own, written in JAX: `python:MODULE:RECORD?parameter=number`."""

import dataclasses
import numbers
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key

from syntony.errors import FAILURES, BadInput, one_line, unknown
from syntony.modules import module
from syntony.tasks.family import Family, split
from syntony.tasks.task import Task

PREFIX = "python:"
PARTS = [name for name in vars(Task) if not name.startswith("_")]
"""What a task has to have."""
SIZES = ("agents", "actions", "obs_size", "time_limit")
"""Those of them that count something."""


def parse(id: str) -> Task:
    """Returns the task that `id` names: a record, made with its parameters.

    Raises:
        BadInput: there is no such module or record, or it is no task.
    """
    module_name, _, name = id.removeprefix(PREFIX).partition("?")[0].partition(":")
    if not (module_name and name):
        raise BadInput(f"task {id!r} is incomplete; expected {PREFIX}MODULE:RECORD")
    home = module(module_name)
    records = {n: x for n, x in vars(home).items() if dataclasses.is_dataclass(x)}
    if name not in records:
        known = records or ["(it has none)"]
        raise unknown(f"record of {module_name}", name, known)
    task = _made(id, records[name])
    if lacking := [part for part in PARTS if not hasattr(task, part)]:
        raise BadInput(f"{id} is no task: it lacks {', '.join(lacking)}")
    own = f"{PREFIX}{module_name}:{name}"
    if str(task.id).partition("?")[0] != own:
        raise BadInput(
            f"{id} has the id {task.id!r}; expected one that starts with {own!r}"
        )
    check(task)
    return task


def check(task: Task) -> None:
    """Raises BadInput where a task fails, or answers in other shapes than it should.

    Nothing of it is lived but the first step of one episode.
    """
    for name in SIZES:
        size = getattr(task, name)
        if not isinstance(size, numbers.Integral) or size < 1:
            raise BadInput(
                f"{task.id}: {name} is {size!r}; expected a whole number, at least 1"
            )
    agents, key = task.agents, jax.random.key(0)
    state, obs = _traced(task, "reset", key)
    action = jax.ShapeDtypeStruct((agents,), jnp.int32)
    after, step = _traced(task, "step", key, state, action)
    seen, flag = _form(jnp.float32, agents, task.obs_size), _form(jnp.bool_)
    for name, found, expected in (
        ("obs of reset", obs, seen),
        (
            "what is available",
            _traced(task, "available", state),
            _form(jnp.bool_, agents, task.actions),
        ),
        ("obs of step", step.obs, seen),
        ("reward", step.reward, _form(jnp.float32, agents)),
        ("terminated", step.terminated, flag),
        ("truncated", step.truncated, flag),
    ):
        if (form := _form_of(found)) != expected:
            raise BadInput(f"{task.id}: {name} is {form}; expected {expected}")
    was, now = (list(map(_form_of, jax.tree.leaves(x))) for x in (state, after))
    if was != now:
        raise BadInput(
            f"{task.id}: step makes of the state {', '.join(was)} the state "
            f"{', '.join(now)}; expected the same types and shapes"
        )
    for name, finite in jax.jit(partial(_finite, task))(key).items():
        if not finite:
            raise BadInput(f"{task.id}: {name} is not finite; expected numbers")


def _traced(task: Task, part: str, *arguments: Any) -> Any:
    """Returns the shapes of what a part of the task answers."""
    try:
        return jax.eval_shape(getattr(task, part), *arguments)
    except FAILURES as error:
        # What JAX says goes on for paragraphs.
        what = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise BadInput(f"{task.id}: {part} raised {what}") from error


def _finite(task: Task, key: Key[Array, ""]) -> dict[str, Bool[Array, ""]]:
    """Returns whether what the first step of an episode answers is finite."""
    state, obs = task.reset(key)
    _, step = task.step(key, state, jnp.zeros((task.agents,), jnp.int32))
    answers = {"obs of reset": obs, "obs of step": step.obs, "reward": step.reward}
    return {name: jnp.isfinite(answer).all() for name, answer in answers.items()}


def _form(kind: Any, *shape: int) -> str:
    return f"{jnp.dtype(kind).name}[{','.join(map(str, shape))}]"


def _form_of(array: Any) -> str:
    return _form(jnp.result_type(array), *jnp.shape(array))


def _made(id: str, kind: Any) -> Any:
    _, parameters = split(id, kind)
    try:
        return kind(**parameters)
    except BadInput:
        raise
    except FAILURES as error:
        raise BadInput(f"{id} cannot be made: {one_line(error)}") from error


FAMILY = Family(
    prefix=PREFIX,
    pattern=f"{PREFIX}{{module}}:{{record}}[?{{parameter}}={{value}}&...]",
    example=f"{PREFIX}your_own_task:Corridor",
    summary="a task of your own in JAX; this one is in examples/",
    parse=parse,
)
