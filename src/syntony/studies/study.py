"""A study: systems on tasks or over channels, their settings, seeds and steps.

A cell is a system on one task. A setting is a cell with one value for each flag that
the study varies: all combinations of a grid, or what a search proposes.
"""

import dataclasses
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from syntony.errors import InvalidInputError, unknown_name_error
from syntony.training.folder_walk import MAX_SETTINGS_BYTES
from syntony.training.run_config import seed_sequence
from syntony.training.safe_io import read_toml

FlagValue = str | int | float
Flags = dict[str, FlagValue]
"""Flags of `syntony train`, without dashes before them and with `_` between words."""
Range = Mapping[str, FlagValue]
"""Interval of a search: `low`, `high`, and `log = true` for a logarithmic scale."""
Values = Sequence[FlagValue] | Range
"""Values of a flag: all of them, or an interval."""

OWN_FLAGS = {"steps", "seeds", "seed", "out", "quiet", "trust"}
"""Flags of `train` that are no settings: the study gives them."""
RANGE_ENTRIES = {"low", "high", "log"}
SAMPLERS = ("tpe", "random")
MAX_SETTINGS = 100_000
"""Most settings of a study."""
MAX_NAME = 120
"""Most characters of the name of a trial, which is a folder."""


@dataclass(frozen=True)
class Search:
    """Settings that a search proposes, as many for each system on each task."""

    trials: int
    """Settings of each cell."""
    space: Mapping[str, object] = field(default_factory=dict[str, object])
    """Flags, each with a list of values or an interval."""
    sampler: str = "tpe"
    """`tpe`: more settings near good ones; `random`: independent settings."""
    prune: bool = True
    """Whether bad settings are stopped early, by successive halving."""
    metric: str | None = None
    """Metric that is optimized; None: the return, or the block error rate."""
    seed: int = 0
    """Seed of the sampler."""

    def __post_init__(self):
        if type(self.trials) is not int or not 1 <= self.trials <= MAX_SETTINGS:
            raise InvalidInputError(
                f"trials is {self.trials!r}; expected 1 to {MAX_SETTINGS:,}"
            )
        if self.sampler not in SAMPLERS:
            raise unknown_name_error("sampler", self.sampler, SAMPLERS)


class Cell(NamedTuple):
    """A system on one task or over one channel."""

    system: str
    flags: Flags
    """Flags that all of its settings have; the task or channel is one of them."""
    grid: Mapping[str, Sequence[FlagValue]]
    space: Mapping[str, Values]
    """Flags that a search varies."""
    steps: int
    seeds: tuple[int, ...]

    @property
    def title(self) -> str:
        """System, its preset if one is given, and task or channel."""
        return cell_title(self.system, self.flags)

    def settings(self) -> Iterator["Setting"]:
        """Yields all combinations of the grid."""
        for values in itertools.product(*self.grid.values()):
            yield self.setting(dict(zip(self.grid, values, strict=True)))

    def setting(self, values: Mapping[str, FlagValue]) -> "Setting":
        """The setting with these values of the flags that vary."""
        return Setting(self.system, self.flags | dict(values), self.steps)


def cell_title(system: str, flags: Mapping[str, FlagValue]) -> str:
    """System, its preset if one is given, and task or channel.

    Args:
        system: name of the system.
        flags: its flags.
    """
    preset, task = flags.get("preset"), flags.get("task", flags.get("channel"))
    name = f"{system} {preset}" if preset else system
    return f"{name} on {task}" if task else name


class Setting(NamedTuple):
    """A system with all its flags, but for the seeds."""

    system: str
    flags: Flags
    steps: int

    @property
    def id(self) -> str:
        """Hash of everything but the length: a longer study continues its runs."""
        content = json.dumps([self.system, sorted(self.flags.items())])
        return hashlib.sha256(content.encode()).hexdigest()[:10]

    @property
    def task(self) -> str:
        """Id of the task or channel; empty where the default is meant."""
        return str(self.flags.get("task", self.flags.get("channel", "")))

    def trial_name(self, seeds: Sequence[int], number: int | None = None) -> str:
        """Name of the folder of a run.

        Args:
            seeds: its seeds.
            number: number of a setting that a search has proposed.
        """
        words = re.sub(r"[^\w.-]+", "_", f"{self.system}-{self.task}".strip("-"))
        proposed = "" if number is None else f"-t{number}"
        last = f"-{seeds[-1]}" if len(seeds) > 1 else ""
        name = f"{words[:MAX_NAME]}-{self.id}{proposed}-s{seeds[0]}{last}"
        return name.lstrip(".-_")


