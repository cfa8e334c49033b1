"""Conversion of configurations to JSON values and back, with strict types."""

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from typing import Literal, TypeVar, Union

from syntony.channels.channel import AnyChannel, Channel, ChannelProperties
from syntony.channels.registry import parse_channel
from syntony.config import config_fields
from syntony.errors import InvalidInputError, unknown_name_error
from syntony.identifiers import MAX_INT
from syntony.tasks.registry import task
from syntony.tasks.task import Task
from syntony.training.safe_io import JsonObject

ConfigT = TypeVar("ConfigT")
ID_PARSERS: dict[object, Callable[[str], Task | AnyChannel]] = {
    Task: task,
    Channel: parse_channel,
    AnyChannel: parse_channel,
}
"""Types that are stored with an id, and the function that parses the id."""


def serialize(config: object) -> JsonObject:
    """Converts a configuration to JSON values; tasks and channels get an `id` entry."""
    hints = typing.get_type_hints(type(config))
    fields = [field.name for field in config_fields(type(config))]
    return {
        name: _serialize_value(getattr(config, name), hints[name]) for name in fields
    }


def deserialize(
    config_class: Callable[..., ConfigT], values: object, location: str = "settings"
) -> ConfigT:
    """Converts JSON values, as `serialize` returns them, to a configuration.

    Args:
        config_class: the dataclass of the configuration.
        location: path of `values` in the file, for error messages.

    Raises:
        InvalidInputError: a field is missing, unknown, or of the wrong type.
    """
    if not isinstance(values, dict):
        raise InvalidInputError(
            f"{location} is {values!r}; expected the fields of {config_class.__name__}"
        )
    hints = typing.get_type_hints(config_class)
    fields = {field.name: field for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise unknown_name_error(f"field of {location}", name, fields)
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING:
            raise InvalidInputError(f"{location}.{name} is missing")
    # Fields that older versions did not have keep their defaults.
    decoded = {
        n: _deserialize_value(hints[n], values[n], f"{location}.{n}") for n in values
    }
    return config_class(**decoded)


def _serialize_value(value: object, hint: object) -> object:
    if hint in ID_PARSERS:
        assert isinstance(value, Task | Channel)
        return {"id": value.id} | serialize(value)
    if dataclasses.is_dataclass(value):
        return serialize(value)
    if isinstance(value, tuple):
        return [_serialize_value(item, None) for item in value]
    if callable(value):
        # A callable object has no `__qualname__`; its class has.
        named = value if hasattr(value, "__qualname__") else type(value)
        return f"{named.__module__}:{named.__qualname__}"
    if hint is float:
        # JAX turns floats into arrays.
        assert isinstance(value, typing.SupportsFloat)
        number = float(value)
        # JSON has no infinity, which is the SNR of a channel without noise.
        return number if math.isfinite(number) else str(number)
    return value


def _deserialize_value(hint: object, value: object, location: str) -> object:
    if hint in ID_PARSERS:
        # One that is given in place of the stored one is used as it is.
        is_stored = not isinstance(value, Task | ChannelProperties)
        return _deserialize_by_id(hint, value, location) if is_stored else value
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return deserialize(hint, value, location)
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in options:
            raise unknown_name_error(f"{location}", str(value), map(str, options))
        return value
    if origin in (Union, types.UnionType):
        return _deserialize_union(options, value, location)
    if origin is tuple:
        return _deserialize_tuple(options, value, location)
    return _deserialize_scalar(hint, value, location)


def _deserialize_by_id(hint: object, value: object, location: str) -> Task | AnyChannel:
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        kind = "task" if hint is Task else "channel"
        raise InvalidInputError(
            f"{location} is {value!r}; expected a {kind} with its id"
        )
    parsed = ID_PARSERS[hint](value["id"])
    check_stored(parsed, value, location)
    return parsed


def check_stored(parsed: Task | AnyChannel, value: JsonObject, location: str) -> None:
    """Raises InvalidInputError if a stored value is not what its id stands for.

    Args:
        parsed: what its id stands for.
        value: JSON values with an entry `id`.
        location: path of `value` in the file, for error messages.
    """
    # Fields that an older version did not write had their defaults.
    expected = {"id": parsed.id} | serialize(parsed)
    if expected | value != expected:
        raise InvalidInputError(
            f"{location} is not what its id {parsed.id!r} stands for"
        )


def _deserialize_union(
    options: tuple[object, ...], value: object, location: str
) -> object:
    errors = []
    for option in options:
        try:
            return _deserialize_value(option, value, location)
        except InvalidInputError as error:
            errors.append(error)
    raise errors[0]


def _deserialize_tuple(
    options: tuple[object, ...], value: object, location: str
) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise InvalidInputError(f"{location} is {value!r}; expected a list")
    hints = options[:1] * len(value) if options[1:] == (Ellipsis,) else options
    if len(hints) != len(value):
        raise InvalidInputError(
            f"{location} has {len(value)} values; expected {len(hints)}"
        )
    pairs = zip(hints, value, strict=True)
    return tuple(
        _deserialize_value(h, v, f"{location}[{i}]") for i, (h, v) in enumerate(pairs)
    )


def _deserialize_scalar(hint: object, value: object, location: str) -> object:
    # JSON does not tell 1 from 1.0, and in Python `True` is an `int`.
    number = float(value) if hint is float and type(value) is int else value
    if type(number) is not hint:
        raise InvalidInputError(
            f"{location} is {value!r}; expected {_type_description(hint)}"
        )
    if type(number) is int and abs(number) > MAX_INT:
        raise InvalidInputError(
            f"{location} is {value!r}; expected at most {MAX_INT:,}"
        )
    if isinstance(number, float) and not math.isfinite(number):
        raise InvalidInputError(f"{location} is {value!r}; expected a finite number")
    return number


def _type_description(hint: object) -> str:
    names: dict[object, str] = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        types.NoneType: "nothing",
    }
    return names.get(hint, "text")
