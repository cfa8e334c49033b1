"""Imports of user modules, from Python's path and then from the current folder."""

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
    summarize_exception,
    unknown_name_error,
)

PREFIX = "python:"
"""Start of the name of a user's object: `python:MODULE:NAME`."""


def import_user_module(name: str) -> ModuleType:
    """Imports a user's module.

    Args:
        name: dotted name, e.g. "package.module".

    Raises:
        InvalidInputError: it is not installed, or importing it fails.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        parent, _, last = missing.rpartition(".")
        if parent in sys.modules:
            paths = getattr(sys.modules[parent], "__path__", [])
            siblings = [module.name for module in pkgutil.iter_modules(paths)]
            raise unknown_name_error(f"module of {parent}", last, siblings) from error
        if not all(map(str.isidentifier, missing.split("."))):
            raise InvalidInputError(
                f"there is no module {missing!r}; expected a name like package.module"
            ) from error
        package = missing.partition(".")[0]
        raise InvalidInputError(
            f"module {missing!r} is not installed, nor is it in the current folder; "
            f"to install it: pip install {package}"
        ) from error
    except USER_CODE_EXCEPTIONS as error:
        raise InvalidInputError(
            f"module {name!r} cannot be imported: {summarize_exception(error)}"
        ) from error


def import_module(name: str) -> ModuleType:
    """Imports a module, also from the current folder; raises what importing raises."""
    if os.getcwd() not in sys.path:
        # Last, so that a file in the current folder never shadows a library.
        sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    return importlib.import_module(name)


def import_user_object(
    spec: str,
    kind: str = "object",
    accepts: Callable[[object], bool] | None = None,
    # Of a user's module: its type is known only where `accepts` has told it.
) -> Any:
    """Imports what `python:MODULE:NAME` names.

    Args:
        spec: the name; parameters after a question mark are ignored.
        kind: name for such an object in error messages, e.g. "function".
        accepts: whether an object is of that kind; by default all are.

    Raises:
        InvalidInputError: the name is incomplete, or there is no such module or object,
            or it is of another kind; the message has the nearest name.
    """
    path = spec.removeprefix(PREFIX).partition("?")[0]
    module_name, _, name = path.partition(":")
    if not (module_name and name):
        raise InvalidInputError(
            f"{spec!r} is incomplete; expected {PREFIX}MODULE:NAME of a {kind}"
        )
    module = import_user_module(module_name)
    value = resolve_name(module, name)
    if value is None:
        public = {n: x for n, x in vars(module).items() if not n.startswith("_")}
        valid = [n for n, x in public.items() if accepts is None or accepts(x)]
        raise unknown_name_error(
            f"{kind} of {module_name}", name, valid or ["(it has none)"]
        )
    if accepts is not None and not accepts(value):
        raise InvalidInputError(
            f"{spec} is of type {type(value).__name__}; expected a {kind}"
        )
    return value


def resolve_name(root: object, name: str) -> object:
    """Attribute with a dotted name; None without one."""
    for part in name.split("."):
        root = getattr(root, part, None)
    return root
