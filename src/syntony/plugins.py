"""Imports of user modules, from Python's path and then from the current folder."""

import importlib
import os
import pkgutil
import sys
from typing import Any

from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
    summarize_exception,
    unknown_name_error,
)


def import_user_module(name: str) -> Any:
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


def import_module(name: str) -> Any:
    """Imports a module, also from the current folder; raises what importing raises."""
    if os.getcwd() not in sys.path:
        # Last, so that a file in the current folder never shadows a library.
        sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    return importlib.import_module(name)
