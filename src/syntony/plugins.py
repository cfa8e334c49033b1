"""Imports of user modules, from Python's path and then from the current folder."""

import importlib
import importlib.util
import io
import itertools
import os
import pkgutil
import re
import sys
import types
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
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
PACKAGES = {
    "gymnasium": "gymnasium",
    "gymnasium_robotics": "gymnasium-robotics",
    "jaxmarl": '"syntony[jaxmarl]"',
    "jumanji": '"syntony[jumanji]"',
    "lbforaging": '"syntony[envs]"',
    "momaland": "momaland",
    "mpe2": '"syntony[envs]"',
    "pettingzoo": "pettingzoo",
    "rware": '"syntony[envs]"',
    "vmas": "vmas",
}
"""What `pip` installs for a module, of packages that are known."""
MIN_VERSIONS = {"gymnasium": [0, 29]}
"""Oldest versions that work with the NumPy that JAX needs."""
ENV_PACKAGES = ("pettingzoo", "mpe2")
"""Packages whose modules are environments, and are often typed without the package."""
PETTINGZOO_EXTRAS = ("atari", "butterfly", "classic", "sisl")
"""Modules of PettingZoo with an extra of the same name for what they need."""

RUN_FILES = ("settings.json", "metrics.jsonl", "checkpoints")
"""Names of which a folder has one or more if it is a run's."""
STUDY_FILES = ("study.json", "trials.jsonl", "trials")
"""Likewise, of a study's folder."""
KNOWN_LIBRARIES = ("jaxmarl", "jumanji")
"""Libraries that an untrusted run may name: of theirs only environments are made."""
_user_code_is_allowed: ContextVar[bool] = ContextVar("allowed", default=True)

ImportFn = Callable[[str], ModuleType]
"""Imports a module by its dotted name; it may be one of another process."""


def import_user_module(name: str) -> ModuleType:
    """Imports a user's module.

    Args:
        name: dotted name, e.g. "package.module".

    Raises:
        InvalidInputError: it is not installed, or importing it fails, or it is part of
            Python or of a run folder, or user code is not allowed here.
    """
    package = name.partition(".")[0]
    if is_standard_library(package):
        raise InvalidInputError(
            f"module {name!r} is part of Python; expected one of your own, or of an "
            "installed package"
        )
    require_user_code(name)
    _check_version(package)
    try:
        return import_module(name)
    except InvalidInputError:
        raise
    except ModuleNotFoundError as error:
        raise _missing_module_error(name, str(error.name)) from error
    except USER_CODE_EXCEPTIONS as error:
        raise InvalidInputError(
            f"module {name!r} cannot be imported: {summarize_exception(error)}"
        ) from error


@contextmanager
def without_user_code() -> Generator[None, None, None]:
    """Context in which no module or file of a user is used, and no program started."""
    token = _user_code_is_allowed.set(False)
    try:
        yield
    finally:
        _user_code_is_allowed.reset(token)


def require_user_code(name: str) -> None:
    """Raises InvalidInputError if this module or program must not be used here."""
    package = name.partition(".")[0]
    if _user_code_is_allowed.get() or (
        package in KNOWN_LIBRARIES and _is_installed(package)
    ):
        return
    if os.sep not in name and not PathFinder.find_spec(
        package, [*sys.path, os.getcwd()]
    ):
        # Trust would not help.
        raise _missing_module_error(name, package)
    raise InvalidInputError(
        f"{name!r} is code that this run names; expected --trust to use it"
    )


def require_user_files(path: Path) -> None:
    """Raises InvalidInputError if a file that settings name must not be read here."""
    if not _user_code_is_allowed.get():
        raise InvalidInputError(
            f"{path} is a file that this run names; expected --trust to read it"
        )


def is_standard_library(package: str) -> bool:
    """Whether a module of this name is part of Python."""
    return package in sys.stdlib_module_names or package in sys.builtin_module_names


def _is_installed(package: str) -> bool:
    """Whether a package is among the installed ones, not in the current folder."""
    spec = PathFinder.find_spec(package)
    folder = Path(spec.origin).parents[1] if spec and spec.origin else None
    return folder is not None and not Path.cwd().is_relative_to(folder)


def _check_version(package: str) -> None:
    """Raises InvalidInputError where a package is older than what is known to work."""
    if package not in MIN_VERSIONS:
        return
    try:
        installed = metadata.version(package)
    except metadata.PackageNotFoundError:
        return
    numbers = [*map(int, re.findall(r"\d+", installed)[:2])]
    if numbers < MIN_VERSIONS[package]:
        expected = ".".join(map(str, MIN_VERSIONS[package]))
        raise InvalidInputError(
            f"{package} {installed} is installed; expected {expected} or newer, for "
            f"NumPy 2; to install it: pip install -U {package}"
        )


