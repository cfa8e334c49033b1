"""Files that a user asked for by name: whether they can be written is said early."""

from pathlib import Path

from syntony.errors import BadInput
from syntony.run.atomic import replacing


def refuse_unfit(path: Path, kind: str, example: str) -> None:
    """Raises BadInput if `path` can be no new file.

    Args:
        path: where it is to be.
        kind: what it is to hold, in a word.
        example: what a file in a folder might be called.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder; expected a file, e.g. {path}/{example}")
    if not path.parent.is_dir():
        where = f"there is no folder {path.parent}"
        raise BadInput(f"{where}; expected one for the {kind}")


def write(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all.

    Raises:
        BadInput: that cannot be done here.
    """
    try:
        with replacing(path) as file:
            file.write(content)
    except OSError as failure:
        raise cannot_write(path, failure) from None


def make(folder: Path) -> None:
    """Makes a folder where there is none.

    Raises:
        BadInput: that cannot be done here.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as failure:
        raise cannot_write(folder, failure) from None


def cannot_write(path: Path, failure: OSError) -> BadInput:
    """Returns what to say of a file or folder that cannot be written."""
    return BadInput(f"cannot write to {path}: {failure.strerror}")
