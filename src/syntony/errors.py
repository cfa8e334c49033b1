"""Exceptions of invalid input and of user code."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class InvalidInputError(ValueError):
    """Input that cannot be used: what was wrong, what was expected, what to type."""


class EnvironmentStepError(RuntimeError):
    """Failure of a user's environment, or a value from it that cannot be used."""


USER_CODE_EXCEPTIONS = (Exception, SystemExit)
"""Everything that user code may raise, `sys.exit()` included."""


def summarize_exception(error: BaseException) -> str:
    """Type and message of an exception, in one line."""
    message = " ".join(str(error).split())
    return type(error).__name__ + (f": {message}" if message else "")


@contextmanager
def raising_invalid_input(name: str) -> Iterator[None]:
    """Context that turns an exception of user code into an `InvalidInputError`.

    Args:
        name: what is called, e.g. "python:my_task:Maze: render".
    """
    try:
        yield
    except InvalidInputError:
        raise
    except USER_CODE_EXCEPTIONS as error:
        raise InvalidInputError(
            f"{name} raised {summarize_exception(error)}"
        ) from error


def unknown_name_error(kind: str, name: str, valid: Iterable[str]) -> InvalidInputError:
    """Error for a name that is not in `valid`, with the nearest valid name.

    Args:
        kind: what the name stands for, e.g. "preset".
        name: the unknown name.
        valid: all known names; listed in the message if none is near.
    """
    valid = sorted(valid)
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(valid)}"
    return InvalidInputError(f"unknown {kind} {name!r}; {hint}")
