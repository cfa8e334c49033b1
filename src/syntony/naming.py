"""How records are named: `NAME?a=1&b=2`, a name and the parameters that differ."""

import dataclasses
import numbers
import re
from collections.abc import Callable
from typing import Any

from syntony.errors import BadInput, unknown

Fields = dict[str, Any]

Limits = dict[str, Callable[[Fields], tuple[float, float]]]
"""The least and the most that each field may be; each may depend on those above it."""


def split(id: str, record: type, kind: str = "parameter") -> tuple[str, Fields]:
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
        field, value = _assign(assignment, _defaults(record), kind)
        if field in values:
            raise BadInput(f"{field} is given twice in {id!r}; expected once")
        values[field] = value
    return name, values


def join(name: str, record: Any) -> str:
    """Returns `name` with those parameters of the record that are not the default."""
    changed = [
        f"{field}={word(getattr(record, field), default)}"
        for field, default in _defaults(type(record)).items()
        if word(getattr(record, field), default) != word(default, default)
    ]
    return name + ("?" + "&".join(changed) if changed else "")


def check(record: Any, limits: Limits) -> None:
    """Raises `BadInput` if a field is beyond its limits, with the nearest valid id."""
    # JAX may rebuild a record around a tracer. What has no value yet is let pass.
    given = {k: v for k, v in vars(record).items() if isinstance(v, numbers.Real)}
    valid = nearest(given, limits)
    for field in limits:
        if field in given and given[field] != valid[field]:
            low, high = limits[field](valid)
            raise BadInput(
                f"{field} is {given[field]}; expected {low} to {high}, "
                f"e.g. {type(record)(**valid).id}"
            )


def nearest(given: Fields, limits: Limits) -> Fields:
    """Returns the fields, each moved within its limits."""
    valid = dict(given)
    for field in filter(given.__contains__, limits):
        low, high = limits[field](valid)
        # In this order, not a number becomes the lowest.
        valid[field] = min(max(low, given[field]), high)
    return valid


def _defaults(record: type) -> Fields:
    return {
        field.name: field.default
        for field in dataclasses.fields(record)
        if field.default is not dataclasses.MISSING
    }


def _assign(assignment: str, defaults: Fields, kind: str) -> tuple[str, Any]:
    field, equals, text = assignment.partition("=")
    if not defaults:
        raise BadInput(f"{assignment!r} sets nothing; there is no {kind}")
    if not equals:
        raise BadInput(
            f"{assignment!r} sets nothing; expected PARAMETER=NUMBER, of "
            f"{', '.join(defaults)}"
        )
    if field not in defaults:
        raise unknown(kind, field, defaults)
    read, pattern, words = _KINDS[type(defaults[field])]
    if not re.fullmatch(pattern, text):
        raise BadInput(
            f"{field} is {text!r}; expected {words}, "
            f"e.g. {field}={word(defaults[field], defaults[field])}"
        )
    return field, read(text)


def word(value: Any, default: Any) -> str:
    """Returns a parameter's value as it is typed, if it is of its default's kind."""
    if isinstance(default, int):
        return str(value).lower()
    try:
        # A parameter that went through JAX comes back as an array.
        return repr(float(value))
    except TypeError:
        return "traced"


_KINDS: dict[type, tuple[Callable[[str], Any], str, str]] = {
    bool: (lambda text: text == "true", "true|false", "true or false"),
    int: (int, "-?[0-9]{1,9}", "a whole number"),
    float: (float, r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]{1,3})?", "a number"),
}
"""For the type of a default: how to read it, what it looks like, and what it is."""
