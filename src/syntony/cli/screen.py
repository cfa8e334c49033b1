"""Results on the screen."""

import sys
from contextlib import AbstractContextManager, redirect_stdout
from typing import Any, TextIO

MAX_WIDTH = 1000


def stdout_to_stderr() -> AbstractContextManager[TextIO]:
    """Returns a context in which all that Python code prints goes to stderr.

    An environment may say what it likes; stdout is for results alone.
    """
    return redirect_stdout(sys.stderr)


def make_console() -> Any:
    """Returns a console that cuts off no number.

    A terminal narrower than a table wraps its lines.
    """
    # Late: --help need not wait for it.
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, width=MAX_WIDTH)
