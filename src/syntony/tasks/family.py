"""How tasks are named: a family's ids, and the parameters after a question mark."""

import dataclasses
import numbers
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from syntony.errors import BadInput, unknown
from syntony.tasks.task import Task

Fields = dict[str, Any]

Limits = dict[str, Callable[[Fields], tuple[float, float]]]
"""The least and the most that each field may be; each may depend on those above it."""


class Family(NamedTuple):
    """Tasks that share a record, and how to type them."""

    prefix: str
    """What every id of the family starts with."""
    pattern: str
    """What an id looks like; square brackets hold what may be left out."""
    example: str
    """A valid id."""
    summary: str
    """What the agents have to do, in one line."""
    parse: Callable[[str], Task]
    """Turns an id into its record, or raises `BadInput`."""


def split(id: str, record: type) -> tuple[str, Fields]:
    """Splits `NAME?a=1&b=2` into the name and the parameters' values.

    Args:
        id: what the user typed.
        record: the task's record. Its fields with a default are its parameters.

    Raises:
        BadInput: a parameter is unknown, given twice, or not a number of its kind.
    """
    name, mark, query = id.partition("?")
    values = {}
    for assignment in query.split("&") if mark else []:
        field, value = _assign(assignment, _defaults(record))
        if field in values:
            raise BadInput(f"{field} is given twice in {id!r}; expected once")
        values[field] = value
    return name, values


def join(name: str, record: Any) -> str:
    """Returns `name` with those parameters of the record that are not the default."""
    changed = [
        f"{field}={_number(getattr(record, field))}"
        for field, default in _defaults(type(record)).items()
        if _number(getattr(record, field)) != _number(default)
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


def _assign(assignment: str, defaults: Fields) -> tuple[str, int | float]:
    field, equals, text = assignment.partition("=")
    if not equals:
        raise BadInput(
            f"{assignment!r} sets nothing; expected PARAMETER=NUMBER, of "
            f"{', '.join(defaults)}"
        )
    if field not in defaults:
        raise unknown("task parameter", field, defaults)
    whole = isinstance(defaults[field], int)
    number = r"-?[0-9]{1,9}" if whole else r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]{1,3})?"
    if not re.fullmatch(number, text):
        kind = "a whole number" if whole else "a number"
        raise BadInput(
            f"{field} is {text!r}; expected {kind}, e.g. {field}={defaults[field]}"
        )
    return field, int(text) if whole else float(text)


def _number(value: Any) -> str:
    if isinstance(value, int):
        return str(value)
    try:
        # A parameter that went through JAX comes back as an array.
        return repr(float(value))
    except TypeError:
        return "traced"
