"""Tasks of the user, written in JAX: `python:MODULE:CLASS?parameter=value`."""

import dataclasses

from syntony import identifiers
from syntony.errors import InvalidInputError
from syntony.plugins import PREFIX, import_user_object
from syntony.tasks.family import TaskFamily
from syntony.tasks.task import Task
from syntony.tasks.validation import validate_task

REQUIRED_ATTRIBUTES = [name for name in vars(Task) if not name.startswith("_")]
"""Attributes that a task must have."""


def parse(id: str) -> Task:
    """Imports the class of a task, makes it with the id's parameters, and validates it.

    Raises:
        InvalidInputError: there is no such module or dataclass, or it is not a task.
    """
    task = make_user_task(id)
    expected = id.partition("?")[0]
    if str(task.id).partition("?")[0] != expected:
        raise InvalidInputError(
            f"{id} has the id {task.id!r}; expected one that starts with {expected!r}"
        )
    validate_task(task)
    return task


def make_user_task(id: str) -> Task:
    """Imports the class of a task and makes it with the id's parameters; see `parse`.

    Raises:
        InvalidInputError: there is no such module or dataclass, or it lacks attributes.
    """
    task_class = import_user_object(id, "dataclass", dataclasses.is_dataclass)
    task = identifiers.make_config(id, task_class, "task parameter")
    if missing := [part for part in REQUIRED_ATTRIBUTES if not hasattr(task, part)]:
        raise InvalidInputError(f"{id} is not a task: it lacks {', '.join(missing)}")
    return task


FAMILY = TaskFamily(
    prefix=PREFIX,
    pattern=f"{PREFIX}{{module}}:{{class}}[?{{parameter}}={{value}}&...]",
    example=f"{PREFIX}your_own_task:Corridor",
    summary="your own task in JAX; this example is in examples/",
    parse=parse,
)
