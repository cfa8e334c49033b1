"""Configuration files: the flags of `train` as entries of a TOML or JSON file.

An entry is the name of a flag, with `_` or `-` between its words. Tables only group
them: `[actor_critic]` may stand above `hidden`, or not. The `settings.json` of a run is
a configuration file, too. A flag on the command line wins over the file.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from syntony.cli.config_template import iter_constants
from syntony.cli.flags import is_flag
from syntony.errors import InvalidInputError
from syntony.training.folder_walk import MAX_SETTINGS_BYTES
from syntony.training.safe_io import read_json, read_toml
from syntony.training.trust import check_trust

SYSTEM, SOURCE = "system", "made_from"
"""Entries that are no flags: the system, and the settings.json of the file's origin."""
RUN_FIELDS = ("preset", "steps", "seeds", "seed", "eval_every", "eval_episodes")
RUN_FIELDS += ("save_every", "keep_best")
"""Fields of a run's configuration that are flags of `train`."""
SEED_FLAGS = {"seeds", "seed"}
"""Flags of which one on the command line replaces both in the file."""
NAME = re.compile(r"--(?:no-)?(\w[\w-]*)")


class Entry(NamedTuple):
    """An entry of a configuration file."""

    value: object
    """Number, text, true or false, or a list of seeds."""
    line: int | None
    """Line of the file, if it is known."""


@dataclass(frozen=True)
class ConfigFile:
    """Entries of a configuration file, by the name of their flags."""

    path: Path
    system: str | None
    entries: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    is_of_run: bool = False
    """Whether it is from the settings of a run."""

    def arguments(self, argv: Sequence[str], switches: Sequence[str]) -> list[str]:
        """Its entries as arguments, without those that the command line gives.

        Args:
            argv: arguments of the command line.
            switches: flags without a value, and their negations.
        """
        given = {_positive(x.partition("=")[0]) for x in argv if is_flag(x)}
        if given & SEED_FLAGS:
            given |= SEED_FLAGS
        left = {name: x for name, x in self.entries.items() if name not in given}
        return [x for name, y in left.items() for x in _to_argument(name, y, switches)]

    @contextmanager
    def naming_line(self) -> Iterator[None]:
        """Context whose errors about an entry begin with its file and line."""
        try:
            yield
        except InvalidInputError as error:
            text = str(error)
            place = self._place(text)
            if place is None:
                raise
            raise type(error)(f"{place}: {_as_key(text)}") from None

    def _place(self, text: str) -> str | None:
        """File and line of the first entry that a message is about."""
        names = [match[1] for match in NAME.finditer(text)]
        names.append(text.partition(" ")[0].replace("_", "-"))
        # Of an id the message quotes the value.
        names += [name for name, x in self.entries.items() if _quotes(text, x.value)]
        for name in names:
            if (entry := self.entries.get(name)) is not None:
                line = "" if entry.line is None else f", line {entry.line}"
                return f"{self.path}{line}"
        return None


def split_config(argv: Sequence[str]) -> tuple[list[str], ConfigFile | None]:
    """Arguments without `--config FILE`, and that file.

    Raises:
        InvalidInputError: the file cannot be read, or `--config` is given twice.
        UntrustedCodeError: it is of a run that names code, and there is no `--trust`.
    """
    rest, paths, waiting = [], [], iter(argv)
    for argument in waiting:
        name, has_value, value = argument.partition("=")
        if name != "--config":
            rest.append(argument)
        elif has_value:
            paths.append(value)
        else:
            paths.append(next(waiting, ""))
    if len(paths) > 1:
        raise InvalidInputError("--config is given twice; expected once")
    if paths == [""]:
        raise InvalidInputError("--config has no value; expected a TOML file")
    if not paths:
        return rest, None
    return rest, read_config_file(Path(paths[0]), trust="--trust" in rest)


