"""Keyword arguments of a user's function, object or class, as an id gives them.

`python:radio:send?snr_db=8&taps=3` calls `send(x, snr_db=8, taps=3)`; of a class, the
arguments are those of its construction.
"""

import inspect
import re
from collections.abc import Mapping
from typing import NamedTuple

from syntony.errors import InvalidInputError, unknown_name_error
from syntony.identifiers import format_value
from syntony.number_parsing import parse_number, parse_whole_number, quote

Argument = bool | int | float | str
"""Value of an argument that an id can give."""
REQUIRED = inspect.Parameter.empty
"""Default of an argument that has to be given."""
KEYWORD_KINDS = {
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
}


class Signature(NamedTuple):
    """Keyword arguments that a function, an object or a class accepts."""

    defaults: Mapping[str, object]
    """Default of each argument, without the signal x; `REQUIRED` without one."""
    accepts_others: bool = False
    """Whether it accepts any other name: `**kwargs`."""


def signature_of(target: object) -> Signature:
    """Keyword arguments of a function or object beside x, or of a class.

    Those of a function of a compiled library may be unknown: then there are none.
    """
    try:
        parameters = [*inspect.signature(target).parameters.values()]  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return Signature({})
    if not isinstance(target, type):
        # The first one is x.
        parameters = parameters[1:]
    kinds = {parameter.kind for parameter in parameters}
    named = {p.name: p.default for p in parameters if p.kind in KEYWORD_KINDS}
    return Signature(named, inspect.Parameter.VAR_KEYWORD in kinds)


def parse_arguments(
    id: str, signature: Signature, reserved: tuple[str, ...] = ()
) -> dict[str, Argument]:
    """Arguments after the question mark of an id.

    Text that reads as a number is one, `true` and `false` are booleans; where the
    default is text, everything is.

    Args:
        id: the id that the user typed.
        signature: the arguments that there are.
        reserved: names that are accepted in any case.

    Raises:
        InvalidInputError: an argument is unknown, given twice, or of another type than
            its default.
    """
    name, mark, query = id.partition("?")
    arguments: dict[str, Argument] = {}
    for assignment in query.split("&") if mark else []:
        field, equals, text = assignment.partition("=")
        if not equals:
            raise InvalidInputError(
                f"{assignment!r} in {id!r} sets nothing; expected ARGUMENT=VALUE"
            )
        known = {*signature.defaults, *reserved}
        if field not in known and not signature.accepts_others:
            raise unknown_name_error(f"argument of {name}", field, known)
        if field in arguments:
            raise InvalidInputError(f"{field} is given twice in {id!r}; expected once")
        arguments[field] = _parse_value(field, text, signature.defaults.get(field))
    return arguments


def check_arguments(
    name: str, signature: Signature, arguments: Mapping[str, Argument]
) -> None:
    """Raises InvalidInputError where an argument without a default is not given."""
    required = [n for n, default in signature.defaults.items() if default is REQUIRED]
    if missing := [n for n in required if n not in arguments]:
        query = "&".join(f"{n}=..." for n in missing)
        raise InvalidInputError(
            f"{name} needs {', '.join(missing)}; expected {name}?{query}, or a default"
        )


def format_arguments(arguments: Mapping[str, Argument]) -> str:
    """The end of an id that gives these arguments; empty without any."""
    texts = [f"{n}={format_value(value, value)}" for n, value in arguments.items()]
    return "?" + "&".join(texts) if texts else ""


def _parse_value(field: str, text: str, default: object) -> Argument:
    if not re.fullmatch(r"[^\s?&]+", text):
        raise InvalidInputError(
            f"{field} is {quote(text)}; expected a value without spaces, ? and &"
        )
    value = text if isinstance(default, str) else _guess_value(text)
    if isinstance(default, bool):
        _require_type(field, text, isinstance(value, bool), "true or false", default)
    elif isinstance(default, int | float):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        _require_type(field, text, is_number, "a number", default)
        return float(value) if isinstance(default, float) else value
    return value


def _require_type(
    field: str, text: str, valid: bool, expected: str, default: Argument
) -> None:
    if not valid:
        example = f"{field}={format_value(default, default)}"
        raise InvalidInputError(
            f"{field} is {quote(text)}; expected {expected}, e.g. {example}"
        )


def _guess_value(text: str) -> Argument:
    """The boolean or number that a text stands for, or else the text."""
    if text in ("true", "false"):
        return text == "true"
    for parse in (parse_whole_number, parse_number):
        try:
            return parse(text)
        except ValueError:
            continue
    return text
