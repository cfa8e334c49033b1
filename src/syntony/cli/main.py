"""Entry point of the command line: the table of subcommands, and their exit codes.

Exit codes: 0 done; 1 a fault, e.g. a full disk; 2 invalid input or an exception in the
user's own code, in one line on stderr, with SYNTONY_TRACEBACK=1 below the traceback;
128 + signal when stopped by a signal (130 Ctrl-C, 143 SIGTERM), with the run saved.
"""

import errno
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn, Protocol, TextIO, runtime_checkable

from syntony.cli.help_text import TRACEBACK_VARIABLE, main_help, train_help
from syntony.errors import (
    EnvironmentStepError,
    InvalidInputError,
    OutOfMemoryError,
    is_memory_error,
    summarize_exception,
    unknown_name_error,
    user_code_line,
    visible,
)
from syntony.training.signals import TrainingDivergedError, TrainingInterrupted

OUTPUT_ERRORS = (errno.ENOSPC, errno.EIO, errno.EPIPE)
INVALID_NAME_ERRORS = (errno.ENAMETOOLONG, errno.ELOOP)
"""Errors of a file whose name cannot exist: of what was typed, not of the disk."""
XLA_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""Environment variable that XLA reads when it is loaded; 3: only what ends the process.
Errors of the compiler are Python's exceptions as well."""
MAX_WORD_LENGTH = 160
"""Most characters of a word of an error message."""


@runtime_checkable
class Executable(Protocol):
    """A command with its arguments."""

    def execute(self) -> None:
        """Runs the command."""
        ...


class Command(NamedTuple):
    """Subcommand, known by names alone so that it is imported only when it runs."""

    target: str
    """`module:name` of its dataclass, or of a function from arguments to one.

    The dataclass has a field for each argument and a method `execute`. The docstring
    of its module is the help text, and the first line of that its summary."""
    usage: str = ""
    """Positional arguments, as the help text shows them."""
    needs_jax: bool = True


