"""Runs that are to be compared: which belong together, and what to call them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from syntony.errors import BadInput, unknown
from syntony.run import journal
from syntony.run.folder import Folder
from syntony.run.plan import Plan, describe, world_of
from syntony.run.progress import scores_of
from syntony.run.settings import decode
from syntony.study import presets
from syntony.study.curves import points_of
from syntony.tasks.host import Host
from syntony.tasks.ids import task as task_named

Settings = dict[str, Any]
"""Settings by their place, e.g. `novelty.bits`."""
SIZE = ("messages", "uses")
"""Settings of a link that make it another task."""
PRESET = "preset"
"""What stands among changed settings for those of another preset than the default."""
SHOWN = 3
"""Most settings in a label."""


class Seed(NamedTuple):
    """What one seed scored, at the steps at which it was measured."""

    run: Path
    seed: int
    steps: Float[np.ndarray, " T"]
    scores: Float[np.ndarray, " T"]


class Group(NamedTuple):
    """Seeds on one task that differ by nothing but chance, or that share a name."""

    label: str
    system: str
    changes: Settings
    """The settings that are not those of its preset, be that the default or not."""
    seeds: list[Seed]


class Contest(NamedTuple):
    """All groups that were measured on one task."""

    task: str
    score: str
    groups: list[Group]


class Member(NamedTuple):
    """A run, before it is known which others belong to it."""

    name: str
    """As the user calls its group; nothing if he does not."""
    path: Path
    system: str
    task: str
    settings: Settings
    changes: Settings
    """The settings that are not those of its preset; and that, if it has others than
    the default."""
    lines: list[journal.Line]


def contests(
    runs: Sequence[str], *, score: str | None = None
) -> tuple[list[Contest], list[str]]:
    """Returns what is to be compared, a contest for each task, and what to mind.

    Runs of one system and of the same settings are further seeds of one group, and so
    are runs of one name.

    Args:
        runs: folders, or `NAME=FOLDER`, or `NAME=FOLDER,FOLDER`.
        score: what is compared; by default what each task is mainly judged by.

    Raises:
        BadInput: a folder holds no run or is named twice, or nothing was measured.
    """
    named = [pair for word in runs for pair in split(word)]
    if not named:
        raise BadInput("there is nothing to compare; expected one run's folder or more")
    refuse_twice([path for _, path in named])
    members = [read(name, path) for name, path in named]
    labels = label(members)
    notes = [*_shared(members)]
    found = []
    for task in dict.fromkeys(member.task for member in members):
        pairs = [p for p in zip(members, labels, strict=True) if p[0].task == task]
        found.append(_contest(task, pairs, score, notes))
    found = [contest for contest in found if contest.groups]
    if not found:
        raise BadInput(f"there is nothing to compare yet; {'; '.join(notes)}")
    return found, notes


def split(word: str) -> Iterator[tuple[str, Path]]:
    """Yields the name and the folder of each run in `RUN` or `NAME=RUN,RUN`."""
    name, equals, folders = word.partition("=")
    if not equals or Path(word).exists():
        yield "", Path(word)
        return
    if not name.strip() or not all(folders.split(",")):
        raise BadInput(f"{word!r} makes no sense; expected RUN or NAME=RUN,RUN")
    yield from ((name.strip(), Path(folder)) for folder in folders.split(","))


def read(name: str, path: Path) -> Member:
    """Returns what a run's folder says of it.

    Raises:
        BadInput: it holds no run, or settings that make no sense.
    """
    folder = Folder(path)
    described, world = settings_of(folder)
    system, settings = described["system"], flat(described["settings"])
    size = {name: settings.pop(name) for name in SIZE if name in settings}
    shape = "{messages} messages in {uses} uses"
    task = f"{world}, {shape.format(**size)}" if len(size) == len(SIZE) else world
    task = task or "no task"
    known = presets.PRESETS.get(system, {})
    default, asked = next(iter(known), ""), str(described.get("preset"))
    start = asked if asked in known else default
    usual = _constants(described, default)
    base = usual if start == default else _constants(described, start)
    # A run from before a setting was there has what is now its default.
    settings = base | settings
    changes = _changed(base, settings)
    if base != usual:
        changes[PRESET] = start
    lines = journal.read(folder.metrics)
    return Member(name, path, system, task, settings, changes, lines)


def refuse_twice(runs: Sequence[str | Path]) -> None:
    """Raises BadInput if two of the folders are the same."""
    paths = [Path(run).resolve() for run in runs]
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise BadInput(f"{runs[number]} is named twice; expected different runs")


def settings_of(folder: Folder) -> tuple[dict[str, Any], str]:
    """Returns what `settings.json` holds, and what the run learns in.

    Raises:
        BadInput: there is no run, or what every run has is missing.
    """
    described = folder.read_settings()
    for name, kind in (("system", str), ("settings", dict)):
        if not isinstance(described.get(name), kind):
            raise BadInput(f"{folder.settings}: {name} is missing")
    try:
        world = world_of(described)
    except (KeyError, TypeError):
        world = None
    if not isinstance(world, str):
        raise BadInput(f"{folder.settings}: the task has no id")
    return described, world


def _changed(base: Settings, settings: Settings) -> Settings:
    return {k: v for k, v in settings.items() if k not in base or base[k] != v}


def flat(constants: Mapping[str, Any], within: str = "") -> Settings:
    """Returns nested settings by their places; what has an id, as its id."""
    found: Settings = {}
    for name, value in constants.items():
        if isinstance(value, dict) and "id" not in value:
            found |= flat(value, f"{within}{name}.")
        else:
            known = value["id"] if isinstance(value, dict) else value
            found[within + name] = known if _is_plain(known) else json.dumps(known)
    return found


def label(members: Sequence[Member]) -> list[str]:
    """Returns what the group of each member is called: its name, or what is its own.

    That is the system and those settings that are neither its preset's nor shared by
    all unnamed members of that system.
    """
    labels: dict[tuple[Any, ...], str] = {}
    found = []
    for member in members:
        own = _own(member, members)
        places = sorted(own.items(), key=str)
        key = (member.name,) if member.name else ("", member.system, *places)
        text = member.name or " ".join([member.system, *_words(own)])
        if key not in labels and text in labels.values():
            text = f"{text} ({member.path.name})"
        labels.setdefault(key, text)
        found.append(labels[key])
    return found


def _shared(members: Sequence[Member]) -> Iterator[str]:
    """Says which changes stand in no label, because all of a system have them."""
    unnamed = [member for member in members if not member.name]
    for system in dict.fromkeys(member.system for member in unnamed):
        rivals = [member for member in unnamed if member.system == system]
        own = _own(rivals[0], members)
        shared = {k: v for k, v in rivals[0].changes.items() if k not in own}
        if shared:
            words = ", ".join(_words(shared))
            yield f"all runs of {system} have {words}, other than their preset"


def _own(member: Member, members: Sequence[Member]) -> Settings:
    """Returns the changes of a member that another of its system does not share."""
    rivals = [m.changes for m in members if m.system == member.system and not m.name]
    return {
        place: value
        for place, value in member.changes.items()
        if any(place not in rival or rival[place] != value for rival in rivals)
    }


def _words(own: Settings) -> list[str]:
    """Returns changed settings as they stand in a label, a few at most."""
    short = [place.rpartition(".")[2] for place in own]
    names = [n if short.count(n) == 1 else p for n, p in zip(short, own, strict=True)]
    words = [
        str(value) if name == PRESET else f"{name}={_word(value)}"
        for name, value in zip(names, own.values(), strict=True)
    ]
    more = [f"+{len(words) - SHOWN}"] if len(words) > SHOWN else []
    return words[:SHOWN] + more


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _constants(described: Mapping[str, Any], preset: str) -> Settings:
    """Returns a preset's settings for what a run learns; nothing if it is not known."""
    try:
        record = presets.preset(described["system"], preset, _world(described))
        constants = describe(Plan(system=record, steps=1))["settings"]
    except (BadInput, KeyError):
        return {}
    return {k: v for k, v in flat(constants).items() if k not in SIZE}


