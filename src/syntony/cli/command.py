"""Which word does what, and how each command ends.

Exit codes: 0 done, 1 a fault, 2 bad input (one line on stderr), 130 and 143 stopped
by Ctrl-C and SIGTERM.
"""

import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any, TextIO

from syntony.cli.help import SYNTONY, TRAIN
from syntony.errors import BadInput, HostFault, unknown
from syntony.run.stop import Interrupted, TrainingDiverged

COMMANDS = (
    *("compare", "demo", "evaluate", "figures", "list"),
    *("render", "report", "resume", "train", "watch"),
)
"""Each is a module here with a function `run`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code.

    Args:
        argv: the words after `syntony`; by default, those that were typed.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without a squared sign shows a question mark, no traceback.
            stream.reconfigure(errors="replace")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            _run(words)
        except SystemExit as end:  # What --help of a command raises.
            return int(end.code or 0)
        except Interrupted as stop:
            # All is saved: another Ctrl-C would only spoil the way out.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            return _failed(stop, code=128 + stop.signum)
        except KeyboardInterrupt:
            # Asked twice, or before there was anything to save: wait for no thread.
            os._exit(128 + signal.SIGINT)
        except BadInput as failure:
            return _failed(failure, code=2)
        except (HostFault, TrainingDiverged, OSError) as failure:
            # Also a full disk, or a folder that is gone: no traceback explains those.
            return _failed(failure, code=1)
    return 0


def _run(words: list[str]) -> None:
    match words:
        case [] | ["-h" | "--help" | "help"]:
            print(SYNTONY, end="")
        case ["-V" | "--version"]:
            print(f"syntony {version('syntony')}")
        # Quick, for want of JAX; `train smpe --help` has to know all of its records.
        case ["train", "-h" | "--help"]:
            print(TRAIN, end="")
        case [command, *rest] if command in COMMANDS:
            import_module(f"syntony.cli.{command}").run(rest)
        case [command, *_]:
            raise unknown("command", command, COMMANDS)


def _failed(failure: BaseException, *, code: int) -> int:
    print("syntony:", *str(failure).split(), file=sys.stderr)
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> Any:
    del category, filename, lineno, file, line
    print(f"syntony: {message}", file=sys.stderr)
