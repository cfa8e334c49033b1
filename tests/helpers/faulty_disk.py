"""The disk of a run folder: each write to it is counted, recorded, or made to fail."""

import errno
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Write(NamedTuple):
    """One change of the disk, in the order of the calls."""

    kind: str
    """create, write, sync, rename, unlink or mkdir."""
    path: str
    """Relative to the folder of the run's parent."""
    offset: int = 0
    data: bytes = b""
    target: str = ""
    """New name, of a rename."""


class FaultyDisk:
    """Everything that changes files below a folder, through `os`.

    Args:
        root: the folder.
        fail_at: number of the call that fails; None: none does.
        error: its error.
    """

    def __init__(self, root: Path, fail_at: int | None, error: int):
        self._root, self._fail_at, self._error = str(root), fail_at, error
        self._paths: dict[int, str] = {}
        self.writes: list[Write] = []
        self.failed = ""
        """What the call that failed was to change."""

    def change(self, kind: str, path: str, **facts: Any) -> bool:
        """Counts a change of a file, or fails; false where the file is another one."""
        if not path.startswith(self._root):
            return False
        number = len(self.writes)
        self.writes.append(Write(kind, os.path.relpath(path, self._root), **facts))
        if number == self._fail_at:
            self.failed = f"{kind} {path}"
            raise OSError(self._error, os.strerror(self._error), path)
        return True

    def _path(self, name: Any, dir_fd: int | None) -> str:
        if isinstance(name, int):
            return os.readlink(f"/proc/self/fd/{name}")
        folder = (
            os.getcwd() if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
        )
        return os.path.join(folder, os.fsdecode(name))

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Replaces the functions of `os`."""
        real = {name: getattr(os, name) for name in REPLACED}

        def open_(
            name: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
        ) -> int:
            path = self._path(name, dir_fd)
            if flags & os.O_CREAT and not os.path.lexists(path):
                self.change("create", path)
            return real["open"](name, flags, mode, dir_fd=dir_fd)

        def fdopen(descriptor: int, mode: str = "r", *args: Any, **options: Any) -> Any:
            path = self._path(descriptor, None)
            if not path.startswith(self._root) or "r" in mode:
                return real["fdopen"](descriptor, mode, *args, **options)
            return io.BufferedWriter(CountedFile(descriptor, mode, self, path))

        def fsync(descriptor: int) -> None:
            self.change("sync", self._path(descriptor, None))

        def rename(
            source: Any,
            target: Any,
            *,
            src_dir_fd: int | None = None,
            dst_dir_fd: int | None = None,
        ) -> None:
            new = os.path.relpath(self._path(target, dst_dir_fd), self._root)
            self.change("rename", self._path(source, src_dir_fd), target=new)
            real["replace"](
                source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd
            )

        def unlink(name: Any, *, dir_fd: int | None = None) -> None:
            self.change("unlink", self._path(name, dir_fd))
            real["unlink"](name, dir_fd=dir_fd)

        def mkdir(name: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
            path = self._path(name, dir_fd)
            if not os.path.isdir(path):
                self.change("mkdir", path)
            real["mkdir"](name, mode, dir_fd=dir_fd)

        replacements = (open_, fdopen, fsync, rename, unlink, mkdir)
        for name, function in zip(REPLACED, replacements, strict=True):
            patch.setattr(os, name, function)


REPLACED = ("open", "fdopen", "fsync", "replace", "unlink", "mkdir")


class CountedFile(io.FileIO):
    """File whose writes are counted.

    One that fails writes a half, as a disk that becomes full does; the next call fails.
    """

    def __init__(self, descriptor: int, mode: str, disk: FaultyDisk, path: str):
        super().__init__(descriptor, mode.replace("b", ""))
        self._disk, self._path = disk, path
        self._fault: OSError | None = None

    def write(self, data: Any, /) -> int:
        content = bytes(data)
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        offset = os.fstat(self.fileno()).st_size if "a" in self.mode else self.tell()
        try:
            self._disk.change("write", self._path, offset=offset, data=content)
        except OSError as error:
            self._fault, content = error, content[: len(content) // 2]
        return super().write(content)


@contextmanager
def faulty_disk(
    root: Path, fail_at: int | None = None, error: int = errno.ENOSPC
) -> Iterator[FaultyDisk]:
    """Context in which changes below a folder are counted, and one may fail."""
    disk = FaultyDisk(root, fail_at, error)
    with pytest.MonkeyPatch.context() as patch:
        disk.install(patch)
        yield disk


def replay(writes: list[Write], root: Path, *, only_synced: bool) -> None:
    """Files after a power cut.

    Args:
        writes: the changes before it.
        root: an empty folder for the files.
        only_synced: whether what was not synced is lost: contents of files, and names
            in folders; otherwise everything is on the disk.
    """
    disk: dict[str, bytearray] = {}
    names: dict[str, str] = {}
    """Name of each file, to its content in `disk` by a number."""
    synced: dict[str, bytes] = {}
    durable: dict[str, str] = {}
    folders: list[str] = []
    for number, write in enumerate(writes):
        match write.kind:
            case "mkdir":
                folders.append(write.path)
            case "create":
                names[write.path] = str(number)
                disk[str(number)] = bytearray()
            case "write":
                content = disk[names[write.path]]
                content[write.offset : write.offset + len(write.data)] = write.data
            case "rename":
                names[write.target] = names.pop(write.path)
            case "unlink":
                names.pop(write.path, None)
            case "sync" if write.path in names:
                synced[names[write.path]] = bytes(disk[names[write.path]])
            case "sync":
                inside = {n: x for n, x in names.items() if parent(n) == write.path}
                others = {n: x for n, x in durable.items() if parent(n) != write.path}
                durable = others | inside
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
    kept = durable if only_synced else names
    for name, inode in kept.items():
        content = synced.get(inode, b"") if only_synced else bytes(disk[inode])
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def parent(name: str) -> str:
    return os.path.dirname(name) or "."


def clear(folder: Path) -> None:
    """Deletes a folder, if it exists."""
    shutil.rmtree(folder, ignore_errors=True)
