"""Reading of untrusted files: bounded size, no symbolic links, no pickle."""

import io
import json
import math
import os
import stat
import tomllib
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

import numpy as np

from syntony.errors import InvalidInputError, visible

ALLOWED_DTYPE_KINDS = "biufcU"
"""NumPy dtype kinds that are read: numbers, booleans, text."""
MAX_DEPTH = 20
"""Most lists and objects within one another in JSON."""
MAX_DIGITS = 20
"""Most digits of an integer in JSON."""
JsonObject = dict[str, object]
"""Object of a JSON file; its values are text, numbers, booleans, None, lists, objects.

They may be anyone's: their types are checked where they are used.
"""


@runtime_checkable
class BinaryReader(Protocol):
    """An open file, or a member of an archive."""

    def read(self, n: int = -1, /) -> bytes:
        """The next bytes, at most n of them; all without n."""
        ...


@contextmanager
def open_untrusted(path: Path, max_bytes: int) -> Iterator[BinaryIO]:
    """Yields a file to read.

    Args:
        max_bytes: most bytes that the file may have.

    Raises:
        InvalidInputError: the file is a link, a pipe or a device, or is too large.
        OSError: the file cannot be opened.
    """
    if path.is_symlink():
        # It may point outside the run folder, to any file that the user can read.
        raise InvalidInputError(f"{path} is a symbolic link; expected a file")
    # Without O_NONBLOCK opening a pipe would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInputError(f"{path} is not a regular file")
        if status.st_size > max_bytes:
            size = f"{status.st_size:,} bytes; expected at most {max_bytes:,}"
            raise InvalidInputError(f"{path} is too large: {size}")
        yield file


def read_json(path: Path, max_bytes: int) -> object:
    """Reads a JSON file.

    Args:
        max_bytes: most bytes that the file may have.

    Raises:
        InvalidInputError: the file cannot be read, is too large, or is not JSON.
    """
    try:
        with open_untrusted(path, max_bytes) as file:
            value = json.loads(file.read(_size(file)), parse_int=parse_int)
        _check_depth(value)
        return value
    except InvalidInputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}") from None


def read_toml(path: Path, max_bytes: int) -> tuple[dict[str, object], list[str]]:
    """Entries of a TOML file that the user names, and its lines.

    Args:
        max_bytes: most bytes that the file may have.

    Raises:
        InvalidInputError: the file is too large, or is not TOML.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise InvalidInputError(f"{path} is larger than {max_bytes:,} bytes")
    try:
        text = content.decode()
        return tomllib.loads(text), text.splitlines()
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is no TOML: {error}") from None


def _size(file: BinaryIO) -> int:
    """Bytes of a file; to read more would allocate them."""
    return os.fstat(file.fileno()).st_size


def _check_depth(value: object) -> None:
    """Raises ValueError for a value that recursion over it could not handle."""
    level = [value]
    for _ in range(MAX_DEPTH):
        parts = [x for x in level if isinstance(x, dict | list)]
        level = [y for x in parts for y in (x.values() if isinstance(x, dict) else x)]
        if not level:
            return
    raise ValueError(f"nested more than {MAX_DEPTH} times")


def visible_json(value: object) -> object:
    """JSON value whose texts have no control or format characters; see `visible`."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [visible_json(item) for item in value]
    if isinstance(value, dict):
        return {visible(key): visible_json(item) for key, item in value.items()}
    return value


def parse_int(text: str) -> int:
    """Integer of a JSON file; raises ValueError for one of too many digits."""
    # Longer numbers are never valid, and overflow where they are converted.
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def read_npz(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """Arrays of an `.npz` file; see `read_npz_and_comment`."""
    return read_npz_and_comment(path, max_bytes)[0]


def read_npz_and_comment(
    path: Path, max_bytes: int
) -> tuple[dict[str, np.ndarray], bytes]:
    """Reads the arrays of an `.npz` file by name, and the comment of the archive.

    Memory is allocated only for bytes that the file contains: arrays must not be
    compressed, and not be larger in total than the file.

    Args:
        max_bytes: most bytes that the file may have.

    Raises:
        InvalidInputError: the file is damaged, of another format, or too large.
        FileNotFoundError: the file does not exist.
    """
    try:
        with open_untrusted(path, max_bytes) as file, zipfile.ZipFile(file) as zipped:
            validate_zip(zipped.infolist(), os.fstat(file.fileno()).st_size)
            arrays = {
                member.filename.removesuffix(".npy"): _parse_npy(zipped.read(member))
                for member in zipped.infolist()
            }
            return arrays, zipped.comment
    except (InvalidInputError, FileNotFoundError):
        raise
    except Exception as error:
        # For a damaged file zipfile may raise any exception.
        if isinstance(error, OSError) and error.filename is not None:
            raise InvalidInputError(
                f"{path} cannot be read: {error.strerror}"
            ) from None
        # Only the type: the message may quote the untrusted file.
        raise InvalidInputError(f"{path} is damaged ({type(error).__name__})") from None


def validate_zip(members: list[zipfile.ZipInfo], size: int) -> None:
    """Raises ValueError if members are compressed, or larger than the file.

    Args:
        members: the directory of the zip file.
        size: bytes of the file.
    """
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("compressed")
    if any(member.file_size != member.compress_size for member in members):
        raise ValueError("sizes differ")
    # Members that overlap use the same bytes several times.
    if sum(member.file_size for member in members) > size:
        raise ValueError("members larger than the file")
    if len({member.filename for member in members}) < len(members):
        raise ValueError("duplicate names")


def _parse_npy(content: bytes) -> np.ndarray:
    stream = io.BytesIO(content)
    shape, fortran, dtype = parse_npy_header(stream)
    count, start = math.prod(shape), stream.tell()
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(content) - start:
        raise ValueError("wrong size")
    flat = np.frombuffer(content, dtype, count, start)
    return flat.reshape(shape, order="F" if fortran else "C")


def parse_npy_header(
    stream: BinaryReader,
) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, Fortran order and type of an array; the stream is then at its numbers.

    Raises:
        ValueError: the format or the type is not one that is read.
    """
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("wrong format")
    with warnings.catch_warnings():
        # NumPy warns about headers that it did not write in this form itself.
        warnings.simplefilter("error")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if (
        dtype.kind not in ALLOWED_DTYPE_KINDS
        or not dtype.isnative
        or dtype.itemsize == 0
    ):
        raise ValueError("wrong type")
    return shape, fortran, dtype
