"""Files that a user asked for by name: whether they can be written is said early."""

from pathlib import Path

from syntony.errors import InvalidInputError
from syntony.training.atomic_io import atomic_write


def validate_output_path(path: Path, contents: str, example: str) -> None:
    """Raises BadInput if `path` can be no new file.

    Args:
        path: where it is to be.
        kind: what it is to hold, in a word.
        example: what a file in a folder might be called.
    """
    if path.is_dir():
        raise InvalidInputError(
            f"{path} is a folder; expected a file, e.g. {path}/{example}"
        )
    if not path.parent.is_dir():
        where = f"there is no folder {path.parent}"
        raise InvalidInputError(f"{where}; expected one for the {contents}")


def write_file(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all.

    Raises:
        BadInput: that cannot be done here.
    """
    try:
        with atomic_write(path) as file:
            file.write(content)
    except OSError as failure:
        raise write_error(path, failure) from None


def create_folder(folder: Path) -> None:
    """Makes a folder where there is none.

    Raises:
        BadInput: that cannot be done here.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as failure:
        raise write_error(folder, failure) from None


def write_error(path: Path, error: OSError) -> InvalidInputError:
    """Returns what to say of a file or folder that cannot be written."""
    return InvalidInputError(f"cannot write to {path}: {error.strerror}")
