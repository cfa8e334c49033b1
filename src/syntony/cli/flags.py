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

from syntony.errors import BadInput, unknown

Record = TypeVar("Record")
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]
"""A flag that says yes by being there."""
Run = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
"""A run folder, named without a flag."""
Spec = PrimitiveConstructorSpec[Any]
Rule = Callable[[PrimitiveTypeInfo], Spec | None]


def parse(
    kind: type[Record],
    words: Sequence[str],
    *,
    prog: str,
    default: Record | None = None,
    rules: Sequence[Rule] = (),
) -> Record:
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
    for rule in (*rules, choice, whole, real):
        registry.primitive_rule(rule)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            record, rest = tyro.cli(
                kind,
                args=list(words),
                prog=prog,
                default=tyro.MISSING_NONPROP if default is None else default,
                return_unknown_args=True,
                registry=registry,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as end:
        if end.code:
            said = _first_paragraph(complaint.getvalue())
            raise BadInput(f"{said}; see {prog} --help") from None
        raise
    if rest:
        raise _not_understood(rest[0], kind)
    return record


def flags(kind: Any) -> Iterator[str]:
    """Yields the names of all flags of a record, and of those nested in it."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from flags(hint)
            continue
        name = field.name.replace("_", "-")
        yield f"--{name}"
        if hint is bool:
            yield f"--no-{name}"


def _not_understood(word: str, kind: Any) -> BadInput:
    if not word.startswith("-"):
        return BadInput(f"{word!r} is one word too many; expected a flag, or no more")
    return unknown("flag", word.partition("=")[0], flags(kind))


def _first_paragraph(box: str) -> str:
    """Returns what a box of tyro says between its title and its next rule.

    The box is drawn of lines, or, where the terminal has none, of blanks and hyphens.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
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


def whole(info: PrimitiveTypeInfo) -> Spec | None:
    """Reads `50000`, `50_000`, `50,000` and `5e4` alike."""
    if not _asks_for(int, info):
        return None

    def read(words: list[str]) -> int:
        text = words[0].replace("_", "").replace(",", "")
        if re.fullmatch(r"[+-]?\d+", text):
            return int(text)
        if re.fullmatch(r"\d+(\.\d+)?e\d+", text) and float(text).is_integer():
            return int(float(text))
        raise ValueError(f"{words[0]!r} is not a whole number")

    return spec("INT", read, int, lambda n: f"{n:_}" if n >= 10_000 else str(n))


def real(info: PrimitiveTypeInfo) -> Spec | None:
    """Reads finite numbers."""
    if not _asks_for(float, info):
        return None

    def read(words: list[str]) -> float:
        if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", words[0].lower()):
            number = float(words[0])
            if math.isfinite(number):
                return number
            raise ValueError(f"{words[0]!r} is not a finite number")
        raise ValueError(f"{words[0]!r} is not a number")

    return spec("FLOAT", read, float, str)


def _asks_for(kind: type, info: PrimitiveTypeInfo) -> bool:
    # A number that may be left out is read as any other: None is no word for it.
    return info.type is kind or set(typing.get_args(info.type)) == {kind, NoneType}


def choice(info: PrimitiveTypeInfo) -> Spec | None:
    """Reads one of a few words."""
    options = typing.get_args(info.type)
    if typing.get_origin(info.type) is not typing.Literal:
        return None

    def read(words: list[str]) -> str:
        if words[0] in options:
            return words[0]
        raise unknown("value", words[0], options)

    return spec("|".join(options), read, str, str)


def spec(
    metavar: str,
    read: Callable[[list[str]], Any],
    kind: type,
    show: Callable[[Any], str],
) -> Spec:
    """Returns how tyro reads one word as a value, and shows the value in help.

    Args:
        read: turns a list of one word into the value, or raises ValueError.
        kind: what the value is.
        show: turns the value into a word.
    """
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: value is None or isinstance(value, kind),
        str_from_instance=lambda value: ["" if value is None else show(value)],
    )
