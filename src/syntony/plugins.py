"""Modules of the user's own, found as Python finds them, then in the current folder."""

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
    """Returns the module of that name.

    Raises:
        BadInput: it is not installed, or it cannot be imported.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        home, _, last = missing.rpartition(".")
        if home in sys.modules:
            paths = getattr(sys.modules[home], "__path__", [])
            siblings = [found.name for found in pkgutil.iter_modules(paths)]
            raise unknown_name_error(f"module of {home}", last, siblings) from error
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
    """Returns the module of that name, or raises whatever importing it raises."""
    if os.getcwd() not in sys.path:
        # Last, so that no file of the user's takes the place of a library.
        sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    return importlib.import_module(name)