@dataclass(frozen=True)
class Study:
    """Systems, tasks or channels, settings, seeds and steps.

    An entry of `systems`, `tasks` or `channels` is a name, or a table of flags: of
    `system`, `task` or `channel`, and of what is different there. It may hold a `grid`
    and a `space` of its own.

    Args:
        systems: names, or tables such as `{"system": "mappo", "preset": "yu2022"}`.
        tasks: ids, or tables such as `{"task": ID, "steps": 20_000}`.
        channels: ids, or tables; of systems without a task.
        steps: training length of each seed; an entry of a task may have its own.
        seeds: number of seeds of each setting, or the seeds.
        seeds_per_trial: most seeds that one process trains; None: all of a setting.
        retries: how often a trial that failed is started again.
        settings: flags of all trainings, as of `syntony train`.
        grid: flags and their values, of which all combinations are trained.
        search: settings that are proposed one after the other, in place of a grid.
        estimate: whether the speed is measured before the study begins.

    Raises:
        InvalidInputError: an entry is missing or of a wrong type.

    Examples:
        >>> import syntony
        >>> study = syntony.Study(
        ...     systems=["smpe", "maa2c"],
        ...     tasks=["SimpleSpread-3"],
        ...     steps=50_000,
        ...     seeds=3,
        ...     grid={"critic_lr": [1e-4, 5e-4]},
        ... )
        >>> len(study.cells())
        2
    """

    # Entries may be a file's: `cells` tells what is wrong with one.
    systems: Sequence[object]
    steps: int
    tasks: Sequence[object] = ()
    channels: Sequence[object] = ()
    seeds: int | Sequence[int] = 1
    seeds_per_trial: int | None = None
    retries: int = 2
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    grid: Mapping[str, object] = field(default_factory=dict[str, object])
    search: Search | None = None
    estimate: bool = False

    def __post_init__(self):
        if not self.systems or isinstance(self.systems, str):
            raise InvalidInputError("systems is no list; expected e.g. ['smpe']")
        if self.tasks and self.channels:
            raise InvalidInputError(
                "tasks and channels are both given; expected one of the two"
            )
        if self.search is not None and self.grid:
            raise InvalidInputError(
                "grid and search are both given; expected one of the two"
            )
        for name, least in (("seeds_per_trial", 1), ("retries", 0)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise InvalidInputError(
                    f"{name} is {value!r}; expected {least} or more"
                )
        titles = [cell.title for cell in self.cells()]
        repeated = [x for x in titles if titles.count(x) > 1]
        if self.search is not None and repeated:
            raise InvalidInputError(
                f"{repeated[0]} is given twice; expected one search of each system, "
                "preset and task"
            )

    def cells(self) -> list[Cell]:
        """Every system on every task or over every channel."""
        kind = "task" if self.tasks else "channel"
        places = [_as_table(x, kind) for x in self.tasks or self.channels] or [{}]
        systems = [_as_table(x, "system") for x in self.systems]
        return [self._cell(place, system) for place in places for system in systems]

    def _cell(self, place: Mapping[str, object], system: Mapping[str, object]) -> Cell:
        """The cell of an entry of `tasks` or `channels` and one of `systems`."""
        entries = {**self.settings, **place, **system}
        name = entries.pop("system", None)
        if not isinstance(name, str):
            raise InvalidInputError(f"system is {name!r}; expected a system's name")
        steps = entries.pop("steps", self.steps)
        if type(steps) is not int or steps < 1:
            raise InvalidInputError(f"steps is {steps!r}; expected 1 or more")
        space = {} if self.search is None else self.search.space
        grids = [_table_of(x, "grid") for x in (place, system)]
        spaces = [_table_of(x, "space") for x in (place, system)]
        if self.search is None and any(spaces):
            raise InvalidInputError("space is given without search; expected both")
        if self.search is not None and any(grids):
            raise InvalidInputError("grid and search are both given; expected one")
        merged_grid = {**self.grid, **grids[0], **grids[1]}
        merged_space = {**space, **spaces[0], **spaces[1]}
        return Cell(
            name,
            _checked_flags({k: v for k, v in entries.items() if k not in TABLES}),
            {_flag_name(k): _checked_list(k, v) for k, v in merged_grid.items()},
            {_flag_name(k): _checked_values(k, v) for k, v in merged_space.items()},
            steps,
            tuple(seed_sequence(self.seeds)),
        )


TABLES = {"grid", "space"}
"""Tables in the entry of a system, task or channel."""


def read_study(path: str | os.PathLike[str]) -> Study:
    """Reads a study from a TOML file.

    Args:
        path: the file; its entries are the arguments of `Study`.

    Raises:
        InvalidInputError: the file cannot be read, or an entry is unknown or invalid.
    """
    try:
        values, _ = read_toml(Path(path), MAX_SETTINGS_BYTES)
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror}") from None
    try:
        return study_from_dict(values)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from None


