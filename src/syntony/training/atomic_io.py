"""Files that are replaced whole: a reader sees the old one or the new, never half."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

TEMP_SUFFIX = ".part"
"""What ends the name of a file that is not complete yet."""


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Yields a file to write; once it is safe on the disk it takes the name `path`."""
    part = path.with_name(path.name + TEMP_SUFFIX)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _fsync_directory(path.parent)


def _fsync_directory(directory: Path) -> None:
    """Makes a rename outlast a power cut: the name is the folder's content."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
