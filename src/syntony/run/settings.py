"""Records to JSON and back, field by field, nothing guessed and nothing left out."""

import dataclasses
import math
import types
import typing
from typing import Any, Literal, TypeVar, Union

from syntony.channels.channel import Channel
from syntony.channels.ids import exact
from syntony.errors import BadInput, unknown
from syntony.tasks.ids import task
from syntony.tasks.task import Task

Record = TypeVar("Record")
NAMED = {Task: task, Channel: exact}
"""What is known by an id, and what turns the id back into its record."""
MOST = 2**31 - 1
"""JAX counts in 32 bits."""


def encode(record: Any) -> dict[str, Any]:
    """Returns a record as JSON holds it; a task or a channel also says its id."""
    hints = typing.get_type_hints(type(record))
    fields = [field.name for field in dataclasses.fields(record)]
    return {name: _encode(getattr(record, name), hints[name]) for name in fields}


def decode(kind: type[Record], values: Any, where: str = "settings") -> Record:
    """Returns the record of class `kind` that `encode` had turned into `values`.

    Args:
        where: how errors call the place of `values` in the file.

    Raises:
        BadInput: a field is missing, unknown, or of the wrong type.
    """
    if not isinstance(values, dict):
        raise BadInput(f"{where} is {values!r}; expected the fields of {kind.__name__}")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise unknown(f"field of {where}", name, fields)
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING:
            raise BadInput(f"{where}.{name} is missing")
    # A setting that came later starts as what was done before it came.
    decoded = {n: _decode(hints[n], values[n], f"{where}.{n}") for n in values}
    return kind(**decoded)


def _encode(value: Any, hint: Any) -> Any:
    if hint in NAMED:
        return {"id": value.id} | encode(value)
    if dataclasses.is_dataclass(value):
        return encode(value)
    if isinstance(value, tuple):
        return [_encode(item, None) for item in value]
    if callable(value):
        # An object that can be called has no name of its own.
        named = value if hasattr(value, "__qualname__") else type(value)
        return f"{named.__module__}:{named.__qualname__}"
    return float(value) if hint is float else value


def _decode(hint: Any, value: Any, where: str) -> Any:
    if hint in NAMED:
        return _decode_named(hint, value, where)
    if dataclasses.is_dataclass(hint):
        return decode(typing.cast(type, hint), value, where)
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in options:
            raise unknown(f"{where}", str(value), map(str, options))
        return value
    if origin in (Union, types.UnionType):
        return _decode_first(options, value, where)
    if origin is tuple:
        return _decode_tuple(options, value, where)
    return _decode_plain(hint, value, where)


def _decode_named(hint: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        kind = hint.__name__.lower()
        raise BadInput(f"{where} is {value!r}; expected a {kind} with its id")
    found = NAMED[hint](value["id"])
    # What an older version did not write down had its default.
    if _encode(found, hint) | value != _encode(found, hint):
        raise BadInput(f"{where} is not what its id {found.id!r} stands for")
    return found


def _decode_first(options: tuple[Any, ...], value: Any, where: str) -> Any:
    failures = []
    for option in options:
        try:
            return _decode(option, value, where)
        except BadInput as failure:
            failures.append(failure)
    raise failures[0]


def _decode_tuple(options: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise BadInput(f"{where} is {value!r}; expected a list")
    kinds = options[:1] * len(value) if options[1:] == (Ellipsis,) else options
    if len(kinds) != len(value):
        raise BadInput(f"{where} has {len(value)} values; expected {len(kinds)}")
    pairs = zip(kinds, value, strict=True)
    return tuple(_decode(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(pairs))


def _decode_plain(hint: Any, value: Any, where: str) -> Any:
    # JSON has one kind of number, and `True` is an `int` to Python.
    number = float(value) if hint is float and type(value) is int else value
    if type(number) is not hint:
        raise BadInput(f"{where} is {value!r}; expected {_words(hint)}")
    if type(number) is int and abs(number) > MOST:
        raise BadInput(f"{where} is {value!r}; expected at most {MOST:,}")
    if isinstance(number, float) and not math.isfinite(number):
        raise BadInput(f"{where} is {value!r}; expected a finite number")
    return number


def _words(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(hint, "nothing" if hint is types.NoneType else "text")
