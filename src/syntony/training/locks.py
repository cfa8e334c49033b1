"""Exclusive lock on a run folder; the file `.lock` names the process that holds it."""

import fcntl
import json
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from syntony.errors import InvalidInputError
from syntony.training.safe_io import open_untrusted, read_json

MAX_LOCK_BYTES = 1000
"""Most bytes of a lock file."""
FINISHED: Literal["finished"] = "finished"
STOPPED: Literal["stopped"] = "stopped"
"""Content of a released lock file: how the process that held it ended."""


class LockOwner(NamedTuple):
    """Process that holds a lock, or held it when it was killed."""

    pid: int
    host: str
    inode: int
    """Inode of the lock file; a copy of the file has another inode."""

    def is_local(self) -> bool:
        """Whether the process runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Whether a process with this pid runs on this machine."""
        return Path(f"/proc/{self.pid}").exists() or _process_exists(self.pid)


class RunMovedError(OSError):
    """The run folder was moved or replaced while it was in use."""


class HeldLock(NamedTuple):
    """A lock that this process holds."""

    path: Path
    """The lock file."""
    device: int
    inode: int

    def check(self) -> None:
        """Raises RunMovedError if another file has the name of the lock file.

        Then the folder was moved, and another may be in its place.
        """
        try:
            status = self.path.lstat()
        except OSError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self[1:]:
            raise RunMovedError(
                f"{self.path.parent} was moved, replaced or deleted while it was in "
                "use; nothing more was written; go on with: syntony resume and its "
                "new path"
            )


@contextmanager
def exclusive_lock(path: Path) -> Iterator[HeldLock]:
    """Holds a lock and writes its owner to the lock file.

    The operating system releases the lock of a process that is killed.

    Raises:
        InvalidInputError: another process holds the lock.
        OSError: the lock file cannot be created, or the file system has no locks.
    """
    # Not truncated: another process may hold it.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidInputError(f"{path} is not a regular file")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidInputError(_in_use_message(path)) from None
        status = os.fstat(descriptor)
        owner = LockOwner(os.getpid(), socket.gethostname(), status.st_ino)
        _write_text(descriptor, json.dumps(owner._asdict()) + "\n")
        exit_status: str = STOPPED
        try:
            yield HeldLock(path, status.st_dev, status.st_ino)
            exit_status = FINISHED
        finally:
            _write_text(descriptor, exit_status + "\n")
    finally:
        os.close(descriptor)


def read_lock_owner(path: Path) -> LockOwner | None:
    """Owner that a lock file names; None if it names none, or cannot be read."""
    try:
        content = read_json(path, MAX_LOCK_BYTES)
        owner = LockOwner(**content) if isinstance(content, dict) else None
    except (InvalidInputError, TypeError):
        return None
    if owner is None:
        return None
    has_ids = type(owner.pid) is int and type(owner.inode) is int and owner.pid > 0
    has_host = isinstance(owner.host, str) and owner.host.isprintable()
    return owner if has_ids and has_host else None


def read_exit_status(path: Path) -> Literal["finished", "stopped"] | None:
    """How the last process that held a lock ended; None if the file does not tell."""
    try:
        with open_untrusted(path, MAX_LOCK_BYTES) as file:
            status = file.read(MAX_LOCK_BYTES).decode().strip()
    except (OSError, ValueError):
        return None
    # Two comparisons, so that a type checker can infer the literal types.
    return FINISHED if status == FINISHED else STOPPED if status == STOPPED else None


def _in_use_message(path: Path) -> str:
    owner = read_lock_owner(path)
    user = f"process {owner.pid} on {owner.host}" if owner else "another process"
    return f"{path.parent} is in use by {user}"


def _write_text(descriptor: int, text: str) -> None:
    # The text only informs; a full disk must not end the run.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
