"""Environments in a process of their own, with another Python and other packages.

    pettingzoo:my_env?python=/home/me/old/bin/python
    gymnasium:old_package:Old-v0?python=/home/me/old/bin/python&timeout_s=120

The process runs `other_python/env_server.py`, whose docstring is the protocol. On this
side its modules and objects are proxies, whose attributes are read and which are called
in the process; so the same code opens and adapts an environment here and there.
"""

import inspect
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

import numpy as np
from jaxtyping import Int

from syntony.errors import EnvironmentStepError, InvalidInputError
from syntony.plugins import import_user_module, require_user_code
from syntony.tasks.external.adapter import MultiAgentEnv, Observation, StepResult
from syntony.tasks.external.other_python.env_server import (
    SPACE_FIELDS,
    FrameError,
    Handle,
    pack,
    read_frame,
)

PYTHON_PARAMETER = "python"
"""Parameter of an id: absolute path or name of the Python of the process."""
TIMEOUT_PARAMETER = "timeout_s"
"""Parameter of an id with a Python: seconds in which every answer must come."""
DEFAULT_TIMEOUT_S = 30.0
OPENING_TIMEOUT_S = 60.0
"""Shortest time for Python to start and for the environment to be opened."""
CLOSING_TIMEOUT_S = 5.0
MAX_TIMEOUT_S = 86_400.0
HANDLE = "_syntony_handle"
"""Attribute of a proxy with its handle, under a name that no environment has."""
SERVER = Path(__file__).with_name("other_python") / "env_server.py"


@contextmanager
def starting_process(
    parameters: dict[str, object],
) -> Generator["EnvProcess", None, None]:
    """Context with a new process in which an environment is opened.

    The context has at least `OPENING_TIMEOUT_S` for each answer. If it fails, the
    process is killed.

    Args:
        parameters: parameters of an id; those of the process are removed.

    Raises:
        InvalidInputError: there is no such Python, it lacks a package, or the
            environment cannot be opened.
    """
    python = _find_python(parameters.pop(PYTHON_PARAMETER))
    require_user_code(python)
    timeout_s = _validate_timeout(parameters.pop(TIMEOUT_PARAMETER, DEFAULT_TIMEOUT_S))
    process = EnvProcess(python, max(timeout_s, OPENING_TIMEOUT_S))
    try:
        process.greet()
        yield process
        process.timeout_s = timeout_s
    except EnvironmentStepError as error:
        process.kill()
        raise InvalidInputError(f"{python}: {error}") from error
    except BaseException:
        process.kill()
        raise


class ProcessEnv:
    """An environment in a process of its own, which ends when it is closed.

    Args:
        env: the environment, whose calls go to the process.
        process: the process.
    """

    def __init__(self, env: MultiAgentEnv, process: "EnvProcess"):
        self._env = env
        self._process = process
        self.adapters = env.adapters
        self.time_limit = env.time_limit
        self.global_state_dim = env.global_state_dim

    def reset(self, seed: int) -> Observation:
        """Starts an episode whose randomness is determined by `seed`."""
        return self._env.reset(seed)

    def step(self, action: Int[np.ndarray, " N"]) -> StepResult:
        """Applies the joint action."""
        return self._env.step(action)

    def render(self) -> object:
        """Image of the present state, as the environment draws it."""
        return self._env.render()

    def close(self) -> None:
        """Closes the environment and ends its process."""
        try:
            if self._process.is_ready:
                self._process.timeout_s = CLOSING_TIMEOUT_S
                self._env.close()
        finally:
            self._process.kill()


def _find_python(text: object) -> str:
    """Path of the Python.

    Raises:
        InvalidInputError: there is none, or the path is relative: a run is resumed and
            evaluated from other folders as well.
    """
    name = os.path.expanduser(str(text))
    is_relative = os.path.basename(name) != name and not os.path.isabs(name)
    path = None if is_relative else shutil.which(name)
    if path is None:
        raise InvalidInputError(
            f"{PYTHON_PARAMETER}={text} is no program; expected the absolute path of a "
            "Python, e.g. /home/me/old/bin/python"
        )
    return path


