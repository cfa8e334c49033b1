"""Files that anybody may have made: bounded, never through a link, never pickled."""

import io
import math
import os
import stat
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from syntony.errors import InvalidInputError

ALLOWED_DTYPE_KINDS = "biufcU"
"""What arrays of ours are made of: numbers, truth values, text."""


@contextmanager
def open_untrusted(path: Path, max_bytes: int) -> Iterator[BinaryIO]:
    """Yields a file to read.

    Args:
        most: bytes that it may have.

    Raises:
        BadInput: it is a link, a pipe or a device, or is larger.
        OSError: it cannot be opened.
    """
    if path.is_symlink():
        # It may lead out of the run's folder, to whatever its reader may read.
        raise InvalidInputError(f"{path} is a symbolic link; expected a file")
    # A pipe would keep us waiting for whoever is to write into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInputError(f"{path} is no regular file")
        if found.st_size > max_bytes:
            size = f"{found.st_size:,} bytes; expected at most {max_bytes:,}"
            raise InvalidInputError(f"{path} is too large: {size}")
        yield file


def read_npz(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """Returns the arrays of an `.npz` file by name, as `numpy.savez` writes them.

    Nothing is allocated before the file is known to hold it: arrays are not compressed
    and no larger together than the file.

    Args:
        most: bytes that the file may have.

    Raises:
        BadInput: it is damaged, is of another kind, or is larger.
        FileNotFoundError: there is none.
    """
    try:
        with open_untrusted(path, max_bytes) as file, zipfile.ZipFile(file) as zipped:
            _validate_zip(zipped.infolist(), os.fstat(file.fileno()).st_size)
            return {
                part.filename.removesuffix(".npy"): _parse_npy(zipped.read(part))
                for part in zipped.infolist()
            }
    except (InvalidInputError, FileNotFoundError):
        raise
    except Exception as failure:
        # A flipped bit may make anything of a zip file, and zipfile any error of that.
        if isinstance(failure, OSError) and failure.filename is not None:
            raise InvalidInputError(
                f"{path} cannot be read: {failure.strerror}"
            ) from None
        # Its kind alone: the message may quote the file.
        raise InvalidInputError(
            f"{path} is damaged ({type(failure).__name__})"
        ) from None


def _validate_zip(members: list[zipfile.ZipInfo], size: int) -> None:
    if any(part.compress_type != zipfile.ZIP_STORED for part in members):
        raise ValueError("compressed")
    if any(part.file_size != part.compress_size for part in members):
        raise ValueError("sizes differ")
    # Parts that overlap hold the same bytes several times.
    if sum(part.file_size for part in members) > size:
        raise ValueError("larger inside than outside")
    if len({part.filename for part in members}) < len(members):
        raise ValueError("names occur twice")


def _parse_npy(content: bytes) -> np.ndarray:
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("another format")
    with warnings.catch_warnings():
        # Headers that NumPy has to guess at are none that it wrote.
        warnings.simplefilter("error")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if (
        dtype.kind not in ALLOWED_DTYPE_KINDS
        or not dtype.isnative
        or dtype.itemsize == 0
    ):
        raise ValueError("another type")
    count, start = math.prod(shape), stream.tell()
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(content) - start:
        raise ValueError("another size")
    flat = np.frombuffer(content, dtype, count, start)
    return flat.reshape(shape, order="F" if fortran else "C")
