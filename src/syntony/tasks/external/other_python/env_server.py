"""Server of the objects of an environment, run as a program by another Python.

That Python, 3.8 or newer, needs NumPy and the environment's library. This file imports
nothing else, so that it can be run by its path. Requests come on the standard input,
replies go to the standard output; what the environment prints goes to the standard
error.

A frame is `MAGIC`, the lengths of two parts (`<I`, `<Q`), and the parts: a value as
JSON, and the numbers of its arrays, little-endian, one after the other. Nothing is
pickled.

| request | reply |
|---|---|
| `{"op": "import", "name"}` | `["object", …]`, a module |
| `{"op": "get", "of", "name"}` | `["value", value]`, `["object", …]`, `["missing"]` |
| `{"op": "call", "of", "args", "kwargs"}` | `["value", value]`, `["object", …]` |

What cannot be sent stays here, and is known by a number, its handle. Its reply is
`["object", handle, defaults]`; the defaults of its parameters are null if it cannot be
called. Any request may be answered by `["error", summary]`. The first frame is
`["hello", version]`, without a request. The process ends with its input.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import signal
import struct
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import BinaryIO, NoReturn, cast

import numpy as np

MAGIC = b"SYN1"
PREFIX = struct.Struct("<4sIQ")
"""Start of a frame: magic, length of the JSON, length of the numbers."""
MAX_BYTES = 1 << 28
"""Largest length of either part of a frame."""
MAX_DEPTH = 16
"""Deepest nesting of a value that is sent; what is deeper is named by its type."""
NUMBER_KINDS = "biuf"
"""NumPy's kinds of booleans, integers and floating-point numbers."""
DTYPES = {"|b1", "|i1", "|u1", "<f2", *(f"<{k}{n}" for k in "iuf" for n in (2, 4, 8))}
SPACE_FIELDS = {
    "Box": ("low", "high"),
    "Discrete": ("n", "start"),
    "MultiBinary": ("n",),
    "MultiDiscrete": ("nvec",),
    "Dict": ("spaces",),
    "Tuple": ("spaces",),
}
"""Attributes that define a space, by the name of its class."""
MAX_SUMMARY_LENGTH = 200


class FrameError(Exception):
    """A frame that does not follow the protocol."""


class Opaque:
    """A value of the other process that cannot be sent.

    Args:
        type_name: name of its type.
    """

    def __init__(self, type_name: str):
        self.type_name = type_name

    def __repr__(self) -> str:
        return f"<{self.type_name}, which cannot be sent>"


class Handle:
    """Number of an object that stays in the process.

    Args:
        number: the number.
    """

    def __init__(self, number: int):
        self.number = number


def pack(value: object) -> bytes:
    """Frame of a value."""
    arrays: list[bytes] = []
    header = json.dumps(encode(value, arrays)).encode()
    numbers = b"".join(arrays)
    if max(len(header), len(numbers)) > MAX_BYTES:
        raise FrameError(
            f"a value of {len(header) + len(numbers):,} bytes is too large"
        )
    return PREFIX.pack(MAGIC, len(header), len(numbers)) + header + numbers


