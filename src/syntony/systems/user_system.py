"""A user's own system: a class in a module, named by `python:MODULE:CLASS`."""

import dataclasses
import functools
from collections.abc import Callable
from typing import cast

import jax

from syntony.config import config_fields
from syntony.errors import (
    InvalidInputError,
    raising_invalid_input,
)
from syntony.plugins import (
    PREFIX,
    import_user_module,
    import_user_object,
    resolve_name,
)
from syntony.systems.system import System

REQUIRED_ATTRIBUTES = [name for name in vars(System) if not name.startswith("_")]
"""Attributes that a system must have."""
SystemClass = Callable[..., System]
"""Class of a system; it takes its settings as keyword arguments."""
DECORATED = "a class with the decorator @syntony.pytree_dataclass"


def user_system_class(id: str) -> SystemClass:
    """Class that an id names.

    Args:
        id: `python:MODULE:CLASS`; the module is on Python's path or in the current
            folder.

    Raises:
        InvalidInputError: there is no such module or class, or the class is not that
            of a system.
    """
    cls = import_user_object(id, "system", _is_own_class)
    if not dataclasses.is_dataclass(cls):
        raise InvalidInputError(f"{id} is no dataclass; expected {DECORATED}")
    missing = [name for name in REQUIRED_ATTRIBUTES if not hasattr(cls, name)]
    missing += sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise InvalidInputError(f"{id} is not a system: it lacks {', '.join(missing)}")
    return cast(SystemClass, cls)


def _is_own_class(value: object) -> bool:
    # A user's module also has the names that it imports from libraries.
    libraries = ("syntony.", "jaxtyping", "typing", "collections")
    return isinstance(value, type) and not value.__module__.startswith(libraries)


def make_user_system(
    id: str, task_or_channel: object, channel: object = None
) -> System:
    """User's system with the default values of its fields.

    Args:
        id: `python:MODULE:CLASS`.
        task_or_channel: value of the field `task` or `channel`, if the class has one.
        channel: value of the field `channel` of a class that has both.

    Raises:
        InvalidInputError: there is no such system, or it cannot be made.
    """
    cls = user_system_class(id)
    names = [field.name for field in config_fields(cast(type, cls))]
    given = [name for name in ("task", "channel") if name in names]
    with raising_invalid_input(
        f"{id} cannot be constructed:",
        "a default for every field but the task or channel",
    ):
        values = dict.fromkeys(given[:1], task_or_channel)
        if channel is not None and given[1:]:
            values["channel"] = channel
        system = cls(**values)
    if jax.tree_util.all_leaves([system]):
        raise InvalidInputError(f"{id} is no pytree; expected {DECORATED}")
    return system


@functools.cache
def user_system_id(cls: type) -> str:
    """Id from which `user_system_class` imports a class again.

    Raises:
        InvalidInputError: it cannot be imported by a name.
    """
    module, name = cls.__module__, cls.__qualname__
    if module == "__main__":
        raise InvalidInputError(
            f"{name} is defined in the program itself, from which resume and evaluate "
            f"cannot import it; expected it in a module, e.g. my_algorithm.py, and "
            f"`from my_algorithm import {name}`"
        )
    if resolve_name(import_user_module(module), name) is not cls:
        raise InvalidInputError(
            f"{module} has no {name}, so that resume and evaluate cannot import this "
            "class; expected it at the top level of a module"
        )
    return f"{PREFIX}{module}:{name}"
