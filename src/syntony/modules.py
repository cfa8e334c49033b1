"""Modules of the user's own, found as Python finds them, then in the current folder."""

import importlib
import os
import pkgutil
import sys
from typing import Any

from syntony.errors import FAILURES, BadInput, one_line, unknown


def module(name: str) -> Any:
    """Returns the module of that name.

    Raises:
        BadInput: it is not installed, or it cannot be imported.
    """
    try:
        return imported(name)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        home, _, last = missing.rpartition(".")
        if home in sys.modules:
            paths = getattr(sys.modules[home], "__path__", [])
            siblings = [found.name for found in pkgutil.iter_modules(paths)]
            raise unknown(f"module of {home}", last, siblings) from error
        if not all(map(str.isidentifier, missing.split("."))):
            raise BadInput(
                f"there is no module {missing!r}; expected a name like package.module"
            ) from error
        package = missing.partition(".")[0]
        raise BadInput(
            f"module {missing!r} is not installed, nor is it in the current folder; "
            f"to install it: pip install {package}"
        ) from error
    except FAILURES as error:
        raise BadInput(
            f"module {name!r} cannot be imported: {one_line(error)}"
        ) from error


def imported(name: str) -> Any:
    """Returns the module of that name, or raises whatever importing it raises."""
    if os.getcwd() not in sys.path:
        # Last, so that no file of the user's takes the place of a library.
        sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    return importlib.import_module(name)
