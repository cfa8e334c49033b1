"""Files that are replaced whole: a reader sees the old one or the new, never half."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PART = ".part"
"""What ends the name of a file that is not complete yet."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yields a file to write; once it is safe on the disk it takes the name `path`."""
    part = path.with_name(path.name + PART)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes a rename outlast a power cut: the name is the folder's content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
