"""The program as the user can call it, for commands that are printed to be typed."""

import os
import shutil
import sys

NAME = "syntony"


def program_name() -> str:
    """How this program is called here: `syntony`, or its path if it is not on PATH."""
    called = sys.argv[0] if sys.argv else ""
    is_ours = os.path.basename(called) == NAME and os.path.isfile(called)
    if not is_ours or _same_file(shutil.which(NAME), called):
        return NAME
    path = os.path.relpath(called)
    return called if path.startswith(os.pardir) else path


def _same_file(path: str | None, other: str) -> bool:
    return path is not None and os.path.realpath(path) == os.path.realpath(other)
