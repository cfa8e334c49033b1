"""Trust: whether the modules, programs and files that settings name may be used.

A run of this machine may use them, one from elsewhere only if the user says so. What
was trained here is known by a list in the user's state folder, not by the run: one line
for each combination of settings and of the files of the modules that they name. A
folder cannot put itself on the list, a copy of a known run stays known, and another
module of the same name is another one.
"""

import hashlib
import importlib.machinery
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from syntony.errors import UntrustedCodeError

CODE_FIELDS = ("system", "task", "channel", "settings")
"""Entries of `settings.json` that may name code."""
CODE_ID = re.compile(r"(?:python:(?!<)|pettingzoo:|gymnasium:|batched:)(\w*)")
"""Start of an id that imports a module; its group is the package of the module."""
FILE_ID = re.compile(r"codebook:(.*)", re.DOTALL)
"""Id that reads a file outside of the run; its group is the path."""
PYTHON_PARAMETER = "python="
"""Parameter of an id that starts another Python."""
MAX_LIST_BYTES = 2**26
"""Most bytes of the list of what was trained here: a million lines."""
MAX_LISTED = 3
"""Most ids that a message lists."""


def named_code(settings: Mapping[str, object]) -> list[str]:
    """Ids in a run's settings that import modules, start programs or read files.

    Args:
        settings: content of `settings.json`; it may be anyone's.
    """
    texts = _iter_texts([settings.get(name) for name in CODE_FIELDS])
    return [*dict.fromkeys(text for text in texts if _is_code(text))]


def check_trust(path: Path, settings: Mapping[str, object], *, trust: bool) -> bool:
    """Whether the modules that a run names may be imported.

    Args:
        path: the run folder, for the message.
        settings: content of its `settings.json`.
        trust: whether the user trusts the run.

    Returns:
        True; or False where the run names no code, so that none is to be imported.

    Raises:
        UntrustedCodeError: it names code and is not trusted.
    """
    names = named_code(settings)
    if names and not trust and not was_trained_here(settings):
        listed = ", ".join(names[:MAX_LISTED])
        more = f" and {len(names) - MAX_LISTED} more" if names[MAX_LISTED:] else ""
        raise UntrustedCodeError(
            f"{path} names {_kind(names)} and was not trained on this machine: "
            f"{listed}{more}; where you know that {_kind(names)}, add --trust (in "
            "Python trust=True)"
        )
    return bool(names)


def was_trained_here(settings: Mapping[str, object]) -> bool:
    """Whether a run of these settings, with the same modules, was trained here."""
    try:
        with _list_path().open("rb") as file:
            known = file.read(MAX_LIST_BYTES).split()
    except OSError:
        return False
    return _fingerprint(settings).encode() in known


def remember_trained(settings: Mapping[str, object]) -> None:
    """Adds a run that is trained here to the list, if it names code."""
    if not named_code(settings) or was_trained_here(settings):
        return
    path = _list_path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            # One write: other processes may append at the same time.
            file.write(f"{_fingerprint(settings)}\n".encode())
    except OSError:
        # Then the run is not known here, and takes --trust.
        return


def _list_path() -> Path:
    """List of what was trained here, in the user's state folder."""
    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "syntony" / "trained-here"


def _fingerprint(settings: Mapping[str, object]) -> str:
    """SHA-256 of the settings that are passed to code, and of where that code is."""
    passed = {name: settings.get(name) for name in CODE_FIELDS}
    places = sorted({x for name in named_code(settings) for x in _code_places(name)})
    content = json.dumps([passed, places], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _code_places(id: str) -> Iterator[str]:
    """Yields the file of each package that an id names."""
    if match := FILE_ID.fullmatch(id):
        yield os.path.realpath(match[1])
    if PYTHON_PARAMETER in id:
        # Another Python searches the current folder.
        yield os.path.realpath(os.curdir)
    search = [*sys.path, os.getcwd()]
    for match in CODE_ID.finditer(id):
        spec = importlib.machinery.PathFinder.find_spec(match[1], search)
        locations = [] if spec is None else [*(spec.submodule_search_locations or [])]
        origin = spec.origin if spec is not None else None
        place = origin or next(iter(locations), None)
        yield match[1] if place is None else os.path.realpath(place)


def _is_code(text: str) -> bool:
    return bool(CODE_ID.search(text) or FILE_ID.fullmatch(text))


def _kind(names: list[str]) -> str:
    """Word for what ids name, in a message."""
    return "files" if all(map(FILE_ID.fullmatch, names)) else "code"


def _iter_texts(value: object) -> Iterator[str]:
    """Yields all texts in a JSON value, without recursion: it may be deeply nested."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting += [*value.values()]
        elif isinstance(value, list | tuple):
            waiting += [*value]