def _validate_timeout(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    seconds = cast(float, value) if is_number else 0.0
    if not 0 < seconds <= MAX_TIMEOUT_S:
        raise InvalidInputError(
            f"{TIMEOUT_PARAMETER} is {value!r}; expected seconds, more than 0 and at "
            f"most {MAX_TIMEOUT_S:,.0f}"
        )
    return float(seconds)


class EnvProcess:
    """A process that serves one environment.

    It ends when it is closed or killed, when this object is collected, and when this
    process ends, however that happens. It is in a session of its own, so that Ctrl-C
    does not reach it.

    Args:
        python: path of its Python.
        timeout_s: seconds in which every answer must come.
    """

    def __init__(self, python: str, timeout_s: float):
        self._timeout_s = timeout_s
        self._socket, theirs = socket.socketpair()
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONHOME"}
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [python, str(SERVER)],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.PIPE,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                self._socket.close()
                raise InvalidInputError(
                    f"{python} cannot be started: {error.strerror}"
                ) from error
        assert self._process.stderr is not None
        self._stderr = StderrTail(self._process.stderr)
        self.kill = weakref.finalize(
            self, _kill, self._process, self._socket, self._stderr
        )
        self.timeout_s = timeout_s
        self._objects: dict[object, RemoteObject | RemoteFunction] = {}
        self.is_ready = False
        """Whether it lives and waits for a request."""

    def greet(self) -> None:
        """Waits until the process has started.

        Raises:
            EnvironmentStepError: it ended, or it is none that serves objects.
        """
        try:
            self._receive("hello", "its start")
        except EnvironmentStepError as error:
            message = f"{error}; expected Python 3.8 or newer that has NumPy"
            raise EnvironmentStepError(message) from error

    def import_module(self, name: str) -> object:
        """A module of the process."""
        return self.request({"op": "import", "name": name}, name)

    def request(self, content: Mapping[str, object], what: str) -> object:
        """Value or object that answers a request.

        Args:
            content: the request.
            what: what is asked for, for messages.

        Raises:
            AttributeError: there is no such attribute.
            EnvironmentStepError: the environment raised an exception, or the process
                does not answer.
        """
        if not self.kill.alive:
            raise EnvironmentStepError("its process has ended")
        # Until the answer has come: another exception, e.g. of Ctrl-C, leaves it there.
        self.is_ready = False
        self._socket.settimeout(self.timeout_s)
        with suppress(OSError):
            # If the process has ended, reading the reply raises the error.
            self._socket.sendall(pack(content))
        kind, *values = self._receive("", what)
        self.is_ready = True
        if kind == "error":
            raise EnvironmentStepError(f"it raised {values[0]}")
        if kind == "missing":
            raise AttributeError(what)
        if kind == "value":
            return values[0]
        return self._object(cast(int, values[0]), values[1])

    def _object(self, number: int, defaults: object) -> "RemoteObject | RemoteFunction":
        """Proxy of an object, the same one for the same object."""
        if number not in self._objects:
            handle, parameters = Handle(number), cast(Mapping[str, object], defaults)
            self._objects[number] = (
                RemoteObject(self, handle)
                if defaults is None
                else RemoteFunction(self, handle, parameters)
            )
        return self._objects[number]

    def _receive(self, kind: str, what: str) -> list[object]:
        """Next frame; on failure the process is killed.

        Args:
            kind: expected first item; empty for the reply to a request.
            what: what is asked for, for messages.
        """
        reader = DeadlineReader(self._socket, self.timeout_s)
        try:
            reply = read_frame(reader.read, make_space=make_space, resolve=Handle)
            if not _is_reply(reply, kind):
                raise FrameError("no reply of the protocol")
            return cast(list[object], reply)
        except TimeoutError as error:
            message = f"its process did not answer {what} in {self.timeout_s:g} seconds"
            raise self._failure(message) from error
        except (EOFError, ConnectionError) as error:
            raise self._failure(f"its process {self._ending()}") from error
        except FrameError as error:
            message = f"the answer of its process to {what} cannot be read: {error}"
            raise self._failure(message) from error

    def _failure(self, message: str) -> EnvironmentStepError:
        self.kill()
        line = self._stderr.last_line()
        return EnvironmentStepError(
            f"{message}; it printed: {line}" if line else message
        )

    def _ending(self) -> str:
        """How the process ended."""
        try:
            code = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return "closed the connection"
        if code >= 0:
            return f"ended with exit code {code}"
        with suppress(ValueError):
            return f"was ended by the signal {signal.Signals(-code).name}"
        return f"was ended by the signal {-code}"


REPLIES = {"value": 2, "object": 3, "missing": 1, "error": 2}
"""Number of items of each reply."""


def _is_reply(reply: object, kind: str) -> bool:
    if not isinstance(reply, list) or not reply:
        return False
    items = cast(list[object], reply)
    sizes = {kind: 2} if kind else REPLIES
    if not isinstance(items[0], str) or sizes.get(items[0]) != len(items):
        return False
    is_object = items[0] == "object"
    return not is_object or (
        isinstance(items[1], int) and isinstance(items[2], dict | None)
    )


def _kill(
    process: "subprocess.Popen[bytes]", connection: socket.socket, stderr: "StderrTail"
) -> None:
    """Ends a process and its own processes, and waits for it."""
    connection.close()
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    stderr.finish()


class DeadlineReader:
    """Reads from a connection until a deadline.

    Args:
        connection: the connection.
        timeout_s: seconds until the deadline.
    """

    def __init__(self, connection: socket.socket, timeout_s: float):
        self._connection = connection
        self._deadline = time.monotonic() + timeout_s

    def read(self, size: int) -> bytes:
        """Reads exactly that many bytes.

        Raises:
            TimeoutError: the deadline has passed.
            EOFError: the other side has closed the connection.
        """
        parts: list[bytes] = []
        while size > 0:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            self._connection.settimeout(remaining)
            parts.append(self._connection.recv(min(size, 1 << 20)))
            size -= len(parts[-1])
            if not parts[-1]:
                raise EOFError
        return b"".join(parts)


class StderrTail:
    """Reads all that a process prints, and keeps the end of it.

    Args:
        stream: standard error of the process; closed at its end.
    """

    MAX_BYTES = 4096
    MAX_LINE = 200

    def __init__(self, stream: IO[bytes]):
        self._tail = b""
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Waits for the end of the output, which other processes may hold open."""
        self._thread.join(timeout=1.0)

    def last_line(self) -> str:
        """Last line that is not empty; the end of it if it is long."""
        lines = self._tail.decode(errors="replace").split("\n")
        stripped = ["".join(filter(str.isprintable, line)).strip() for line in lines]
        return next((line for line in reversed(stripped) if line), "")[-self.MAX_LINE :]

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while chunk := os.read(stream.fileno(), 1 << 16):
                self._tail = (self._tail + chunk)[-self.MAX_BYTES :]


class RemoteObject:
    """An object of a process; its attributes are read there.

    Args:
        process: the process.
        handle: number of the object.
    """

    def __init__(self, process: EnvProcess, handle: Handle):
        self._process = process
        self._syntony_handle = handle

    def __getattr__(self, name: str) -> object:
        return _read_attribute(self, self._process, self._syntony_handle, name)


class RemoteFunction:
    """A function, method or class of a process; it is called there.

    Args:
        process: the process.
        handle: number of the function.
        defaults: defaults of its parameters.
    """

    def __init__(
        self, process: EnvProcess, handle: Handle, defaults: Mapping[str, object]
    ):
        self._process = process
        self._syntony_handle = handle
        kind = inspect.Parameter.KEYWORD_ONLY
        self.__signature__ = inspect.Signature(
            [inspect.Parameter(n, kind, default=x) for n, x in defaults.items()]
        )

    def __getattr__(self, name: str) -> object:
        return _read_attribute(self, self._process, self._syntony_handle, name)

    def __call__(self, *args: object, **kwargs: object) -> object:
        content = {
            "op": "call",
            "of": self._syntony_handle,
            "args": [getattr(x, HANDLE, x) for x in args],
            "kwargs": {name: getattr(x, HANDLE, x) for name, x in kwargs.items()},
        }
        return self._process.request(content, "a call")


def _read_attribute(
    owner: object, process: EnvProcess, handle: Handle, name: str
) -> object:
    # Python itself asks for these, e.g. to copy an object.
    if name.startswith("__"):
        raise AttributeError(name)
    value = process.request({"op": "get", "of": handle, "name": name}, name)
    if isinstance(value, RemoteFunction):
        # A method stays the same; a value, such as the living agents, does not.
        vars(owner)[name] = value
    return value


def make_space(kind: str, fields: object) -> object:
    """Space of Gymnasium, from the name of its class and its attributes.

    Raises:
        FrameError: the attributes do not define such a space.
    """
    spaces = import_user_module("gymnasium.spaces")
    values = cast(dict[str, object], fields)
    if kind not in SPACE_FIELDS:
        # Nothing is known of it but its name, which the messages tell.
        return type(kind, (), {})()
    try:
        if kind == "Dict":
            parts = cast(Mapping[str, object], values["spaces"])
            return spaces.Dict(OrderedDict(parts))
        if kind == "Tuple":
            return spaces.Tuple(tuple(cast(Iterable[object], values["spaces"])))
        if kind == "Box":
            values["dtype"] = np.dtype(str(values["dtype"])).type
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(spaces, kind)(**values)
    # Gymnasium asserts what its arguments are.
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise FrameError(f"{kind} is no space: {error}") from error
