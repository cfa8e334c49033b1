"""Printing of results to the terminal."""

import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from typing import TYPE_CHECKING, TextIO

from syntony.errors import visible

if TYPE_CHECKING:
    import rich.console
    import rich.table

MAX_WIDTH = 1000
"""Columns of the console without a terminal: more than any table has."""
MIN_TEXT_WIDTH = 36
"""Fewest columns of a text beside its name; below, it stands in lines of its own."""
COLUMN_GAP = 1
"""Spaces between two columns of a table."""


def stdout_to_stderr() -> AbstractContextManager[TextIO]:
    """Context in which everything that Python code prints goes to stderr.

    Environments of other libraries may print; stdout is for results alone.
    """
    return redirect_stdout(sys.stderr)


def print_visible(text: object) -> None:
    """Prints a line, e.g. a path, whose control characters are visible.

    On a terminal it is wrapped between words; a long path stays one word.
    """
    line = visible(str(text))
    if sys.stdout.isatty() and line.strip():
        line = "\n".join(_wrap_words(line, _columns()))
    print(line)


def _columns() -> int:
    """Columns of the terminal; without one, more than any line has."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else MAX_WIDTH


def make_console() -> "rich.console.Console":
    """Rich console whose text is wrapped at words on a terminal, and nowhere else."""
    # Imported late: --help need not wait for it.
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    return Console(highlight=False, soft_wrap=not is_terminal, width=_columns())


def print_columns(rows: Sequence[tuple[str, str]]) -> None:
    """Prints names and texts in two columns; on a terminal, texts are wrapped.

    A text without a name stands in lines of its own.
    """
    width = _columns()
    names = max((len(name) for name, _ in rows), default=0)
    indent = min(names + 2, width - MIN_TEXT_WIDTH)
    for name, text in rows:
        margin = indent if name else 4
        wrapped = _wrap_words(text, width - margin)
        if len(name) > margin - 2:
            print(visible(name))
            name = ""
        for index, line in enumerate(wrapped):
            print(visible(f"{'' if index else name:{margin}}{line}".rstrip()))


def _wrap_words(text: str, width: int) -> list[str]:
    """Lines of a text; identifiers are not divided at their hyphens."""
    return textwrap.wrap(
        text,
        width,
        break_on_hyphens=False,
        break_long_words=False,
    ) or [""]


def print_table(console: "rich.console.Console", table: "rich.table.Table") -> None:
    """Prints a table; one that is too wide, as several below each other.

    Each of them has the first column, and as many of the others as fit.
    """
    for index, part in enumerate(_split_table(table, console.width)):
        if index:
            console.print()
        console.print(part)


def _split_table(table: "rich.table.Table", width: int) -> "Iterator[rich.table.Table]":
    """Yields tables that fit a width, with the columns of a table."""
    first, *others = table.columns
    group, used = [first], _column_width(first)
    for column in others:
        needed = _column_width(column) + COLUMN_GAP
        if used + needed > width and len(group) > 1:
            yield _table_of(group)
            group, used = [first], _column_width(first)
        group.append(column)
        used += needed
    yield _table_of(group)


def _column_width(column: "rich.table.Column") -> int:
    from rich.cells import cell_len

    return max(cell_len(str(cell)) for cell in [column.header, *column.cells])


def _table_of(columns: "Sequence[rich.table.Column]") -> "rich.table.Table":
    part = make_table([str(column.header) for column in columns])
    for new, old in zip(part.columns, columns, strict=True):
        new.justify = old.justify
    for cells in zip(*(column.cells for column in columns), strict=True):
        part.add_row(*cells)
    return part


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
