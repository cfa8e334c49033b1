"""Printing of results to the terminal."""

import sys
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from typing import TYPE_CHECKING, TextIO

from syntony.errors import visible

if TYPE_CHECKING:
    import rich.console
    import rich.table

MAX_WIDTH = 1000
"""Columns of the console: more than any table has."""


def stdout_to_stderr() -> AbstractContextManager[TextIO]:
    """Context in which everything that Python code prints goes to stderr.

    Environments of other libraries may print; stdout is for results alone.
    """
    return redirect_stdout(sys.stderr)


def print_visible(text: object) -> None:
    """Prints a line, e.g. a path, whose control characters are visible."""
    print(visible(str(text)))


def make_console() -> "rich.console.Console":
    """Rich console that truncates no number: narrow terminals wrap its lines."""
    # Imported late: --help need not wait for it.
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, width=MAX_WIDTH)


def make_table(
    header: Sequence[str], text_columns: Collection[str] = ("",)
) -> "rich.table.Table":
    """Rich table without lines, its cells on one line and right-aligned.

    Args:
        header: title of every column.
        text_columns: titles of the columns that are left-aligned.
    """
    from rich.table import Table

    table = Table(*header, box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
        column.justify = "left" if column.header in text_columns else "right"
    return table
