"""Flags of dataclasses, repeated flags, and hints at what an unknown flag may mean."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
import tyro

from syntony.cli import main
from syntony.cli.arguments import BoolFlag, RunArgument, parse_args, parse_known_args
from syntony.cli.flags import flag_names, unknown_flag_error
from syntony.errors import InvalidInputError


@dataclass(frozen=True)
class Inner:
    actor_lr: float = 0.1
    critic_lr: float = 0.1
    clip: bool = True
    hidden: int = 64
    latent_dim: int = 8


@dataclass(frozen=True)
class Args:
    run: RunArgument
    eval_every: int = 10
    eval_episodes: int = 10
    num_envs: int = 10
    kind: Annotated[Literal["a", "b"], tyro.conf.arg(name="as")] = "a"
    quiet: BoolFlag = False
    inner: Inner = field(default_factory=Inner)


def error_of(arguments: str) -> str:
    with pytest.raises(InvalidInputError) as error:
        parse_args(Args, ["run", *arguments.split()], prog="syntony test")
    return str(error.value)


def test_names_are_those_that_can_be_typed():
    """Neither positional arguments, nor negations that do not exist."""
    names = [*flag_names(Args)]
    assert names == [
        *("--eval-every", "--eval-episodes", "--num-envs", "--as", "--quiet"),
        *("--actor-lr", "--critic-lr", "--clip", "--no-clip"),
        *("--hidden", "--latent-dim"),
    ]
    for name in names:
        value = {"--as": "b"}.get(name, "1")
        is_bool = name in ("--quiet", "--clip", "--no-clip")
        argv = ["run", name] if is_bool else ["run", name, value]
        assert parse_args(Args, argv, prog="syntony test").run == "run"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--eval-every 0 --eval-every 1", "--eval-every is given twice"),
        ("--eval-every=0 --eval-every 1", "--eval-every is given twice"),
        ("--eval-every 0 --eval-every 0", "--eval-every is given twice"),
        ("--eval_every 0 --eval-every 1", "--eval-every is given twice"),
        ("--quiet --quiet", "--quiet is given twice"),
        ("--clip --no-clip", "--no-clip is given beside --clip"),
        ("--no_clip --clip", "--clip is given beside --no-clip"),
        ("--as a --as b", "--as is given twice"),
    ],
)
def test_repeated_flags(arguments: str, expected: str):
    assert error_of(arguments).startswith(expected)


def test_values_may_be_repeated():
    argv = ["run", "--actor-lr", "-1", "--critic-lr", "-1", "--eval-every=5"]
    args = parse_args(Args, argv, prog="syntony test")
    assert (args.inner.actor_lr, args.inner.critic_lr) == (-1.0, -1.0)


def test_repeated_flags_before_others_are_parsed():
    with pytest.raises(InvalidInputError, match="--other is given twice"):
        parse_known_args(Inner, ["--other", "1", "--other=2"], prog="syntony test")


@pytest.mark.parametrize(
    "arguments",
    ["--hidden 128,128", "--hidden=64,64", "--hidden 64,", "--latent-dim 1,000"],
)
def test_widths_are_no_lists(arguments: str):
    error = error_of(arguments)
    assert "expected one width, for all layers" in error
    assert arguments.replace("=", " ").split()[0] + " is " in error


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--lr", "did you mean '--actor-lr' or '--critic-lr'?"),
        ("--learning-rate", "did you mean '--actor-lr' or '--critic-lr'?"),
        ("--num-env", "did you mean '--num-envs'?"),
        ("--n-envs", "did you mean '--num-envs'?"),
        ("--envs", "did you mean '--num-envs'?"),
        ("--batch-size", "did you mean '--num-envs'?"),
        ("--eval", "did you mean '--eval-every' or '--eval-episodes'?"),
        ("--eval-interval", "did you mean '--eval-every'?"),
        ("--HIDDEN", "did you mean '--hidden'?"),
        ("--hidden-size", "did you mean '--hidden'?"),
        ("--latent", "did you mean '--latent-dim'?"),
        ("--qiet", "did you mean '--quiet'?"),
        ("--device", "JAX chooses the device; expected e.g. JAX_PLATFORMS=cpu"),
        ("--gpus", "JAX chooses the device; expected e.g. JAX_PLATFORMS=cpu"),
        ("--config", "all flags are listed by: syntony test --help"),
        ("--run", "all flags are listed by: syntony test --help"),
    ],
)
def test_hints(flag: str, expected: str):
    error = unknown_flag_error(flag, [*flag_names(Args)], "syntony test")
    assert str(error).startswith(f"unknown flag {flag!r}; {expected}")


def test_few_flags_are_listed():
    error = unknown_flag_error("--seed", ["--once", "--interval"], "syntony watch")
    assert str(error) == "unknown flag '--seed'; valid: --once, --interval"
    error = unknown_flag_error("--json", [], "syntony list")
    assert str(error) == "unknown flag '--json'; there are no flags"


@pytest.mark.parametrize("command", ["train toy", "evaluate run", "resume run"])
def test_every_command_refuses_repeated_flags(
    command: str, capsys: pytest.CaptureFixture[str]
):
    flag = "--episodes" if "evaluate" in command else "--steps"
    assert main([*command.split(), flag, "3", f"{flag}=4"]) == 2
    assert f"{flag} is given twice; expected once" in capsys.readouterr().err
