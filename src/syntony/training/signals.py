"""Early ends of a run: its exceptions, and the handling of signals."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from syntony.training.program_name import program_name

HANG_SECONDS = 10.0
"""Time after a signal in which a worker has to do something."""
HANG_CPU_FRACTION = 0.1
"""Part of a CPU core that the process takes at least while a worker does something."""
TELL_AFTER_SECONDS = 5.0
"""Time after a signal from which is told what is waited for."""
WAITING = (
    b"syntony: stopping: waiting for the computation or the call that is running; "
    b"another signal stops at once, with the last checkpoint\n"
)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that stop a run; the last one is sent when a terminal is closed."""


class TrainingInterrupted(KeyboardInterrupt):
    """A signal stopped the run; its state is saved."""

    def __init__(self, path: Path, signum: int, *, workers_hang: bool = False):
        super().__init__(
            f"stopped and saved; go on with: {program_name()} resume {path}"
        )
        self.path = path
        self.signum = signum
        self.workers_hang = workers_hang
        """Whether threads of the run will never end."""


class TrainingDivergedError(RuntimeError):
    """A loss or a parameter of a seed is not finite."""


class SaveError(OSError):
    """A file of the run cannot be written; files saved before are complete."""

    def __init__(self, path: Path, error: OSError, *, run_exists: bool):
        reason, location = error.strerror or error, error.filename or path
        hint = (
            "; what was saved before is whole; when there is room, go on with: "
            f"{program_name()} resume {path}"
        )
        super().__init__(
            f"cannot write to {location}: {reason}{hint if run_exists else ''}"
        )


class StopRequest:
    """Request to stop the run: true after a signal, with its number."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.workers_hang = False
        self._window_start = self._cpu_at_start = 0.0
        self._notice: threading.Timer | None = None

    def __bool__(self) -> bool:
        return self.signum is not None

    def on_signal(self, signum: int, frame: FrameType | None) -> None:
        """Stores the first signal; at the second one raises `KeyboardInterrupt`."""
        del frame
        if self:
            raise KeyboardInterrupt
        self._start_window()
        self.signum = signum
        # A thread, as this one may be in a call that never returns.
        self._notice = threading.Timer(TELL_AFTER_SECONDS, _tell_waiting)
        self._notice.daemon = True
        self._notice.start()

    def close(self) -> None:
        """Tells no more what is waited for."""
        if self._notice is not None:
            self._notice.cancel()

    def check_workers(self) -> bool:
        """Whether workers hang: after the signal this process has nearly stood still.

        To be called while they are waited for. JAX waits for ever in a thread whose
        array could not be allocated.
        """
        seconds = time.monotonic() - self._window_start
        if self.signum is not None and seconds >= HANG_SECONDS:
            cpu_seconds = time.process_time() - self._cpu_at_start
            self.workers_hang = cpu_seconds < HANG_CPU_FRACTION * seconds
            self._start_window()
        return self.workers_hang

    def raise_interrupted(self, path: Path) -> None:
        """Raises TrainingInterrupted for the saved run in a folder, after a signal."""
        if self.signum is not None:
            raise TrainingInterrupted(path, self.signum, workers_hang=self.workers_hang)

    def _start_window(self) -> None:
        self._window_start, self._cpu_at_start = time.monotonic(), time.process_time()


def _tell_waiting() -> None:
    """Tells on stderr what is waited for after a signal."""
    with suppress(OSError):
        os.write(2, WAITING)


@contextmanager
def handle_signals() -> Iterator[StopRequest]:
    """Yields a stop request that SIGINT (Ctrl-C), SIGTERM and SIGHUP set.

    A signal that this process ignores stays ignored, as SIGHUP by `nohup`.

    In another thread than the main thread no handler is installed: Python delivers
    signals to the main thread only.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {
        signum: signal.signal(signum, request.on_signal)
        for signum in STOP_SIGNALS
        if signal.getsignal(signum) is not signal.SIG_IGN
    }
    try:
        yield request
    finally:
        request.close()
        for signum, handler in previous.items():
            signal.signal(signum, handler)