def _missing_module_error(name: str, missing: str) -> InvalidInputError:
    """Error for a module that cannot be imported, as another is missing, or itself.

    Args:
        name: the module that the user typed.
        missing: the module that does not exist.
    """
    parent, _, last = missing.rpartition(".")
    if parent in sys.modules:
        paths = getattr(sys.modules[parent], "__path__", [])
        siblings = [module.name for module in pkgutil.iter_modules(paths)]
        return unknown_name_error(f"module of {parent}", last, siblings)
    if not all(map(str.isidentifier, missing.split("."))):
        return InvalidInputError(
            f"there is no module {missing!r}; expected a name like package.module"
        )
    if command := _install_command(name, missing):
        return InvalidInputError(
            f"module {missing!r} is not installed; to install it: {command}"
        )
    if missing != name.partition(".")[0]:
        return InvalidInputError(f"{name} needs {missing!r}, which is not installed")
    home = next((x for x in ENV_PACKAGES if missing in _submodules(x)), "")
    hint = f"; did you mean '{home}.{name}'?" if home else ""
    return InvalidInputError(
        f"there is no module {missing!r} on Python's path or in this folder{hint}"
    )


def _install_command(name: str, missing: str) -> str:
    """Command that installs a missing module; empty if its package is not known.

    A package of an unknown module's name may be anyone's.
    """
    if name.partition(".")[0] == "pettingzoo" and missing != "pettingzoo":
        family = name.split(".")[1:2]
        if family and family[0] in PETTINGZOO_EXTRAS:
            return f'pip install "pettingzoo[{family[0]}]"'
    package = PACKAGES.get(missing.partition(".")[0], "")
    return f"pip install {package}" if package else ""


def _submodules(package: str) -> set[str]:
    """Names of a package's modules, without importing it; empty without the package."""
    spec = importlib.util.find_spec(package)
    paths = spec.submodule_search_locations if spec else None
    return {module.name for module in pkgutil.iter_modules(paths)} if paths else set()


@contextmanager
def quiet() -> Generator[None, None, None]:
    """Context in which what a library prints and warns of is dropped."""
    # JaxMARL sets the streams to the original ones while it is imported, and prints.
    names = ("stdout", "stderr", "__stdout__", "__stderr__")
    streams = {name: getattr(sys, name) for name in names}
    sys.stdout = sys.__stdout__ = io.StringIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, stream in streams.items():
            setattr(sys, name, stream)


def import_module(name: str) -> ModuleType:
    """Imports a module, also from the current folder; raises what importing raises."""
    if os.getcwd() not in sys.path:
        # Last, so that a file in the current folder never shadows a library.
        sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    parts = name.split(".")
    if not all(parts):
        raise ModuleNotFoundError(name=name)
    # Package by package: importing one runs its code, and finding one within another
    # imports that.
    for package in itertools.accumulate(parts, "{}.{}".format):
        _reject_run_folder(package)
        importlib.import_module(package)
    return sys.modules[name]


def _reject_run_folder(name: str) -> None:
    """Raises InvalidInputError if a module lies in the folder of a run or study.

    Whoever made the run wrote the file. Any folder below the current one is a package
    to Python.
    """
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    places = [] if spec is None else [*(spec.submodule_search_locations or [])]
    if spec is not None and spec.origin and spec.has_location:
        places.append(spec.origin)
    for place in map(Path, places):
        for folder in (place, *place.parents, *place.resolve().parents):
            if is_run_folder(folder):
                raise InvalidInputError(
                    f"module {name!r} is in {folder}, the folder of a run or study; "
                    "expected code outside of such folders"
                )


def is_run_folder(folder: Path) -> bool:
    """Whether a folder has the files of a run or of a study."""
    for first, *others in (RUN_FILES, STUDY_FILES):
        if (folder / first).is_file() and any(
            os.path.lexists(folder / name) for name in others
        ):
            return True
    return False


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
    if _is_part_of_python(value):
        raise InvalidInputError(
            f"{spec} is part of Python; expected a {kind} of your own"
        )
    if accepts is not None and not accepts(value):
        raise InvalidInputError(
            f"{spec} is of type {type(value).__name__}; expected a {kind}"
        )
    return value


def _is_part_of_python(value: object) -> bool:
    """Whether a function or class is one of Python, e.g. `os.system` of a module."""
    kinds = type | types.FunctionType | types.BuiltinFunctionType | ModuleType
    if not isinstance(value, kinds):
        return False
    module = value if isinstance(value, ModuleType) else value.__module__
    name = module.__name__ if isinstance(module, ModuleType) else str(module)
    return is_standard_library(name.partition(".")[0])


def resolve_name(root: object, name: str) -> object:
    """Attribute with a dotted name; None without one."""
    for part in name.split("."):
        root = getattr(root, part, None)
    return root
