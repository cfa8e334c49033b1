"""Atomic file replacement: a reader finds the old file or the new one, complete.

No link is followed: neither one with the name of the file, nor within a run folder one
with the name of its folder. A run folder may be from anyone.
"""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from syntony.plugins import is_run_folder

TEMP_NAME = re.compile(r"\.syntony-[0-9a-f]{16}\.part")
"""Name of the temporary file that is written before the rename."""
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
APPENDED_FILE = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
FOLDER = os.O_RDONLY | os.O_DIRECTORY


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Yields a temporary file; renames it to `path` once it is synced to the disk.

    Raises:
        OSError: it cannot be written; `filename` is that of `path`.
    """
    part = f".syntony-{secrets.token_hex(8)}.part"
    with _naming(path), _open_folder(path.parent) as folder:
        try:
            descriptor = os.open(part, NEW_FILE, 0o666, dir_fd=folder)
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(part, dir_fd=folder)
            raise
        os.fsync(folder)


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file by one with this content."""
    with atomic_write(path) as file:
        file.write(content)


def atomic_savez(
    path: Path, arrays: Mapping[str, np.ndarray], comment: bytes = b""
) -> None:
    """Replaces an uncompressed `.npz` file, without pickle.

    Args:
        path: the file.
        arrays: the arrays by name.
        comment: comment of the archive.
    """
    with atomic_write(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
        # An archive ends with its comment and, before that, the length in two bytes.
        file.seek(-2, os.SEEK_END)
        file.write(len(comment).to_bytes(2, "little") + comment)


def append_bytes(path: Path, content: bytes) -> None:
    """Appends to a file, which is created if needed; synced when this returns.

    Raises:
        OSError: it cannot be written, or is a link; `filename` is that of `path`.
    """
    with _naming(path), _open_folder(path.parent) as folder:
        is_new = path.name not in os.listdir(folder)
        with os.fdopen(_open_appended(path.name, folder), "ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            # Else a power failure could take the name of the file.
            os.fsync(folder)


def open_to_append(path: Path) -> BinaryIO:
    """Opens a file to append to, which is created if needed, e.g. for a process.

    Raises:
        OSError: it cannot be written, or is a link; `filename` is that of `path`.
    """
    with _naming(path), _open_folder(path.parent) as folder:
        return os.fdopen(_open_appended(path.name, folder), "ab")


def _open_appended(name: str, folder: int) -> int:
    """Descriptor of a file to append to, relative to that of its folder."""
    descriptor = os.open(name, APPENDED_FILE, 0o666, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a regular file", name)
    return descriptor


def make_folder(path: Path) -> None:
    """Creates a folder if there is none; its name is synced to the disk.

    Raises:
        OSError: it cannot be created, or there is a link or a file of that name.
    """
    with _naming(path), _open_folder(path.parent) as parent:
        with suppress(FileExistsError):
            os.mkdir(path.name, dir_fd=parent)
        os.close(os.open(path.name, FOLDER | os.O_NOFOLLOW, dir_fd=parent))
        # If that fails, so does the first write into the folder, which is told.
        with suppress(OSError):
            os.fsync(parent)


@contextmanager
def _open_folder(path: Path) -> Iterator[int]:
    """Yields the descriptor of a folder."""
    # The folder of a run is named by the user, and may be a link; those in it are not.
    no_follow = os.O_NOFOLLOW if is_run_folder(path.parent) else 0
    descriptor = os.open(path, FOLDER | no_follow)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Context whose OSErrors name the file that was to be written."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
