"""Atomic file replacement: a reader finds the old file or the new one, complete."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

TEMP_SUFFIX = ".part"
"""Suffix of the temporary file that is written before the rename."""


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Yields a temporary file; renames it to `path` once it is synced to the disk."""
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


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file by one with this content."""
    with atomic_write(path) as file:
        file.write(content)


def atomic_savez(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replaces an uncompressed `.npz` file, without pickle."""
    with atomic_write(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def _fsync_directory(directory: Path) -> None:
    """Syncs a directory, so that a rename in it survives a power failure."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
