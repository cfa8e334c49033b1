"""Why a run stops before its end, and how it is asked to."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(KeyboardInterrupt):
    """A run was asked to stop, and is saved."""

    def __init__(self, path: Path, signum: int):
        super().__init__(f"stopped and saved; go on with: syntony resume {path}")
        self.path = path
        self.signum = signum


class TrainingDivergedError(RuntimeError):
    """A loss or a weight of a seed is no longer a finite number."""


class SaveError(OSError):
    """A file of a run cannot be written; what was saved before is as it was."""

    def __init__(self, path: Path, error: OSError, *, run_exists: bool):
        reason, where = error.strerror or error, error.filename or path
        kept = (
            "; what was saved before is whole; when there is room, go on with: "
            f"syntony resume {path}"
        )
        super().__init__(
            f"cannot write to {where}: {reason}{kept if run_exists else ''}"
        )


class StopRequest:
    """Whether the run was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def __bool__(self) -> bool:
        return self.signum is not None

    def on_signal(self, signum: int, frame: FrameType | None) -> None:
        """Takes note of the first signal; the second raises `KeyboardInterrupt`."""
        del frame
        if self:
            raise KeyboardInterrupt
        self.signum = signum


@contextmanager
def handle_signals() -> Iterator[StopRequest]:
    """Yields a request that Ctrl-C and SIGTERM make.

    Only the main thread of a process hears signals; in another, nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {
        signum: signal.signal(signum, request.on_signal) for signum in STOP_SIGNALS
    }
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
