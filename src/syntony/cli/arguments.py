"""Parsing of arguments by tyro: every field of a dataclass is a flag.

Numbers have rules of their own (`5e4` and `50_000` are whole numbers, nan is none), and
every error is one line that names what was expected.
"""

import re
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import NoneType
from typing import Annotated, Any, NoReturn, TypeVar

import tyro
from tyro import _errors as tyro_errors
from tyro._arguments import ArgumentDefinition
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
)

from syntony.cli.flags import (
    flag_names,
    reject_lists_of_widths,
    reject_repeated_flags,
    unknown_flag_error,
)
from syntony.cli.help_text import wrap
from syntony.errors import InvalidInputError, unknown_name_error
from syntony.number_parsing import parse_number, parse_whole_number, quote

ArgsT = TypeVar("ArgsT")
ValueT = TypeVar("ValueT")
BoolFlag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
"""Flag without a value: true where it is given."""
RunArgument = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
"""Positional argument: a run folder."""
RunsArgument = Annotated[
    tuple[str, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="RUN...", help_behavior_hint=""),
]
"""Positional arguments: run folders, any number."""
Seeds = int | tuple[int, ...]
"""Number of seeds, or the seeds."""
# Of a type that is only known at run time, that of the flag's value.
TyroSpec = PrimitiveConstructorSpec[Any]
TyroRule = Callable[[PrimitiveTypeInfo], TyroSpec | None]


@dataclass(frozen=True)
class LoggingOptions:
    """Where training reports to; not stored: to be given again when resuming."""

    quiet: BoolFlag = False
    """Print nothing but errors."""
    tensorboard: BoolFlag = False
    """Also write to tensorboard/ in the run folder, for TensorBoard: the whole curve,
    also of a run that began without it."""
    wandb: BoolFlag = False
    """Also log to Weights & Biases; without a network: WANDB_MODE=offline."""


def parse_args(
    args_class: type[ArgsT],
    argv: Sequence[str],
    *,
    prog: str,
    description: str | None = None,
    common_options: str = "",
    default: ArgsT | None = None,
    rules: Sequence[TyroRule] = (),
) -> ArgsT:
    """Parses the arguments of a command into a dataclass.

    Fields of nested dataclasses are flags without a prefix. `--help` prints and exits.

    Args:
        args_class: the dataclass.
        argv: arguments.
        prog: the command before these arguments.
        description: first paragraphs of the help text; by default the docstring of
            the dataclass.
        common_options: lines below them, each of which stays a line.
        default: the values of flags that are not given.
        rules: how values of types other than numbers and text are parsed.

    Raises:
        InvalidInputError: an argument is unknown, invalid, missing or given twice.
    """
    if description is not None:
        # tyro wraps no description, and joins lines that begin with a letter.
        description = wrap(description, indent=" ").replace("\n\n", "\n")
        description += common_options
    valid = [*flag_names(args_class, rules)]
    reject_repeated_flags(argv, valid)
    reject_lists_of_widths(argv)
    args, unknown = _call_tyro(
        args_class,
        argv,
        prog=prog,
        description=description,
        default=default,
        rules=rules,
    )
    if unknown:
        raise _unknown_argument_error(unknown[0], valid, prog)
    return args


def parse_known_args(
    args_class: type[ArgsT], argv: Sequence[str], *, prog: str
) -> tuple[ArgsT, list[str]]:
    """Parses the flags of a dataclass; returns it and all other arguments.

    Raises:
        InvalidInputError: a value is invalid or missing, or a flag is given twice.
    """
    reject_repeated_flags(argv)
    return _call_tyro(args_class, argv, prog=prog, add_help=False)


def _call_tyro(
    args_class: type[ArgsT],
    argv: Sequence[str],
    *,
    prog: str,
    description: str | None = None,
    default: ArgsT | None = None,
    add_help: bool = True,
    rules: Sequence[TyroRule] = (),
) -> tuple[ArgsT, list[str]]:
    registry = ConstructorRegistry()
    for rule in (*rules, seeds_rule, literal_rule, int_rule, float_rule):
        registry.primitive_rule(rule)
    with tyro_errors.on_parse_error(partial(_raise_invalid_input, prog)):
        return tyro.cli(
            args_class,
            args=list(argv),
            prog=prog,
            description=description,
            default=tyro.MISSING_NONPROP if default is None else default,
            add_help=add_help,
            return_unknown_args=True,
            registry=registry,
            config=(tyro.conf.OmitArgPrefixes,),
        )


