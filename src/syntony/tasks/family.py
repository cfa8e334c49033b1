"""How tasks are named: a family's ids, and the parameters after a question mark."""

from collections.abc import Callable
from typing import NamedTuple

from syntony import identifiers
from syntony.identifiers import FieldValues
from syntony.tasks.task import Task


class TaskFamily(NamedTuple):
    """Tasks that share a record, and how to type them."""

    prefix: str
    """What every id of the family starts with."""
    pattern: str
    """What an id looks like; square brackets hold what may be left out."""
    example: str
    """A valid id."""
    summary: str
    """What the agents have to do, in one line."""
    parse: Callable[[str], Task]
    """Turns an id into its record, or raises `BadInput`."""


def parse_task_id(id: str, task_class: type) -> tuple[str, FieldValues]:
    """Splits a task's id into the name and the parameters' values.

    Raises:
        BadInput: a parameter is unknown, given twice, or not a value of its kind.
    """
    return identifiers.parse_id(id, task_class, "task parameter")
