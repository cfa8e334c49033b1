"""Ids of other libraries' environments: `LIBRARY:NAME?PARAMETER=VALUE&...`."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
    summarize_exception,
    unknown_name_error,
)

LITERALS = {"true": True, "false": False, "none": None, "null": None}


class EnvId(NamedTuple):
    """Parts of an id."""

    library: str
    name: str
    parameters: dict[str, object]
    """The library's keyword arguments."""


def parse_env_id(id: str, examples: Mapping[str, str]) -> EnvId:
    """Library, environment name, and parameter values of an id.

    Values are JSON, as in `N=3`, `coop=true`, `sizes=[8,8]`, or `none`; everything else
    is a string.

    Args:
        id: the id that the user typed.
        examples: a valid id of each library, by its name.

    Raises:
        InvalidInputError: the library is none of `examples`, there is no name, or a
            parameter has no value or is given twice.
    """
    head, mark, query = id.partition("?")
    library, _, name = head.partition(":")
    if library not in examples:
        raise unknown_name_error("kind of task", library, examples)
    if not name:
        raise InvalidInputError(
            f"task {id!r} is incomplete; expected e.g. {examples[library]}"
        )
    parameters: dict[str, object] = {}
    for assignment in query.split("&") if mark else []:
        parameter, equals, text = assignment.partition("=")
        if not (parameter and equals):
            raise InvalidInputError(
                f"{assignment!r} sets nothing; expected PARAMETER=VALUE"
            )
        if parameter in parameters:
            raise InvalidInputError(
                f"{parameter} is given twice in {id!r}; expected once"
            )
        parameters[parameter] = _parse_value(text)
    return EnvId(library, name, parameters)


@contextmanager
def opening(id: str) -> Generator[None, None, None]:
    """Context in which an environment is opened; its errors name the id.

    Raises:
        InvalidInputError: the environment cannot be opened.
    """
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"{id}: {error}") from error.__cause__
    except USER_CODE_EXCEPTIONS as error:
        raise InvalidInputError(
            f"{id} cannot be opened: {summarize_exception(error)}"
        ) from error


def _parse_value(text: str) -> object:
    if text.lower() in LITERALS:
        return LITERALS[text.lower()]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
