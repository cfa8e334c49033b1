"""What goes wrong by the user's hand, said in one line."""

import difflib
from collections.abc import Iterable


class BadInput(ValueError):  # noqa: N818  (it reads as what it is)
    """Input that cannot be used: what was wrong, what was expected, what to type."""


class HostFault(RuntimeError):  # noqa: N818  (nor is it an error of ours)
    """A world of the user's own failed, or answered what cannot be used."""


FAILURES = (Exception, SystemExit)
"""All that code of the user's own may raise: also where it thinks it may exit."""


def one_line(error: BaseException) -> str:
    """Returns an exception's type and message, in one line."""
    message = " ".join(str(error).split())
    return type(error).__name__ + (f": {message}" if message else "")


def unknown(kind: str, name: str, valid: Iterable[str]) -> BadInput:
    """Returns the error for a name that is none of `valid`, with the nearest one."""
    valid = sorted(valid)
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(valid)}"
    return BadInput(f"unknown {kind} {name!r}; {hint}")
