"""Words to records: every field of a record is a flag, every mistake one line."""

import contextlib
import dataclasses
import io
import itertools
import math
import re
import typing
from collections.abc import Callable, Iterator, Sequence
from types import NoneType
from typing import Annotated, Any, TypeVar

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
)

from syntony.errors import InvalidInputError, unknown_name_error

ArgsT = TypeVar("ArgsT")
BoolFlag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
"""A flag that says yes by being there."""
RunArgument = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
"""A run folder, named without a flag."""
TyroSpec = PrimitiveConstructorSpec[Any]
TyroRule = Callable[[PrimitiveTypeInfo], TyroSpec | None]


def parse_args(
    args_class: type[ArgsT],
    argv: Sequence[str],
    *,
    prog: str,
    default: ArgsT | None = None,
    rules: Sequence[TyroRule] = (),
) -> ArgsT:
    """Returns the record that the words of a command describe.

    Fields of nested records are flags of their own name. `--help` prints and exits.

    Args:
        prog: the command before these words.
        default: the record whose values hold where no flag was given.
        rules: how to read types that are not numbers or text.

    Raises:
        BadInput: a word is not understood, or one is missing.
    """
    registry = ConstructorRegistry()
    for rule in (*rules, literal_rule, int_rule, float_rule):
        registry.primitive_rule(rule)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            record, rest = tyro.cli(
                args_class,
                args=list(argv),
                prog=prog,
                default=tyro.MISSING_NONPROP if default is None else default,
                return_unknown_args=True,
                registry=registry,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as end:
        if end.code:
            said = _tyro_error_text(complaint.getvalue())
            raise InvalidInputError(f"{said}; see {prog} --help") from None
        raise
    if rest:
        raise _unknown_argument_error(rest[0], args_class)
    return record


def flag_names(args_class: Any) -> Iterator[str]:
    """Yields the names of all flags of a record, and of those nested in it."""
    hints = typing.get_type_hints(args_class)
    for field in dataclasses.fields(args_class):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from flag_names(hint)
            continue
        name = field.name.replace("_", "-")
        yield f"--{name}"
        if hint is bool:
            yield f"--no-{name}"


def _unknown_argument_error(arg: str, args_class: Any) -> InvalidInputError:
    if not arg.startswith("-"):
        return InvalidInputError(
            f"{arg!r} is one word too many; expected a flag, or no more"
        )
    return unknown_name_error("flag", arg.partition("=")[0], flag_names(args_class))


def _tyro_error_text(error_box: str) -> str:
    """Returns what a box of tyro says between its title and its next rule.

    The box is drawn of lines, or, where the terminal has none, of blanks and hyphens.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", error_box)
    lines = [line for text in plain.splitlines() if (line := text.strip("│ "))]
    paragraphs = [
        list(group)
        for is_rule, group in itertools.groupby(lines, re.compile(r"[─-]+$").match)
        if not is_rule
    ]
    (_, *under_title), *rest = paragraphs
    text = " ".join(under_title or rest[0])
    text = text.replace("Error parsing ", "").removesuffix(".")
    return re.sub(r" Expected 1 values$", " Expected a value", text)


def int_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    """Reads `50000`, `50_000`, `50,000` and `5e4` alike."""
    if not _is_type_or_optional(int, info):
        return None

    def read(words: list[str]) -> int:
        text = words[0].replace("_", "").replace(",", "")
        if re.fullmatch(r"[+-]?\d+", text):
            return int(text)
        if re.fullmatch(r"\d+(\.\d+)?e\d+", text) and float(text).is_integer():
            return int(float(text))
        raise ValueError(f"{words[0]!r} is not a whole number")

    return make_tyro_spec(
        "INT", read, int, lambda n: f"{n:_}" if n >= 10_000 else str(n)
    )


def float_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    """Reads finite numbers."""
    if not _is_type_or_optional(float, info):
        return None

    def read(words: list[str]) -> float:
        if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", words[0].lower()):
            number = float(words[0])
            if math.isfinite(number):
                return number
            raise ValueError(f"{words[0]!r} is not a finite number")
        raise ValueError(f"{words[0]!r} is not a number")

    return make_tyro_spec("FLOAT", read, float, str)


def _is_type_or_optional(value_type: type, info: PrimitiveTypeInfo) -> bool:
    # A number that may be left out is read as any other: None is no word for it.
    return info.type is value_type or set(typing.get_args(info.type)) == {
        value_type,
        NoneType,
    }


def literal_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    """Reads one of a few words."""
    options = typing.get_args(info.type)
    if typing.get_origin(info.type) is not typing.Literal:
        return None

    def read(words: list[str]) -> str:
        if words[0] in options:
            return words[0]
        raise unknown_name_error("value", words[0], options)

    return make_tyro_spec("|".join(options), read, str, str)


def make_tyro_spec(
    metavar: str,
    from_words: Callable[[list[str]], Any],
    value_type: type,
    to_word: Callable[[Any], str],
) -> TyroSpec:
    """Returns how tyro reads one word as a value, and shows the value in help.

    Args:
        read: turns a list of one word into the value, or raises ValueError.
        kind: what the value is.
        show: turns the value into a word.
    """
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=from_words,
        is_instance=lambda value: value is None or isinstance(value, value_type),
        str_from_instance=lambda value: ["" if value is None else to_word(value)],
    )