def encode(value: object, arrays: list[bytes], depth: int = MAX_DEPTH) -> object:
    """Value as JSON; the numbers of its arrays are appended to `arrays`.

    A list stays one. `{"t": …}` is a tuple, `{"d": …}` the pairs of a dictionary,
    `{"a": …}` the type and shape of an array, `{"s": …}` a space, `{"h": …}` a handle,
    `{"o": …}` the type of anything else.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Handle):
        return {"h": value.number}
    if depth == 0:
        return _encode_opaque(value)
    kind = space_kind(value)
    if kind:
        fields = _space_fields(value, kind)
        return {"s": [kind, encode(fields, arrays, depth - 1)]}
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {"d": [[encode(x, arrays, depth - 1) for x in pair] for pair in pairs]}
    if isinstance(value, (list, tuple)):
        items = [encode(x, arrays, depth - 1) for x in cast("list[object]", value)]
        return {"t": items} if isinstance(value, tuple) else items
    return _encode_array(value, arrays, depth)


def _encode_array(value: object, arrays: list[bytes], depth: int) -> object:
    """Array or number of NumPy, or of a library whose arrays it can convert."""
    if not hasattr(type(value), "__array__"):
        return _encode_opaque(value)
    array = np.asarray(value)
    if array.dtype.kind not in NUMBER_KINDS:
        return encode(array.tolist(), arrays, depth - 1)
    if isinstance(value, np.generic):
        # Also of numbers with more bits than Python's.
        kinds = {"b": bool, "f": float}
        return kinds.get(array.dtype.kind, int)(array)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    arrays.append(array.tobytes())
    return {"a": [array.dtype.str, list(array.shape)]}


def _encode_opaque(value: object) -> object:
    return {"o": f"{type(value).__module__}.{type(value).__qualname__}"}


def space_kind(value: object) -> str:
    """Class of a space of Gymnasium or Gym; empty if it is none."""
    for base in type(value).__mro__:
        if base.__module__.startswith(("gymnasium.spaces", "gym.spaces")):
            return base.__name__
    return ""


def _space_fields(space: object, kind: str) -> dict[str, object]:
    fields: dict[str, object] = {
        name: getattr(space, name, 0) for name in SPACE_FIELDS.get(kind, ())
    }
    if kind == "Box":
        fields["dtype"] = np.dtype(getattr(space, "dtype", None)).name
    return fields


def unpack(
    header: bytes,
    numbers: bytes,
    *,
    make_space: Callable[[str, object], object],
    resolve: Callable[[int], object],
) -> object:
    """Value of a frame.

    Args:
        header: the value as JSON.
        numbers: the numbers of its arrays.
        make_space: makes a space from the name of its class and its attributes.
        resolve: finds the object of a handle.

    Raises:
        FrameError: the parts do not follow the protocol.
    """
    decoder = _Decoder(numbers, make_space, resolve)
    try:
        value = decoder.decode(json.loads(header.decode()))
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        raise FrameError(f"{type(error).__name__} in its value") from error
    if decoder.position != len(numbers):
        raise FrameError(
            f"{len(numbers):,} bytes of numbers, of which not all are used"
        )
    return value


class _Decoder:
    def __init__(
        self,
        numbers: bytes,
        make_space: Callable[[str, object], object],
        resolve: Callable[[int], object],
    ):
        self.position = 0
        self._numbers = numbers
        self._make_space = make_space
        self._resolve = resolve

    def decode(self, node: object) -> object:
        if isinstance(node, list):
            return [self.decode(x) for x in cast("list[object]", node)]
        if not isinstance(node, dict):
            return node
        ((tag, content),) = cast("dict[str, object]", node).items()
        if tag == "o":
            return Opaque(str(content)[:MAX_SUMMARY_LENGTH])
        if tag == "h":
            return self._resolve(cast(int, content))
        items = cast("list[object]", content)
        if tag == "a":
            dtype, shape = items
            return self._decode_array(str(dtype), cast("list[int]", shape))
        if tag == "s":
            kind, fields = items
            return self._make_space(str(kind), self.decode(fields))
        if tag == "d":
            pairs = cast("list[tuple[object, object]]", items)
            return {self.decode(k): self.decode(v) for k, v in pairs}
        if tag == "t":
            return tuple(self.decode(x) for x in items)
        raise FrameError(f"unknown tag {tag[:MAX_SUMMARY_LENGTH]!r}")

    def _decode_array(self, dtype: str, shape: list[int]) -> object:
        if dtype not in DTYPES or not all(type(n) is int and n >= 0 for n in shape):
            raise FrameError("an array of an unknown type or shape")
        count = 1
        for n in shape:
            count *= n
        start, size = self.position, count * np.dtype(dtype).itemsize
        self.position += size
        if self.position > len(self._numbers):
            raise FrameError("fewer numbers than its arrays have")
        part = self._numbers[start : self.position]
        return np.frombuffer(bytearray(part), dtype).reshape(shape)


def read_frame(
    read: Callable[[int], bytes],
    *,
    make_space: Callable[[str, object], object],
    resolve: Callable[[int], object],
) -> object:
    """Reads the value of the next frame.

    Args:
        read: reads exactly that many bytes.
        make_space: makes a space; see `unpack`.
        resolve: finds the object of a handle; see `unpack`.

    Raises:
        FrameError: the bytes do not follow the protocol.
    """
    magic, *lengths = PREFIX.unpack(read(PREFIX.size))
    if magic != MAGIC or max(lengths) > MAX_BYTES:
        raise FrameError("no frame of the protocol")
    header, numbers = map(read, lengths)
    return unpack(header, numbers, make_space=make_space, resolve=resolve)


def is_sent(value: object) -> bool:
    """Whether a value is sent; anything else stays here and has a handle."""
    data_types = (type(None), bool, int, float, str, Mapping, list, tuple)
    is_array = hasattr(type(value), "__array__")
    return is_array or bool(space_kind(value)) or issubclass(type(value), data_types)


class ObjectServer:
    """Answers requests about objects of this process, which it keeps."""

    def __init__(self) -> None:
        self._objects: list[object] = []
        self._handles: dict[int, int] = {}

    def resolve(self, handle: int) -> object:
        """Object of a handle."""
        return self._objects[handle]

    def answer(self, request: dict[str, object]) -> list[object]:
        """Reply to a request; an exception of the environment is told in one line."""
        try:
            return self._answer(request)
        # Also `sys.exit()`.
        except BaseException as error:
            return ["error", summarize(error)]

    def _answer(self, request: dict[str, object]) -> list[object]:
        if request["op"] == "import":
            module = importlib.import_module(cast(str, request["name"]))
            return self._object_reply(module)
        if request["op"] == "get":
            missing = Opaque("missing")
            value = getattr(request["of"], cast(str, request["name"]), missing)
            return ["missing"] if value is missing else self._reply(value)
        function = cast("Callable[..., object]", request["of"])
        args = cast("list[object]", request["args"])
        kwargs = cast("dict[str, object]", request["kwargs"])
        return self._reply(function(*args, **kwargs))

    def _reply(self, value: object) -> list[object]:
        return ["value", value] if is_sent(value) else self._object_reply(value)

    def _object_reply(self, value: object) -> list[object]:
        # An object that is kept is not collected, so that its id stays its own.
        handle = self._handles.setdefault(id(value), len(self._objects))
        if handle == len(self._objects):
            self._objects.append(value)
        return ["object", handle, default_values(value) if callable(value) else None]


def default_values(function: Callable[..., object]) -> dict[str, object]:
    """Defaults of a function's parameters; empty where they cannot be told."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    pairs = ((name, x.default) for name, x in parameters.items())
    return {name: x for name, x in pairs if isinstance(x, (bool, int, float, str))}