def _world(described: Mapping[str, Any]) -> Any:
    """Returns a run's task; of a link, which starts the same everywhere, nothing."""
    task = described.get("task")
    if task is None:
        return None
    # Not opened: what is compared here need not be installed here.
    return decode(Host, task) if ":" in task["id"] else task_named(task["id"])


def _contest(
    task: str,
    pairs: Sequence[tuple[Member, str]],
    score: str | None,
    notes: list[str],
) -> Contest:
    """Returns the groups of a task, and adds to `notes` what a reader should know."""
    score = _score([member for member, _ in pairs], score)
    groups: dict[str, Group] = {}
    first: dict[str, Member] = {}
    for member, name in pairs:
        seeds = list(_seeds(member, score, notes))
        changes = {k: v for k, v in member.changes.items() if k != PRESET}
        group = groups.setdefault(name, Group(name, member.system, changes, []))
        _refuse_twins(group, seeds)
        known = first.setdefault(name, member)
        if differing := _difference(known.settings, member.settings):
            notes.append(f"runs of {name} differ in {differing}")
        group.seeds.extend(seeds)
    return Contest(task, score, [group for group in groups.values() if group.seeds])


def _score(members: Sequence[Member], asked: str | None) -> str:
    """Returns what the members are compared by.

    Raises:
        BadInput: none of them ever measured what was asked for.
    """
    known = {n: None for m in members for x in m.lines[:1] for n in scores_of(x)}
    if asked is None:
        return next(iter(known), "")
    if asked not in known:
        raise unknown("score", asked, known)
    return asked


def _seeds(member: Member, score: str, notes: list[str]) -> Iterator[Seed]:
    """Yields the seeds of a run that have begun to learn."""
    points = points_of(member.lines, score)
    young = [seed for seed, (steps, _) in points.items() if len(steps) < 2]
    if young or not points:
        who = f"seeds {', '.join(map(str, young))} of " if points else ""
        notes.append(f"left out: {who}{member.path}, not measured since training began")
    for seed, (steps, scores) in points.items():
        if seed not in young:
            yield Seed(member.path, seed, steps, scores)


def _refuse_twins(group: Group, seeds: Sequence[Seed]) -> None:
    """Raises BadInput if a seed is there twice: one experiment would count as two."""
    for new in seeds:
        for old in group.seeds:
            if new.seed == old.seed:
                raise BadInput(
                    f"{old.run} and {new.run} both hold seed {new.seed} of "
                    f"{group.label}; expected other seeds, or names: A={old.run} "
                    f"B={new.run}"
                )


def _difference(one: Settings, two: Settings) -> str:
    places = [place for place in one | two if one.get(place) != two.get(place)]
    return ", ".join(places[:SHOWN]) + (" and more" if len(places) > SHOWN else "")
