"""Stream of a run's log that never ends the run: what cannot be written is dropped."""

import os
from contextlib import suppress
from typing import Protocol, runtime_checkable


@runtime_checkable
class TextStream(Protocol):
    """The methods that are used of a stream like `sys.stdout`."""

    def write(self, text: str, /) -> int:
        """Writes a text."""
        ...

    def flush(self) -> None:
        """Writes what is buffered."""
        ...

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        ...

    def fileno(self) -> int:
        """Descriptor of the stream."""
        ...


class LogStream:
    """Text stream that drops everything from its first error on.

    Errors are those of the file, e.g. a full disk, a pipe whose reader has ended, or a
    closed terminal.

    Args:
        stream: where the text goes, e.g. `sys.stdout`.
    """

    def __init__(self, stream: TextStream):
        self._stream = stream
        self.error: OSError | None = None
        """The first error; None as long as there was none."""

    @property
    def encoding(self) -> str:
        """Encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Descriptor of the stream."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Writes a text, or drops it."""
        if self.error is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self._stop(error)
        return len(text)

    def flush(self) -> None:
        """Flushes the stream."""
        if self.error is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._stop(error)

    def _stop(self, error: OSError) -> None:
        self.error = error
        # Else Python would fail again when it flushes the stream at its end.
        with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())