def summarize(error: BaseException) -> str:
    """Type, message and the last line of user code of an exception, in one line."""
    message = " ".join(str(error).split())
    if len(message) > MAX_SUMMARY_LENGTH:
        message = message[:MAX_SUMMARY_LENGTH] + " …"
    summary = type(error).__name__ + (f": {message}" if message else "")
    library = ("<", __file__, sysconfig.get_path("stdlib"))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        installed = "site-packages" in frame.filename or "dist-" in frame.filename
        if not installed and not frame.filename.startswith(library):
            return f"{summary} ({os.path.basename(frame.filename)}:{frame.lineno})"
    return summary


def take_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Input and output of the protocol; others' output goes to the standard error."""
    requests, replies = os.dup(0), os.dup(1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return os.fdopen(requests, "rb"), os.fdopen(replies, "wb")


def exit_with_parent() -> NoReturn:
    """Ends this process after its parent has ended, also in the middle of a step."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1.0)
    end_process()


def end_process() -> NoReturn:
    """Ends this process at once, and those that the environment has started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def refuse_space(kind: str, fields: object) -> NoReturn:
    """Raises FrameError: no request has a space."""
    del fields
    raise FrameError(f"a request with a space of {kind}")


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answers requests until the other side closes the connection."""
    server = ObjectServer()

    def read(size: int) -> bytes:
        content = requests.read(size)
        if len(content) < size:
            raise EOFError
        return content

    def send(reply: list[object]) -> None:
        try:
            frame = pack(reply)
        except Exception as error:
            frame = pack(["error", summarize(error)])
        replies.write(frame)
        replies.flush()

    send(["hello", sys.version.split()[0]])
    try:
        while True:
            request = read_frame(read, make_space=refuse_space, resolve=server.resolve)
            send(server.answer(cast("dict[str, object]", request)))
    except (EOFError, OSError):
        return


def main() -> NoReturn:
    """Serves objects; modules are also searched in the current folder."""
    requests, replies = take_standard_streams()
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != here]
    sys.path.append(os.getcwd())
    threading.Thread(target=exit_with_parent, daemon=True).start()
    serve(requests, replies)
    # At once: threads of the environment may never end.
    end_process()


if __name__ == "__main__":
    main()