def read_config_file(path: Path, *, trust: bool = False) -> ConfigFile:
    """Reads a TOML file, or the `settings.json` of a run.

    Args:
        path: the file, or a run folder.
        trust: whether the code may be used that the settings of a run name.

    Raises:
        InvalidInputError: it cannot be read, is no such file, or has an entry twice.
        UntrustedCodeError: it is of a run from elsewhere that names code.
    """
    if path.is_dir():
        path = path / "settings.json"
    if path.suffix == ".json":
        return _read_settings(path, trust=trust)
    try:
        values, lines = read_toml(path, MAX_SETTINGS_BYTES)
    except OSError as error:
        raise InvalidInputError(f"--config {path}: {error.strerror}") from None
    entries = dict(_iter_entries(path, values, lines))
    system = entries.pop(SYSTEM, None)
    is_of_run = entries.pop(SOURCE.replace("_", "-"), None) is not None
    name = None if system is None else str(system.value)
    values = {key: entry.value for key, entry in entries.items()}
    if is_of_run:
        check_trust(path, {SYSTEM: name, "settings": values}, trust=trust)
    return ConfigFile(path, name, entries, is_of_run)


def _iter_entries(
    path: Path, values: Mapping[str, object], lines: Sequence[str]
) -> Iterator[tuple[str, Entry]]:
    """Yields the entries of all tables.

    Raises:
        InvalidInputError: one is given twice.
    """
    seen: set[str] = set()
    for key, value in _leaves(values):
        name = key.replace("_", "-")
        places = _lines_of(lines, key)
        line = line_of(lines, key)
        if name in seen:
            raise InvalidInputError(
                f"{path}, line {places[-1] if places else '?'}: {key} is given twice; "
                "expected once"
            )
        seen.add(name)
        yield name, Entry(value, line)


def _leaves(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yields the entries of a table, and of all tables in it."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield key, value


def line_of(lines: Sequence[str], key: str) -> int | None:
    """Number of the first line of a file that gives an entry; None if unknown."""
    return next(iter(_lines_of(lines, key)), None)


def _lines_of(lines: Sequence[str], key: str) -> list[int]:
    form = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    return [i for i, line in enumerate(lines, 1) if form.match(line)]


def _read_settings(path: Path, *, trust: bool) -> ConfigFile:
    """The flags of a run, from its `settings.json`.

    Raises:
        InvalidInputError: it is not of a run.
        UntrustedCodeError: it names code, and was not trained here.
    """
    settings = read_json(path, MAX_SETTINGS_BYTES)
    if not isinstance(settings, dict):
        raise InvalidInputError(f"{path} is no table; expected entries NAME = VALUE")
    # Imported late: --help need not wait for it.
    from syntony.training.run import parse_run_config

    # As flags, its ids are imported; a channel, too, without which a run is opened.
    check_trust(path, settings, trust=trust)
    config = parse_run_config(path, settings, trust=trust)
    run = {name: getattr(config, name) for name in RUN_FIELDS}
    if isinstance(config.seeds, tuple):
        del run["seed"]
    values = run | dict(iter_constants(config.system))
    entries = {
        name.replace("_", "-"): Entry(value, None)
        for name, value in values.items()
        if value not in (None, "")
    }
    return ConfigFile(path, str(settings[SYSTEM]), entries, is_of_run=True)


def _to_argument(name: str, entry: Entry, switches: Sequence[str]) -> Iterator[str]:
    """Yields an entry as the arguments of its flag."""
    value = entry.value
    if f"--{name}" in switches:
        if not isinstance(value, bool):
            raise InvalidInputError(f"--{name} is {value!r}; expected true or false")
        if value:
            yield f"--{name}"
        elif f"--no-{name}" in switches:
            yield f"--no-{name}"
    elif isinstance(value, list | tuple):
        yield f"--{name}={','.join(map(str, value))}"
    elif isinstance(value, bool):
        yield f"--{name}={str(value).lower()}"
    else:
        yield f"--{name}={value}"


def _quotes(text: str, value: object) -> bool:
    return isinstance(value, str) and repr(value) in text


def _positive(flag: str) -> str:
    """Name of a flag without its negation."""
    return flag.removeprefix("--").replace("_", "-").removeprefix("no-")


def _as_key(text: str) -> str:
    """A message about flags as one about the entries of a file."""
    text = text.replace("unknown flag", "unknown entry")
    return re.sub(r"'--([\w-]+)'", lambda x: f"'{x[1].replace('-', '_')}'", text)
