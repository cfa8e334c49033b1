"""How records are named: `NAME?a=1&b=2`, a name and the parameters that differ."""

import dataclasses
import numbers
import re
from collections.abc import Callable
from typing import Any

from syntony.errors import InvalidInputError, unknown_name_error

FieldValues = dict[str, Any]

Limits = dict[str, Callable[[FieldValues], tuple[float, float]]]
"""The least and the most that each field may be; each may depend on those above it."""


def parse_id(
    id: str, config_class: type, kind: str = "parameter"
) -> tuple[str, FieldValues]:
    """Splits `NAME?a=1&b=2` into the name and the parameters' values.

    Args:
        id: what the user typed.
        record: what is named. Its fields with a default are its parameters.
        kind: what errors call a parameter.

    Raises:
        BadInput: a parameter is unknown, given twice, or not a value of its kind.
    """
    name, mark, query = id.partition("?")
    values = {}
    for assignment in query.split("&") if mark else []:
        field, value = _parse_assignment(
            assignment, _default_values(config_class), kind
        )
        if field in values:
            raise InvalidInputError(f"{field} is given twice in {id!r}; expected once")
        values[field] = value
    return name, values


def format_id(name: str, config: Any) -> str:
    """Returns `name` with those parameters of the record that are not the default."""
    changed = [
        f"{field}={format_value(getattr(config, field), default)}"
        for field, default in _default_values(type(config)).items()
        if format_value(getattr(config, field), default)
        != format_value(default, default)
    ]
    return name + ("?" + "&".join(changed) if changed else "")


def check_limits(config: Any, limits: Limits) -> None:
    """Raises `BadInput` if a field is beyond its limits, with the nearest valid id."""
    # JAX may rebuild a record around a tracer. What has no value yet is let pass.
    given = {k: v for k, v in vars(config).items() if isinstance(v, numbers.Real)}
    valid = clip_to_limits(given, limits)
    for field in limits:
        if field in given and given[field] != valid[field]:
            low, high = limits[field](valid)
            raise InvalidInputError(
                f"{field} is {given[field]}; expected {low} to {high}, "
                f"e.g. {type(config)(**valid).id}"
            )


def clip_to_limits(values: FieldValues, limits: Limits) -> FieldValues:
    """Returns the fields, each moved within its limits."""
    valid = dict(values)
    for field in filter(values.__contains__, limits):
        low, high = limits[field](valid)
        # In this order, not a number becomes the lowest.
        valid[field] = min(max(low, values[field]), high)
    return valid


def _default_values(config_class: type) -> FieldValues:
    return {
        field.name: field.default
        for field in dataclasses.fields(config_class)
        if field.default is not dataclasses.MISSING
    }


def _parse_assignment(
    assignment: str, defaults: FieldValues, kind: str
) -> tuple[str, Any]:
    field, equals, text = assignment.partition("=")
    if not defaults:
        raise InvalidInputError(f"{assignment!r} sets nothing; there is no {kind}")
    if not equals:
        raise InvalidInputError(
            f"{assignment!r} sets nothing; expected PARAMETER=NUMBER, of "
            f"{', '.join(defaults)}"
        )
    if field not in defaults:
        raise unknown_name_error(kind, field, defaults)
    read, pattern, words = _VALUE_PARSERS[type(defaults[field])]
    if not re.fullmatch(pattern, text):
        raise InvalidInputError(
            f"{field} is {text!r}; expected {words}, "
            f"e.g. {field}={format_value(defaults[field], defaults[field])}"
        )
    return field, read(text)


def format_value(value: Any, default: Any) -> str:
    """Returns a parameter's value as it is typed, if it is of its default's kind."""
    if isinstance(default, int):
        return str(value).lower()
    try:
        # A parameter that went through JAX comes back as an array.
        return repr(float(value))
    except TypeError:
        return "traced"


_VALUE_PARSERS: dict[type, tuple[Callable[[str], Any], str, str]] = {
    bool: (lambda text: text == "true", "true|false", "true or false"),
    int: (int, "-?[0-9]{1,9}", "a whole number"),
    float: (float, r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]{1,3})?", "a number"),
}
"""For the type of a default: how to read it, what it looks like, and what it is."""