def study_from_dict(values: Mapping[str, object]) -> Study:
    """The study of the entries of a TOML file.

    Raises:
        InvalidInputError: an entry is unknown, missing or invalid.
    """
    entries = dict(values)
    if isinstance(search := entries.get("search"), Mapping):
        entries["search"] = _make(Search, cast(Mapping[str, object], search))
    return _make(Study, entries)


def study_to_dict(study: Study) -> dict[str, object]:
    """Entries of a study, as JSON values; `study_from_dict` reads them."""
    return {k: v for k, v in dataclasses.asdict(study).items() if v is not None}


def _make(kind: type, values: Mapping[str, object]):
    """An object of a dataclass, from entries by the names of its fields."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := [name for name in values if name not in fields]:
        raise unknown_name_error("entry", unknown[0], fields)
    missing = [
        name
        for name, f in fields.items()
        if name not in values
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InvalidInputError(f"{missing[0]} is missing")
    return kind(**values)


def _as_table(entry: object, kind: str) -> Mapping[str, object]:
    """An entry as a table: a name stands for one without other flags."""
    if isinstance(entry, str):
        return {kind: entry}
    if isinstance(entry, Mapping) and isinstance(entry.get(kind), str):
        return cast(Mapping[str, object], entry)
    raise InvalidInputError(f"{entry!r} is no {kind}; expected a name, or a table")


def _table_of(entry: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = entry.get(name, {})
    if not isinstance(table, Mapping):
        raise InvalidInputError(f"{name} is {table!r}; expected a table")
    return cast(Mapping[str, object], table)


def _checked_flags(entries: Mapping[str, object]) -> Flags:
    """Flags with their names in one form.

    Raises:
        InvalidInputError: one is not of `settings`, or no number or text.
    """
    flags: Flags = {}
    for name, value in entries.items():
        if _flag_name(name) in OWN_FLAGS:
            raise InvalidInputError(
                f"{name} is among the settings; expected it at the top of the study, "
                "if at all"
            )
        flags[_flag_name(name)] = _checked_value(name, value)
    return flags


def _checked_list(name: str, values: object) -> tuple[FlagValue, ...]:
    if isinstance(values, list | tuple) and values:
        return tuple(_checked_value(name, value) for value in values)
    raise InvalidInputError(f"{name} is {values!r}; expected a list of values")


def _checked_values(name: str, values: object) -> Values:
    """Values that a search may propose: a list or an interval."""
    if not isinstance(values, Mapping):
        return _checked_list(name, values)
    interval = cast(Mapping[str, object], values)
    if unknown := [key for key in interval if key not in RANGE_ENTRIES]:
        raise unknown_name_error(f"entry of {name}", unknown[0], RANGE_ENTRIES)
    low, high = interval.get("low"), interval.get("high")
    is_interval = type(low) in (int, float) and type(high) in (int, float)
    if not is_interval or not cast(float, low) < cast(float, high):
        raise InvalidInputError(
            f"{name} goes from {low!r} to {high!r}; expected low and high, two numbers"
        )
    return cast(Range, interval)


def _checked_value(name: str, value: object) -> FlagValue:
    if isinstance(value, str | int | float):
        return value
    raise InvalidInputError(f"{name} is {value!r}; expected a number or text")


def _flag_name(name: str) -> str:
    return name.replace("-", "_")
