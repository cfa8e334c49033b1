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

from syntony.errors import BadInput
from syntony.run.reading import opened

MOST_BYTES = 1000
"""Of a lock's text."""
FINISHED: Literal["finished"] = "finished"
STOPPED: Literal["stopped"] = "stopped"
"""What is left in a lock that was released: how its holder ended."""


class Holder(NamedTuple):
    """A process that works on a run, or did when it was killed."""

    pid: int
    host: str
    inode: int
    """Of the lock: that of a copy is another."""

    def here(self) -> bool:
        """Returns whether it is of this machine."""
        return self.host == socket.gethostname()

    def alive(self) -> bool:
        """Returns whether a process of that number runs on this machine."""
        return Path(f"/proc/{self.pid}").exists() or _answers(self.pid)


@contextmanager
def held(path: Path) -> Iterator[None]:
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
            raise BadInput(f"{path} is no regular file")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(_in_use(path)) from None
        me = Holder(os.getpid(), socket.gethostname(), os.fstat(descriptor).st_ino)
        _write(descriptor, json.dumps(me._asdict()) + "\n")
        left: str = STOPPED
        try:
            yield
            left = FINISHED
        finally:
            _write(descriptor, left + "\n")
    finally:
        os.close(descriptor)


def holder_of(path: Path) -> Holder | None:
    """Returns who says that it holds a lock; None if nobody, or it cannot be read."""
    try:
        said = json.loads(_text(path))
        holder = Holder(**said)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    whole = type(holder.pid) is int and type(holder.inode) is int and holder.pid > 0
    named = isinstance(holder.host, str) and holder.host.isprintable()
    return holder if whole and named else None


def left_as(path: Path) -> Literal["finished", "stopped"] | None:
    """Returns how who held a lock last ended; None if it did not say."""
    try:
        said = _text(path).strip()
    except (OSError, ValueError):
        return None
    # Compared one by one: a type checker then knows which it is.
    return FINISHED if said == FINISHED else STOPPED if said == STOPPED else None


def _in_use(path: Path) -> str:
    holder = holder_of(path)
    who = f"process {holder.pid} on {holder.host}" if holder else "another process"
    return f"{path.parent} is in use by {who}"


def _text(path: Path) -> str:
    with opened(path, MOST_BYTES) as file:
        return file.read(MOST_BYTES).decode()


def _write(descriptor: int, text: str) -> None:
    # Only for people: a full disk that has no room for it stops nobody.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
