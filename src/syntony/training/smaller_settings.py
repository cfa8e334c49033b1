"""Settings with which a run would take less memory, for error messages."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from syntony.channels.channel import Channel
from syntony.config import config_fields, literal_options, replace_fields
from syntony.errors import InvalidInputError
from syntony.tasks.task import Task
from syntony.training.run_config import RunConfig

T = TypeVar("T")
MAX_MULTIPLE = 4
"""Largest multiple of a layer's width that one of its arrays has as an axis: the gates
of a recurrent layer."""
MAX_HINTS = 2
"""Most flags that an error suggests."""
MARGIN = 0.9
"""Part of the memory that there is which a suggested value takes."""
HALF = "float16"
"""Type of half the size, where a setting has it as an option."""


class MemoryPart(NamedTuple):
    """Arrays that a run keeps in memory."""

    name: str
    """Path in the state, e.g. `replay_buffer/episodes/obs`; or what it is."""
    num_bytes: int
    """Bytes of one copy."""
    shape: tuple[int, ...] = ()
    settings: tuple[str, ...] = ()
    """Settings that it grows with, beside those that are among its axes."""


class Setting(NamedTuple):
    """A setting of a system, which are nested, or of the run."""

    path: tuple[str, ...]
    value: int

    @property
    def flag(self) -> str:
        """Flag of the command line."""
        return f"--{self.path[-1].replace('_', '-')}"


def smaller_settings(
    config: RunConfig,
    part: MemoryPart,
    fraction: float,
    needed_bytes: Callable[[RunConfig], int] | None = None,
) -> str:
    """End of an error: flags, each with a value with which the run fits; or nothing.

    Args:
        config: the run.
        part: its largest part.
        fraction: of the bytes that it takes, those that there are.
        needed_bytes: bytes that a run takes; None where only compiling tells.
    """
    limit = needed_bytes(config) * fraction if needed_bytes else 0

    def fits(changed: RunConfig | None) -> bool:
        return changed is not None and (
            needed_bytes is None or needed_bytes(changed) <= limit
        )

    hints: list[str] = []
    for setting in _settings_of(config, part):
        value = _fitting_value(setting.value, _num_axes(setting, part), fraction)
        if value and fits(_try_replace(config, setting.path, value)):
            hints.append(f"{setting.flag} {value}")
    for setting in _type_settings(config.system, part):
        if needed_bytes and fits(_try_replace(config, setting.path, HALF)):
            hints.append(f"{setting.flag} {HALF}")
    return f"; try {' or '.join(hints[:MAX_HINTS])}" if hints else ""


def _settings_of(config: RunConfig, part: MemoryPart) -> list[Setting]:
    """Settings that a part grows with: those named, and those among its axes."""
    known = [*_whole_numbers(config.system)]
    known += [Setting(("eval_episodes",), config.eval_episodes)]
    named = [x for x in known if x.path[-1] in part.settings]
    axes = [x for x in known if x.value in part.shape and x.value > 1]
    by_size = sorted(axes, key=lambda setting: -setting.value)
    return list(dict.fromkeys([*named, *by_size]))


def _num_axes(setting: Setting, part: MemoryPart) -> int:
    """Number of axes that grow with a setting; at least 1."""
    multiples = [n * setting.value for n in range(1, MAX_MULTIPLE + 1)]
    return max(1, sum(axis in multiples for axis in part.shape))


def _fitting_value(value: int, num_axes: int, fraction: float) -> int:
    """Smaller value with which a part fits, of one digit and zeros; 0 for none."""
    smaller = int(value * (MARGIN * fraction) ** (1 / num_axes))
    unit = 10 ** int(math.log10(max(smaller, 1)))
    return smaller // unit * unit


def _whole_numbers(config: object, path: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Yields the whole numbers among settings, but not those of a task or channel."""
    for field in config_fields(type(config)):
        value, inner = getattr(config, field.name), (*path, field.name)
        if type(value) is int:
            yield Setting(inner, value)
        elif _is_group(value):
            yield from _whole_numbers(value, inner)


def _type_settings(
    config: object, part: MemoryPart, path: tuple[str, ...] = ()
) -> Iterator[Setting]:
    """Yields the settings that store a part in half of the memory."""
    for name, options in literal_options(type(config)).items():
        if HALF in options and part.name.endswith(name.partition("_")[0]):
            yield Setting((*path, name), 0)
    for field in config_fields(type(config)):
        value = getattr(config, field.name)
        if _is_group(value):
            yield from _type_settings(value, part, (*path, field.name))


def _is_group(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, Task | Channel)


def _try_replace(
    config: RunConfig, path: tuple[str, ...], value: object
) -> RunConfig | None:
    """The run with another setting; None if that is not valid."""
    try:
        if path[0] == "eval_episodes":
            return replace_fields(config, eval_episodes=value)
        system = _replace_nested(config.system, path, value)
        changed = replace_fields(config, system=system)
        changed.check()
    except InvalidInputError:
        return None
    return changed


def _replace_nested(config: T, path: tuple[str, ...], value: object) -> T:
    first, *rest = path
    if rest:
        value = _replace_nested(getattr(config, first), tuple(rest), value)
    return replace_fields(config, **{first: value})
