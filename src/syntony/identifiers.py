"""Ids of configs: `NAME?a=1&b=2`, a name and the parameters that are not default."""

import dataclasses
import math
import re
from collections.abc import Callable, Container
from typing import SupportsFloat, TypeVar, cast

from syntony.config import (
    FieldValues,
    Interval,
    config_fields,
    field_limits,
    literal_options,
)
from syntony.errors import (
    InvalidInputError,
    raising_invalid_input,
    unknown_name_error,
)
from syntony.number_parsing import parse_number, parse_whole_number, quote

T = TypeVar("T")
MAX_INT = 2**31 - 1
"""JAX uses 32-bit integers."""


def parse_id(
    id: str, config_class: type, kind: str = "parameter"
) -> tuple[str, FieldValues]:
    """Splits `NAME?a=1&b=2` into the name and the values of its parameters.

    Args:
        id: the id that the user typed.
        config_class: the dataclass of the config. Its fields with a default are the
            parameters.
        kind: name for a parameter in error messages.

    Raises:
        InvalidInputError: a parameter is unknown, given twice, or not a value of the
            type of its default or its `Literal`.
    """
    name, mark, query = id.partition("?")
    values: FieldValues = {}
    for assignment in query.split("&") if mark else []:
        field, value = _parse_assignment(assignment, config_class, kind)
        if field in values:
            raise InvalidInputError(f"{field} is given twice in {id!r}; expected once")
        values[field] = value
    return name, values


def make_config(
    id: str, config_class: type[T], kind: str = "parameter", **fields: object
) -> T:
    """Makes a user's config with the parameters of its id.

    Args:
        id: the id that the user typed.
        config_class: the user's dataclass.
        kind: name for a parameter in error messages.
        **fields: values of fields that no id sets.

    Raises:
        InvalidInputError: a parameter is invalid, or the class raised an exception.
    """
    _, values = parse_id(id, config_class, kind)
    with raising_invalid_input(f"{id} cannot be constructed:"):
        return config_class(**(values | fields))


def format_id(name: str, config: object, *, always: Container[str] = ()) -> str:
    """Id of a config: `name` and the parameters that differ from their defaults.

    Args:
        name: name before the parameters.
        config: the config.
        always: parameters that are written in any case.
    """
    changed = [
        f"{field}={format_value(getattr(config, field), default)}"
        for field, default in _default_values(type(config)).items()
        if field in always
        or format_value(getattr(config, field), default)
        != format_value(default, default)
    ]
    return name + ("?" + "&".join(changed) if changed else "")


def _default_values(config_class: type) -> FieldValues:
    return {
        field.name: field.default
        for field in config_fields(config_class)
        if field.default is not dataclasses.MISSING
    }


def _parse_assignment(
    assignment: str, config_class: type, kind: str
) -> tuple[str, object]:
    field, equals, text = assignment.partition("=")
    defaults = _default_values(config_class)
    if not defaults:
        raise InvalidInputError(f"{assignment!r} sets nothing; there is no {kind}")
    if not equals:
        raise InvalidInputError(
            f"{assignment!r} sets nothing; expected PARAMETER=VALUE, of "
            f"{', '.join(defaults)}"
        )
    if field not in defaults:
        raise unknown_name_error(kind, field, defaults)
    if field in literal_options(config_class):
        return field, _parse_literal(field, text, literal_options(config_class)[field])
    if type(defaults[field]) not in _VALUE_PARSERS:
        raise InvalidInputError(
            f"{field} cannot be set in an id; expected a {kind} that is a number, "
            "true or false, or text"
        )
    limits = field_limits(config_class).get(field)
    if text == "inf" and isinstance(limits, Interval) and limits.or_infinite:
        return field, math.inf
    parse, expected = _VALUE_PARSERS[type(defaults[field])]
    try:
        return field, parse(text)
    except ValueError:
        raise InvalidInputError(
            f"{field} is {quote(text)}; expected {expected}, "
            f"e.g. {field}={format_value(defaults[field], defaults[field])}"
        ) from None


def _parse_literal(field: str, text: str, options: tuple[object, ...]) -> object:
    names = {format_value(option, option): option for option in options}
    if text not in names:
        raise unknown_name_error(f"value of {field}", text, names)
    return names[text]


def format_value(value: object, default: object) -> str:
    """Text of a parameter's value, as it is typed in an id.

    Args:
        value: the value; a float may be an array of one number.
        default: the parameter's default, which gives the type.
    """
    if isinstance(default, str):
        return str(value)
    if isinstance(default, int):
        return str(value).lower()
    try:
        # JAX turns floats into arrays.
        return repr(float(cast(SupportsFloat, value)))
    except TypeError:
        return "traced"


def _parse_int32(text: str) -> int:
    number = parse_whole_number(text)
    if abs(number) > MAX_INT:
        raise ValueError(text)
    return number


def _parse_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _parse_text(text: str) -> str:
    if not re.fullmatch(r"[^\s?&]*", text):
        raise ValueError(text)
    return text


_VALUE_PARSERS: dict[type, tuple[Callable[[str], object], str]] = {
    bool: (_parse_bool, "true or false"),
    int: (_parse_int32, "a whole number"),
    float: (parse_number, "a number"),
    str: (_parse_text, "text without spaces, ? and &"),
}
"""By type of the default: parser, which raises ValueError, and what it expects."""