def _raise_invalid_input(prog: str, event: tyro_errors.ParseErrorEvent) -> NoReturn:
    """Raises tyro's error as ours.

    The events are tyro's only errors with structure, in a private module: the version
    of tyro is bounded in pyproject.toml, and `test_arguments.py` covers every event.
    """
    match event:
        case tyro_errors.MissingArgs(missing_arguments=missing):
            names = ", ".join(_argument_name(context.arg) for context in missing)
            text = f"Missing from {prog}: {names}"
        case tyro_errors.BadValue(argument=argument):
            expected = f"expected {argument.lowered.metavar}"
            text = (
                f"Missing value for argument '{_argument_name(argument)}'; {expected}"
            )
        case tyro_errors.InstantiationFailure(argument=argument, message=text):
            if argument is not None:
                text = f"{_argument_name(argument)}: {text}"
        case _:
            text = "the arguments cannot be parsed"
    raise InvalidInputError(f"{text}; see {prog} --help") from None


def _argument_name(argument: ArgumentDefinition) -> str:
    """Metavar of a positional argument, flag of any other."""
    names = argument.lowered.name_or_flags
    return str(argument.lowered.metavar) if argument.is_positional() else names[0]


def _unknown_argument_error(
    argument: str, valid: Sequence[str], prog: str
) -> InvalidInputError:
    if not argument.startswith("-"):
        return InvalidInputError(
            f"{argument!r} is one argument too many; expected a flag, or nothing more"
        )
    return unknown_flag_error(argument.partition("=")[0], valid, prog)


def int_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    """Rule for whole numbers: `50000`, `50_000`, `50,000` and `5e4` are the same."""
    if not _is_type_or_optional(int, info):
        return None
    return make_tyro_spec(
        "INT",
        lambda args: parse_whole_number(args[0]),
        int,
        lambda n: f"{n:_}" if n >= 10_000 else str(n),
    )


def float_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    """Rule for numbers, which must be finite."""
    if not _is_type_or_optional(float, info):
        return None
    return make_tyro_spec("FLOAT", lambda args: parse_number(args[0]), float, str)


def seeds_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    """Rule for `Seeds`: `3` is a number of seeds, `0,4,7` are those three.

    No comma separates thousands here: `100,200` are two seeds.
    """
    if info.type != Seeds:
        return None

    def parse(args: list[str]) -> int | tuple[int, ...]:
        text = args[0]
        if re.fullmatch(r"(0|[1-9][0-9]{0,18})(,(0|[1-9][0-9]{0,18}))+", text):
            return tuple(map(int, text.split(",")))
        try:
            return parse_whole_number(text.replace(",", ";"))
        except ValueError:
            raise ValueError(
                f"{quote(text)} is no number of seeds, e.g. 1000, nor a list of seeds, "
                "e.g. 0,4,7"
            ) from None

    return make_tyro_spec("K|A,B,...", parse, object, str)


def literal_rule(info: PrimitiveTypeInfo) -> TyroSpec | None:
    """Rule for a `Literal` of strings: one of them."""
    options = typing.get_args(info.type)
    if typing.get_origin(info.type) is not typing.Literal:
        return None

    def parse(args: list[str]) -> str:
        if args[0] in options:
            return args[0]
        raise unknown_name_error("value", args[0], options)

    return make_tyro_spec("|".join(options), parse, str, str)


def make_tyro_spec(
    metavar: str,
    parse: Callable[[list[str]], ValueT],
    value_type: type,
    to_text: Callable[[ValueT], str],
) -> TyroSpec:
    """Specification of a flag with one value.

    Args:
        metavar: the value in help texts.
        parse: turns a list of one argument into the value, or raises ValueError.
        value_type: type of the value.
        to_text: turns the value into the argument that help texts show as default.
    """
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=parse,
        is_instance=lambda value: value is None or isinstance(value, value_type),
        str_from_instance=lambda value: ["" if value is None else to_text(value)],
    )


def _is_type_or_optional(value_type: type, info: PrimitiveTypeInfo) -> bool:
    # An optional number is parsed as a number: no argument stands for None.
    return info.type is value_type or set(typing.get_args(info.type)) == {
        value_type,
        NoneType,
    }
