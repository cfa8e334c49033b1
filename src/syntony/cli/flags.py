"""Names of flags: of a dataclass, repeated ones, and unknown ones with what was meant.

Arguments are looked at before tyro parses them, which takes the last of several values
in silence.
"""

import dataclasses
import difflib
import itertools
import typing
from collections.abc import Callable, Iterator, Sequence

import tyro
from tyro.constructors import PrimitiveTypeInfo

from syntony.errors import InvalidInputError, nearest_name

Rule = Callable[[PrimitiveTypeInfo], object | None]
"""How values of a type are parsed; None for a type that it does not know."""
SYNONYMS = {
    "batch": "batch-size num-envs",
    "batch-size": "num-envs",
    "capacity": "buffer-size",
    "clip-grad": "max-grad-norm",
    "discount": "gamma",
    "env": "task",
    "envs": "num-envs",
    "environment": "task",
    "epochs": "ppo-epochs steps",
    "eval-freq": "eval-every",
    "eval-interval": "eval-every",
    "grad-clip": "max-grad-norm",
    "iterations": "steps",
    "iters": "steps",
    "learning-rate": "lr",
    "lr": "learning-rate",
    "log-dir": "out",
    "max-steps": "steps",
    "n-envs": "num-envs",
    "n-seeds": "seeds",
    "name": "out",
    "num-seeds": "seeds",
    "output": "out",
    "output-dir": "out",
    "replay": "buffer-size",
    "replay-size": "buffer-size",
    "snr": "snr-db",
    "t-max": "steps",
    "tau": "target-tau",
    "timesteps": "steps",
    "total-steps": "steps",
    "total-timesteps": "steps",
    "verbose": "quiet",
    "width": "hidden",
}
"""Names in other programs, and the names here, of which a command has one or none."""
DEVICE_WORDS = {"accelerator", "cpu", "cuda", "device", "devices", "gpu", "gpus", "tpu"}
WIDTH_WORDS = {"dim", "hidden", "units", "width"}
"""Words in the names of flags whose value is the width of layers."""
MAX_HINTS = 4
"""Most flags that a hint names."""
MAX_LISTED = 8
"""Most flags of a command that are all listed."""
MIN_SUBSTRING = 3
"""Fewest characters of a part of a name that tells which is meant."""
MISSPELLING_CUTOFF = 0.8
"""Similarity of names from which one is a misspelling of the other."""


def flag_names(args_class: type, rules: Sequence[Rule] = ()) -> Iterator[str]:
    """Yields the flags of all fields of a dataclass and of those nested in it.

    Args:
        args_class: the dataclass.
        rules: a dataclass that one of these parses is a single flag.
    """
    for name, kind, has_negation in _iter_flags(args_class, rules):
        yield f"--{name}"
        if kind is bool and has_negation:
            yield f"--no-{name}"


def switch_names(args_class: type, rules: Sequence[Rule] = ()) -> Iterator[str]:
    """Yields those flags that have no value, and their negations."""
    for name, kind, has_negation in _iter_flags(args_class, rules):
        if kind is bool:
            yield f"--{name}"
            if has_negation:
                yield f"--no-{name}"


def _iter_flags(
    args_class: type, rules: Sequence[Rule]
) -> Iterator[tuple[str, object, bool]]:
    """Yields name and type of each flag, and whether it may have a negation."""
    assert dataclasses.is_dataclass(args_class)
    types = typing.get_type_hints(args_class)
    hints = typing.get_type_hints(args_class, include_extras=True)
    for field in dataclasses.fields(args_class):
        kind, metadata = (
            types[field.name],
            getattr(hints[field.name], "__metadata__", ()),
        )
        is_flag = any(rule(PrimitiveTypeInfo.make(kind, set())) for rule in rules)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and not is_flag:
            yield from _iter_flags(kind, rules)
            continue
        if tyro.conf.Positional in metadata:
            continue
        names = [getattr(x, "name", None) for x in metadata]
        name = next(filter(None, names), field.name).replace("_", "-")
        yield name, kind, tyro.conf.FlagCreatePairsOff not in metadata


