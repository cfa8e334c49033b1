"""Who works on a run: one process at a time, which says so in the folder's `.lock`."""

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
from syntony.training.safe_io import open_untrusted

MAX_LOCK_BYTES = 1000
"""Of a lock's text."""
FINISHED: Literal["finished"] = "finished"
STOPPED: Literal["stopped"] = "stopped"
"""What is left in a lock that was released: how its holder ended."""


class LockOwner(NamedTuple):
    """A process that works on a run, or did when it was killed."""

    pid: int
    host: str
    inode: int
    """Of the lock: that of a copy is another."""

    def is_local(self) -> bool:
        """Returns whether it is of this machine."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Returns whether a process of that number runs on this machine."""
        return Path(f"/proc/{self.pid}").exists() or _process_exists(self.pid)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Holds a lock, and says in it who does; the system releases those of the dead.

    Raises:
        BadInput: another process holds it.
        OSError: it cannot be made, or the disk knows no locks.
    """
    # Not emptied: it may be another's.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidInputError(f"{path} is no regular file")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidInputError(_in_use_message(path)) from None
        me = LockOwner(os.getpid(), socket.gethostname(), os.fstat(descriptor).st_ino)
        _write_text(descriptor, json.dumps(me._asdict()) + "\n")
        left: str = STOPPED
        try:
            yield
            left = FINISHED
        finally:
            _write_text(descriptor, left + "\n")
    finally:
        os.close(descriptor)


def read_lock_owner(path: Path) -> LockOwner | None:
    """Returns who says that it holds a lock; None if nobody, or it cannot be read."""
    try:
        said = json.loads(_read_text(path))
        holder = LockOwner(**said)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    whole = type(holder.pid) is int and type(holder.inode) is int and holder.pid > 0
    named = isinstance(holder.host, str) and holder.host.isprintable()
    return holder if whole and named else None


def read_exit_status(path: Path) -> Literal["finished", "stopped"] | None:
    """Returns how who held a lock last ended; None if it did not say."""
    try:
        said = _read_text(path).strip()
    except (OSError, ValueError):
        return None
    # Compared one by one: a type checker then knows which it is.
    return FINISHED if said == FINISHED else STOPPED if said == STOPPED else None


def _in_use_message(path: Path) -> str:
    holder = read_lock_owner(path)
    who = f"process {holder.pid} on {holder.host}" if holder else "another process"
    return f"{path.parent} is in use by {who}"


def _read_text(path: Path) -> str:
    with open_untrusted(path, MAX_LOCK_BYTES) as file:
        return file.read(MAX_LOCK_BYTES).decode()


def _write_text(descriptor: int, text: str) -> None:
    # Only for people: a full disk that has no room for it stops nobody.
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