COMMANDS = {
    "demo": Command("syntony.cli.demo:Demo"),
    "train": Command("syntony.cli.train:parse_train", "SYSTEM"),
    "resume": Command("syntony.cli.resume:Resume", "RUN"),
    "sweep": Command("syntony.cli.sweep:Sweep", "FILE"),
    "watch": Command("syntony.cli.watch:Watch", "RUN"),
    "evaluate": Command("syntony.cli.evaluate:Evaluate", "RUN"),
    "compare": Command("syntony.cli.compare:Compare", "RUN..."),
    "report": Command("syntony.cli.report:Report", "RUN..."),
    "figures": Command("syntony.cli.figures:Figures", "RUN..."),
    "render": Command("syntony.cli.render:Render", "RUN"),
    "verify": Command("syntony.cli.verify:Verify", "RUN", needs_jax=False),
    "check": Command("syntony.cli.check:Check", "ID"),
    "list": Command("syntony.cli.list:List", "[WHAT]"),
}
"""All subcommands, in the order of the help text."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: arguments after `syntony`; by default those of the process.

    Returns:
        The exit code.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without e.g. ² shows a question mark instead of a traceback.
            stream.reconfigure(errors="replace")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            _run_command(args)
        except SystemExit as end:
            if user_code_line(end):
                return _print_user_code_error(end)
            return int(end.code or 0)  # `--help` of a command exits.
        except KeyboardInterrupt as interrupt:
            return _end_interrupted(interrupt)
        except InvalidInputError as error:
            return _print_error(error, code=2)
        except (EnvironmentStepError, TrainingDivergedError, OSError) as error:
            # OSError: e.g. a full disk or a removed folder; a traceback adds nothing.
            is_name = isinstance(error, OSError) and error.errno in INVALID_NAME_ERRORS
            named = _output_error(error) or error
            return _print_error(named, code=2 if is_name else 1)
        except Exception as error:
            code = _print_known_fault(error)
            if code is None:
                raise
            return code
    return 0


def _end_interrupted(interrupt: KeyboardInterrupt) -> int:
    """Exit code after a signal; exits at once where threads may never end."""
    if not isinstance(interrupt, TrainingInterrupted):
        # The second Ctrl-C, or nothing to save yet: exit without joining threads.
        _exit_now(128 + signal.SIGINT)
    # Everything is saved: another Ctrl-C would only interrupt the exit.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = _print_error(interrupt, code=128 + interrupt.signum)
    if interrupt.workers_hang:
        _exit_now(code)
    return code


def _print_known_fault(error: Exception) -> int | None:
    """Prints an error whose cause is known; returns the exit code, or None."""
    if is_memory_error(error):
        return _print_error(_memory_error(error), code=1)
    if platform := _missing_platform(error):
        text = f"JAX finds no device for JAX_PLATFORMS={platform}; expected cpu, or "
        text += "another platform that this machine and jaxlib have"
        return _print_error(InvalidInputError(text), code=2)
    if user_code_line(error):
        return _print_user_code_error(error)
    if problem := _version_problem(error):
        return _print_error(InvalidInputError(problem), code=2)
    return None


def _run_command(argv: list[str]) -> None:
    match argv:
        case [] | ["-h" | "--help" | "help"]:
            usages = {name: command.usage for name, command in COMMANDS.items()}
            print(main_help(usages), end="")
        case ["-V" | "--version"]:
            # Imported late: it takes longer than all else of `syntony --help`.
            from importlib.metadata import version

            print(f"syntony {version('syntony')}")
        case ["train", "-h" | "--help"]:
            print(train_help(), end="")
        case [name, *args] if name in COMMANDS:
            # XLA's alarm about a slow compilation is no error of the user's.
            os.environ.setdefault(XLA_LOG_LEVEL, "3")
            command = _parse_command(name, args)
            if not COMMANDS[name].needs_jax:
                command.execute()
                return
            # Imported late: help texts need no JAX, and end in the line above.
            from syntony.jax_settings import standard_jax_settings

            with standard_jax_settings():
                command.execute()
        case [name, *_]:
            raise unknown_name_error("command", name, COMMANDS)


def _parse_command(name: str, argv: list[str]) -> Executable:
    """Command with its arguments, ready to execute."""
    # Imported late: the help texts above need neither tyro nor JAX.
    from pkgutil import resolve_name

    from syntony.cli.versions import check_versions

    check_versions()
    from syntony.cli.arguments import parse_args

    target = resolve_name(COMMANDS[name].target)
    if not isinstance(target, type):
        return target(argv)
    description = sys.modules[target.__module__].__doc__
    return parse_args(target, argv, prog=f"syntony {name}", description=description)


def _print_error(error: BaseException, *, code: int) -> int:
    _print_traceback(error)
    _tell(" ".join(map(_shorten, str(error).split())))
    return code


def _shorten(word: str) -> str:
    """A word that is not longer than a line or two, e.g. of a path of any length."""
    if len(word) <= MAX_WORD_LENGTH:
        return word
    half = MAX_WORD_LENGTH // 2
    return f"{word[:half]}…{word[-half:]}"


def _missing_platform(error: Exception) -> str:
    """Value of JAX_PLATFORMS where JAX could not find such a device; else empty."""
    frames = traceback.extract_tb(error.__traceback__)
    in_jax = frames and frames[-1].filename.endswith("xla_bridge.py")
    return os.environ.get("JAX_PLATFORMS", "") if in_jax else ""


def _version_problem(error: Exception) -> str:
    """Requirement that does not fit, where an error may be due to it; else empty."""
    from syntony.cli.versions import version_problems

    if not isinstance(error, AttributeError | ImportError | RuntimeError | TypeError):
        return ""
    return next(version_problems(), "")


def _output_error(error: Exception) -> Exception | None:
    """One line for an error of the standard output; None for another one."""
    # Errors of files that are written here have a name.
    if not isinstance(error, OSError) or error.filename is not None:
        return None
    if error.errno not in OUTPUT_ERRORS:
        return None
    text = f"the output cannot be written: {error.strerror}"
    return OSError(text).with_traceback(error.__traceback__)


def _memory_error(error: Exception) -> Exception:
    """One line for an error of Python, NumPy or JAX; ours say it already."""
    if isinstance(error, OutOfMemoryError):
        return error
    text = f"out of memory: {summarize_exception(error)}"
    return OutOfMemoryError(text).with_traceback(error.__traceback__)


def _exit_now(code: int) -> NoReturn:
    """Ends the process without waiting for threads."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


def _print_user_code_error(error: BaseException) -> int:
    """Prints an exception from a user's own file, which is invalid input."""
    _print_traceback(error)
    hint = f"; {TRACEBACK_VARIABLE}=1 shows the traceback"
    text = f"your code raised {summarize_exception(error)}{hint}"
    _tell(text)
    return 2


def _print_traceback(error: BaseException) -> None:
    if os.environ.get(TRACEBACK_VARIABLE) == "1":
        traceback.print_exception(error)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del category, filename, lineno, file, line
    _tell(str(message))


def _tell(text: str) -> None:
    """Prints a line on stderr; one that cannot be written ends nothing."""
    with suppress(OSError):
        print(f"syntony: {visible(text)}", file=sys.stderr)
