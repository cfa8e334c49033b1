"""Output files named by the user: paths are validated before anything slow runs."""

from collections.abc import Callable
from pathlib import Path

from syntony.errors import InvalidInputError
from syntony.training.atomic_io import atomic_write, make_folder

PrintFn = Callable[[str], None]
"""Prints one line about progress or about something that was left out."""


def validate_output_path(path: Path, contents: str, example: str) -> None:
    """Raises InvalidInputError if no file can be written to `path`.

    Args:
        path: the file to be written.
        contents: what the file will hold, in a word, e.g. "report".
        example: name of such a file in a folder, for the message.
    """
    if path.is_dir():
        raise InvalidInputError(
            f"{path} is a folder; expected a file, e.g. {path}/{example}"
        )
    if not path.parent.is_dir():
        where = f"there is no folder {path.parent}"
        raise InvalidInputError(f"{where}; expected one for the {contents}")


def write_file(path: Path, content: bytes) -> None:
    """Writes a file atomically: whole or not at all.

    Raises:
        InvalidInputError: the file cannot be written.
    """
    try:
        with atomic_write(path) as file:
            file.write(content)
    except OSError as error:
        raise write_error(path, error) from None


def create_folder(folder: Path) -> None:
    """Creates a folder if there is none.

    Raises:
        InvalidInputError: the folder cannot be created.
    """
    try:
        make_folder(folder)
    except OSError as error:
        raise write_error(folder, error) from None


def write_error(path: Path, error: OSError) -> InvalidInputError:
    """Error for a file or folder that cannot be written."""
    return InvalidInputError(f"cannot write to {path}: {error.strerror}")