def reject_repeated_flags(argv: Sequence[str], valid: Sequence[str] = ()) -> None:
    """Raises InvalidInputError if a flag is given twice, or with its negation.

    Args:
        argv: arguments of a command.
        valid: its flags, of which some may be negations of others.
    """
    seen: dict[str, str] = {}
    for flag in filter(is_flag, argv):
        name = flag.partition("=")[0].replace("_", "-")
        positive = f"--{name.removeprefix('--no-')}"
        key = positive if {name, positive} <= {*valid} else name
        if key in seen:
            if seen[key] == name:
                raise InvalidInputError(f"{name} is given twice; expected once")
            raise InvalidInputError(
                f"{name} is given beside {seen[key]}; expected one of them"
            )
        seen[key] = name


def reject_lists_of_widths(argv: Sequence[str]) -> None:
    """Raises InvalidInputError for `--hidden 128,128`, which is no number of 128,128.

    All layers of a network are of one width.
    """
    pairs = [flag.partition("=")[::2] for flag in argv if "=" in flag]
    pairs += itertools.pairwise(argv)
    for flag, value in pairs:
        words = {*flag.removeprefix("--").replace("_", "-").split("-")}
        if is_flag(flag) and words & WIDTH_WORDS and "," in value:
            example = value.partition(",")[0] or "64"
            raise InvalidInputError(
                f"{flag} is {value!r}; expected one width, for all layers, without a "
                f"comma: {flag} {example}"
            )


def is_flag(argument: str) -> bool:
    """Whether an argument is a flag; a negative number is none."""
    return len(argument) > 2 and argument.startswith("--")


def unknown_flag_error(flag: str, valid: Sequence[str], prog: str) -> InvalidInputError:
    """Error for a flag that a command does not have, with those that may be meant.

    Args:
        flag: the unknown flag.
        valid: the flags of the command.
        prog: the command.
    """
    name = flag.lstrip("-").replace("_", "-")
    if DEVICE_WORDS & {*name.split("-")}:
        return InvalidInputError(
            f"unknown flag {flag!r}; JAX chooses the device; expected e.g. "
            f"JAX_PLATFORMS=cpu {prog}"
        )
    names = [x.removeprefix("--") for x in valid]
    if hints := [f"'--{x}'" for x in _similar_names(name, names)][:MAX_HINTS]:
        first, last = ", ".join(hints[:-1]), hints[-1]
        hint = f"did you mean {f'{first} or ' if first else ''}{last}?"
    elif len(valid) <= MAX_LISTED:
        hint = f"valid: {', '.join(valid)}" if valid else "there are no flags"
    else:
        hint = f"all flags are listed by: {prog} --help"
    return InvalidInputError(f"unknown flag {flag!r}; {hint}")


def _similar_names(name: str, valid: Sequence[str]) -> list[str]:
    """Names that may be meant: misspelled, of other programs, or of the same words."""
    words = {*name.split("-")}
    misspelled = difflib.get_close_matches(name, valid, 1, MISSPELLING_CUTOFF)
    meant = [{*x.split("-")} for x in SYNONYMS.get(name, "").split()]
    synonyms = [x for x in valid if any(y <= {*x.split("-")} for y in meant)]
    longer = [x for x in valid if words <= {*x.split("-")}]
    parts = [x for x in valid if len(name) >= MIN_SUBSTRING and name in x]
    shorter = [x for x in valid if {*x.split("-")} <= words]
    near = [x for x in [nearest_name(name, valid)] if x]
    positive = [x for x in longer if not x.startswith("no-")]
    choices = (misspelled, synonyms, positive, parts, shorter, near)
    return next(filter(None, choices), [])
