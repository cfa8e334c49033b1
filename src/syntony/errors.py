"""What goes wrong by the user's hand, said in one line."""

import difflib
from collections.abc import Iterable


class InvalidInputError(ValueError):
    """Input that cannot be used: what was wrong, what was expected, what to type."""


class EnvironmentStepError(RuntimeError):
    """A world of the user's own failed, or answered what cannot be used."""


USER_CODE_EXCEPTIONS = (Exception, SystemExit)
"""All that code of the user's own may raise: also where it thinks it may exit."""


def summarize_exception(error: BaseException) -> str:
    """Returns an exception's type and message, in one line."""
    message = " ".join(str(error).split())
    return type(error).__name__ + (f": {message}" if message else "")


def unknown_name_error(kind: str, name: str, valid: Iterable[str]) -> InvalidInputError:
    """Returns the error for a name that is none of `valid`, with the nearest one."""
    valid = sorted(valid)
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(valid)}"
    return InvalidInputError(f"unknown {kind} {name!r}; {hint}")
