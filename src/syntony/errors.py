"""What goes wrong by the user's hand, said in one line."""

import difflib
from collections.abc import Iterable


class BadInput(ValueError):  # noqa: N818  (it reads as what it is)
    """Input that cannot be used: what was wrong, what was expected, what to type."""


def unknown(kind: str, name: str, valid: Iterable[str]) -> BadInput:
    """Returns the error for a name that is none of `valid`, with the nearest one."""
    valid = sorted(valid)
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(valid)}"
    return BadInput(f"unknown {kind} {name!r}; {hint}")
