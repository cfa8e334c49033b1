"""Tasks of the user's own, written in JAX: `python:MODULE:RECORD?parameter=number`."""

import dataclasses
from typing import Any

from syntony.errors import BadInput, one_line, unknown
from syntony.modules import module
from syntony.tasks.family import split
from syntony.tasks.task import Task

PREFIX = "python:"
PARTS = [name for name in vars(Task) if not name.startswith("_")]
"""What a task has to have."""


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
    return task


def _made(id: str, kind: Any) -> Any:
    _, parameters = split(id, kind)
    try:
        return kind(**parameters)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"{id} cannot be made: {one_line(error)}") from error
