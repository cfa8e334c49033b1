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

from syntony.cli.help import MAIN_HELP, TRAIN_HELP
from syntony.errors import EnvironmentStepError, InvalidInputError, unknown_name_error
from syntony.training.signals import TrainingDivergedError, TrainingInterrupted

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
            _run_command(words)
        except SystemExit as end:  # What --help of a command raises.
            return int(end.code or 0)
        except TrainingInterrupted as stop:
            # All is saved: another Ctrl-C would only spoil the way out.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            return _print_error(stop, code=128 + stop.signum)
        except KeyboardInterrupt:
            # Asked twice, or before there was anything to save: wait for no thread.
            os._exit(128 + signal.SIGINT)
        except InvalidInputError as failure:
            return _print_error(failure, code=2)
        except (EnvironmentStepError, TrainingDivergedError, OSError) as failure:
            # Also a full disk, or a folder that is gone: no traceback explains those.
            return _print_error(failure, code=1)
    return 0


def _run_command(argv: list[str]) -> None:
    match argv:
        case [] | ["-h" | "--help" | "help"]:
            print(MAIN_HELP, end="")
        case ["-V" | "--version"]:
            print(f"syntony {version('syntony')}")
        # Quick, for want of JAX; `train smpe --help` has to know all of its records.
        case ["train", "-h" | "--help"]:
            print(TRAIN_HELP, end="")
        case [command, *rest] if command in COMMANDS:
            import_module(f"syntony.cli.{command}").run(rest)
        case [command, *_]:
            raise unknown_name_error("command", command, COMMANDS)


def _print_error(error: BaseException, *, code: int) -> int:
    print("syntony:", *str(error).split(), file=sys.stderr)
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
