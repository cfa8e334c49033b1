"""Errors and flags of parsed dataclasses, as far as they depend on tyro's internals."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
from tyro import _errors as tyro_errors

from syntony.cli.arguments import (
    BoolFlag,
    LoggingOptions,
    RunArgument,
    Seeds,
    parse_args,
    parse_known_args,
)
from syntony.errors import InvalidInputError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    clip: bool = True

    def __post_init__(self):
        if self.rate < 0.0:
            raise InvalidInputError(f"rate is {self.rate}; expected at least 0")


@dataclass(frozen=True)
class Args:
    run: RunArgument
    steps: int | None = None
    mode: Literal["fast", "slow"] = "fast"
    quiet: BoolFlag = False
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "Missing from syntony test: RUN; see syntony test --help"),
        (
            "run --steps",
            "Missing value for argument '--steps'; expected INT; "
            "see syntony test --help",
        ),
        ("run --rate", "Missing value for argument '--rate'; expected FLOAT; see"),
        (
            "run --steps x",
            "--steps: 'x' is not a whole number; see syntony test --help",
        ),
        (
            "run --mode fats",
            "--mode: unknown value 'fats'; did you mean 'fast'?; "
            "see syntony test --help",
        ),
        ("run --rate=-1", "rate is -1.0; expected at least 0; see syntony test --help"),
        ("run --stpes 3", "unknown flag '--stpes'; did you mean '--steps'?"),
        ("run --stpes=3", "unknown flag '--stpes'; did you mean '--steps'?"),
        ("run 3", "'3' is one argument too many; expected a flag, or nothing more"),
    ],
)
def test_every_error_is_structured(
    arguments: str, expected: str, capsys: pytest.CaptureFixture[str]
):
    """Fails if the error events of tyro change, which are no public interface."""
    with pytest.raises(InvalidInputError) as error:
        parse_args(Args, arguments.split(), prog="syntony test")
    assert str(error.value).startswith(expected)
    assert capsys.readouterr() == ("", "")


def test_tyro_has_the_error_events_that_are_handled():
    for name in ("on_parse_error", "MissingArgs", "BadValue", "InstantiationFailure"):
        assert hasattr(tyro_errors, name), f"tyro._errors has no {name} any more"


def test_flags_of_nested_dataclasses_have_no_prefix():
    args = parse_args(Args, ["run", "--rate", "0.5", "--no-clip"], prog="syntony test")
    assert args == Args("run", inner=Inner(rate=0.5, clip=False))


def test_spellings_of_whole_numbers():
    args = parse_args(Args, ["run", "--steps", "50,000"], prog="syntony test")
    assert args.steps == 50_000


@dataclass(frozen=True)
class SeedArgs:
    seeds: Seeds = 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("3", 3), ("1000", 1000), ("1_000", 1000), ("1e3", 1000), ("-1", -1)),
        *(("0,1,2", (0, 1, 2)), ("7,3", (7, 3)), ("100,200", (100, 200))),
        ("1,1", (1, 1)),
    ],
)
def test_seeds(text: str, expected: int | tuple[int, ...]):
    """`100,200` are two seeds: there is no thousands separator here."""
    args = parse_args(SeedArgs, ["--seeds", text], prog="syntony test")
    assert args.seeds == expected


@pytest.mark.parametrize(
    "text", ["1,000", "5,", ",5", "0, 1", "0;1", "0:3", "0-3", "-1,2", "1.5,2", "", "٣"]
)
def test_invalid_seeds(text: str):
    with pytest.raises(InvalidInputError, match="is no number of seeds"):
        parse_args(SeedArgs, [f"--seeds={text}"], prog="syntony test")


def test_known_arguments_are_separated_from_others():
    argv = ["--rate", "0.5", "--quiet", "word", "--other=-1", "--help"]
    args, others = parse_known_args(LoggingOptions, argv, prog="syntony test")
    assert args == LoggingOptions(quiet=True)
    assert others == ["--rate", "0.5", "word", "--other=-1", "--help"]
