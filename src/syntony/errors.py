"""Exceptions of invalid input and of user code."""

import difflib
import sysconfig
import textwrap
import traceback
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

SYNTONY_FOLDER = __file__.removesuffix("errors.py")
LIBRARY_FOLDERS = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
)
"""Folders of Python and of installed packages."""
PACKAGE_FOLDERS = ("site-packages", "dist-packages")
MAX_SUMMARY_LENGTH = 200
"""Most characters of an exception's message in a summary."""
MIN_LONG_NAME = 8
"""Characters of a name from which a half of it tells what it stands for."""
MAX_LISTED = 180
"""Most characters of a list of valid names in a message."""


HIDDEN_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories of control, format, surrogate and separator characters."""


class InvalidInputError(ValueError):
    """Input that cannot be used: what was wrong, what was expected, what to type."""


class UntrustedCodeError(InvalidInputError):
    """A run names code of a user, and was not trained on this machine."""


class EnvironmentStepError(RuntimeError):
    """Failure of a user's environment, or a value from it that cannot be used."""


class OutOfMemoryError(RuntimeError):
    """Memory that could not be allocated, of the machine or the GPU."""


USER_CODE_EXCEPTIONS = (Exception, SystemExit)
"""Everything that user code may raise, `sys.exit()` included."""


def summarize_exception(error: BaseException) -> str:
    """Type, message and line of user code of an exception, in one line.

    The line is that of the user's own file: `IndexError: … (my_env.py:123)`.
    """
    text = str(error)
    if type(error).__module__.startswith("jax"):
        # The paragraphs after the first line explain how JAX traces functions.
        text = text.strip().partition("\n")[0]
    message = textwrap.shorten(text, MAX_SUMMARY_LENGTH, placeholder=" …")
    summary = type(error).__name__ + (f": {message}" if message else "")
    line = user_code_line(error)
    return f"{summary} ({line})" if line else summary


def visible(text: str) -> str:
    """Text whose control and format characters are visible, e.g. as ⟨U+202E⟩.

    Raw, they change a terminal, or the order in which a text is read.
    """
    if text.isprintable():
        # Nearly all texts; many are read.
        return text
    return "".join(
        f"\\x{ord(char):02x}"
        if ord(char) < 0x100 and unicodedata.category(char) == "Cc"
        else f"⟨U+{ord(char):04X}⟩"
        if unicodedata.category(char) in HIDDEN_CATEGORIES
        else char
        for char in text
    )


def is_memory_error(error: BaseException) -> bool:
    """Whether memory could not be allocated: by Python, NumPy or JAX."""
    # By its text: JAX's own class stands for all errors of a device.
    return isinstance(error, MemoryError | OutOfMemoryError) or (
        type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError")
        and "RESOURCE_EXHAUSTED" in str(error)
    )


def user_code_line(error: BaseException) -> str:
    """`file.py:line` of the last call in a user's own file; empty if there is none.

    A user's own file belongs neither to Syntony nor to Python or an installed package.
    """
    frames = reversed(traceback.extract_tb(error.__traceback__))
    for frame in frames:
        if _is_user_file(frame.filename):
            name = frame.filename.replace("\\", "/").rpartition("/")[2]
            return f"{name}:{frame.lineno}"
    return ""


def _is_user_file(path: str) -> bool:
    # Code from a string, e.g. a dataclass's `__init__`, is in `<string>`.
    if path.startswith(("<", SYNTONY_FOLDER, *LIBRARY_FOLDERS)):
        return False
    return not any(folder in path for folder in PACKAGE_FOLDERS)


@contextmanager
def raising_invalid_input(what: str, expected: str = "") -> Iterator[None]:
    """Context that turns an exception of user code into an `InvalidInputError`.

    Args:
        what: beginning of the message, before the summary of the exception, e.g.
            "python:my_task:Maze: render raised".
        expected: end of the message, e.g. "a function of the learning rate".
    """
    try:
        yield
    except InvalidInputError:
        raise
    except USER_CODE_EXCEPTIONS as error:
        end = f"; expected {expected}" if expected else ""
        raise InvalidInputError(f"{what} {summarize_exception(error)}{end}") from error


def unknown_name_error(kind: str, name: str, valid: Iterable[str]) -> InvalidInputError:
    """Error for a name that is not in `valid`, with the nearest valid name.

    Args:
        kind: what the name stands for, e.g. "preset".
        name: the unknown name.
        valid: all known names; listed in the message if none is near.
    """
    valid = sorted(valid)
    near = nearest_name(name, valid)
    listed = textwrap.shorten(", ".join(valid), MAX_LISTED, placeholder=" …")
    hint = f"did you mean {near!r}?" if near else f"valid: {listed}"
    return InvalidInputError(f"unknown {kind} {name!r}; {hint}")


def nearest_name(name: str, valid: Sequence[str]) -> str:
    """The valid name that a misspelled one stands for; empty if none is near.

    Names that differ only in case are the nearest.
    """
    by_case = [other.casefold() for other in valid]
    # In short names, half of the letters are easily those of another word.
    cutoff = 0.5 if len(name) >= MIN_LONG_NAME else 0.6
    near = difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=cutoff)
    same = [other for other in valid if near and other.casefold() == near[0]]
    return max(
        same, key=lambda x: difflib.SequenceMatcher(None, name, x).ratio(), default=""
    )
