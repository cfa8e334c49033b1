"""Tables on the screen."""

from typing import Any

WIDEST = 1000


def console() -> Any:
    """Returns a console that cuts off no number.

    A terminal narrower than a table wraps its lines.
    """
    # Late: --help need not wait for it.
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, width=WIDEST)
