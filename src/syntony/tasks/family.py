"""Families of tasks: the ids of a benchmark, with parameters after a question mark."""

from collections.abc import Callable
from typing import NamedTuple

from syntony import identifiers
from syntony.config import FieldValues
from syntony.tasks.task import Task


class TaskFamily(NamedTuple):
    """Tasks that share a config class, and the form of their ids."""

    prefix: str
    """Start of every id of the family."""
    pattern: str
    """Form of an id; square brackets enclose optional parts."""
    example: str
    """A valid id."""
    summary: str
    """The objective of the agents, in one line."""
    parse: Callable[[str], Task]
    """Makes a task from an id, or raises `InvalidInputError`."""


def parse_task_id(id: str, task_class: type) -> tuple[str, FieldValues]:
    """Splits a task's id into the name and the values of its parameters.

    Raises:
        InvalidInputError: a parameter is unknown, given twice, or not a value of the
            type of its default.
    """
    return identifiers.parse_id(id, task_class, "task parameter")
