"""Runs that are to be compared: which belong together, and what to call them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from syntony.errors import InvalidInputError, unknown_name_error
from syntony.evaluation.learning_curves import points_by_seed
from syntony.presets import registry
from syntony.tasks.external.external_env import ExternalEnv
from syntony.tasks.registry import task as task_named
from syntony.training import metrics_log
from syntony.training.progress import eval_metric_names
from syntony.training.run_config import (
    RunConfig,
    run_config_to_dict,
    task_or_channel_id,
)
from syntony.training.run_folder import RunFolder
from syntony.training.serialization import deserialize

FlatSettings = dict[str, Any]
"""Settings by their place, e.g. `novelty.bits`."""
CODE_SIZE_KEYS = ("messages", "uses")
"""Settings of a link that make it another task."""
PRESET_KEY = "preset"
"""What stands among changed settings for those of another preset than the default."""
MAX_LABEL_SETTINGS = 3
"""Most settings in a label."""


class SeedCurve(NamedTuple):
    """What one seed scored, at the steps at which it was measured."""

    run: Path
    seed: int
    steps: Float[np.ndarray, " T"]
    scores: Float[np.ndarray, " T"]


class RunGroup(NamedTuple):
    """Seeds on one task that differ by nothing but chance, or that share a name."""

    label: str
    system: str
    overrides: FlatSettings
    """The settings that are not those of its preset, be that the default or not."""
    seed_curves: list[SeedCurve]


class TaskRuns(NamedTuple):
    """All groups that were measured on one task."""

    task: str
    metric: str
    groups: list[RunGroup]


class RunInfo(NamedTuple):
    """A run, before it is known which others belong to it."""

    group_name: str
    """As the user calls its group; nothing if he does not."""
    path: Path
    system: str
    task: str
    settings: FlatSettings
    overrides: FlatSettings
    """The settings that are not those of its preset; and that, if it has others than
    the default."""
    lines: list[metrics_log.MetricsRow]


def group_runs(
    runs: Sequence[str], *, metric: str | None = None
) -> tuple[list[TaskRuns], list[str]]:
    """Returns what is to be compared, a contest for each task, and what to mind.

    Runs of one system and of the same settings are further seeds of one group, and so
    are runs of one name.

    Args:
        runs: folders, or `NAME=FOLDER`, or `NAME=FOLDER,FOLDER`.
        score: what is compared; by default what each task is mainly judged by.

    Raises:
        BadInput: a folder holds no run or is named twice, or nothing was measured.
    """
    named = [pair for word in runs for pair in parse_run_argument(word)]
    if not named:
        raise InvalidInputError(
            "there is nothing to compare; expected one run's folder or more"
        )
    reject_duplicate_runs([path for _, path in named])
    members = [read_run_info(name, path) for name, path in named]
    labels = group_labels(members)
    notes = [*_shared_override_notes(members)]
    found = []
    for task in dict.fromkeys(member.task for member in members):
        pairs = [p for p in zip(members, labels, strict=True) if p[0].task == task]
        found.append(_group_task_runs(task, pairs, metric, notes))
    found = [contest for contest in found if contest.groups]
    if not found:
        raise InvalidInputError(f"there is nothing to compare yet; {'; '.join(notes)}")
    return found, notes


def parse_run_argument(argument: str) -> Iterator[tuple[str, Path]]:
    """Yields the name and the folder of each run in `RUN` or `NAME=RUN,RUN`."""
    name, equals, folders = argument.partition("=")
    if not equals or Path(argument).exists():
        yield "", Path(argument)
        return
    if not name.strip() or not all(folders.split(",")):
        raise InvalidInputError(
            f"{argument!r} makes no sense; expected RUN or NAME=RUN,RUN"
        )
    yield from ((name.strip(), Path(folder)) for folder in folders.split(","))


def read_run_info(group_name: str, path: Path) -> RunInfo:
    """Returns what a run's folder says of it.

    Raises:
        BadInput: it holds no run, or settings that make no sense.
    """
    folder = RunFolder(path)
    described, world = read_run_settings(folder)
    system, settings = described["system"], flatten_settings(described["settings"])
    size = {name: settings.pop(name) for name in CODE_SIZE_KEYS if name in settings}
    shape = "{messages} messages in {uses} uses"
    task = (
        f"{world}, {shape.format(**size)}"
        if len(size) == len(CODE_SIZE_KEYS)
        else world
    )
    task = task or "no task"
    known = registry.PRESETS.get(system, {})
    default, asked = next(iter(known), ""), str(described.get("preset"))
    start = asked if asked in known else default
    usual = _preset_settings(described, default)
    base = usual if start == default else _preset_settings(described, start)
    # A run from before a setting was there has what is now its default.
    settings = base | settings
    changes = _find_overrides(base, settings)
    if base != usual:
        changes[PRESET_KEY] = start
    lines = metrics_log.read_rows(folder.metrics_path)
    return RunInfo(group_name, path, system, task, settings, changes, lines)


def reject_duplicate_runs(runs: Sequence[str | Path]) -> None:
    """Raises BadInput if two of the folders are the same."""
    paths = [Path(run).resolve() for run in runs]
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise InvalidInputError(
                f"{runs[number]} is named twice; expected different runs"
            )


def read_run_settings(folder: RunFolder) -> tuple[dict[str, Any], str]:
    """Returns what `settings.json` holds, and what the run learns in.

    Raises:
        BadInput: there is no run, or what every run has is missing.
    """
    described = folder.read_settings()
    for name, kind in (("system", str), ("settings", dict)):
        if not isinstance(described.get(name), kind):
            raise InvalidInputError(f"{folder.settings_path}: {name} is missing")
    try:
        world = task_or_channel_id(described)
    except (KeyError, TypeError):
        world = None
    if not isinstance(world, str):
        raise InvalidInputError(f"{folder.settings_path}: the task has no id")
    return described, world


def _find_overrides(base: FlatSettings, settings: FlatSettings) -> FlatSettings:
    return {k: v for k, v in settings.items() if k not in base or base[k] != v}


def flatten_settings(nested: Mapping[str, Any], prefix: str = "") -> FlatSettings:
    """Returns nested settings by their places; what has an id, as its id."""
    found: FlatSettings = {}
    for name, value in nested.items():
        if isinstance(value, dict) and "id" not in value:
            found |= flatten_settings(value, f"{prefix}{name}.")
        else:
            known = value["id"] if isinstance(value, dict) else value
            found[prefix + name] = known if _is_scalar(known) else json.dumps(known)
    return found


def group_labels(run_infos: Sequence[RunInfo]) -> list[str]:
    """Returns what the group of each member is called: its name, or what is its own.

    That is the system and those settings that are neither its preset's nor shared by
    all unnamed members of that system.
    """
    labels: dict[tuple[Any, ...], str] = {}
    found = []
    for member in run_infos:
        own = _distinct_overrides(member, run_infos)
        places = sorted(own.items(), key=str)
        key = (
            (member.group_name,) if member.group_name else ("", member.system, *places)
        )
        text = member.group_name or " ".join([member.system, *_format_overrides(own)])
        if key not in labels and text in labels.values():
            text = f"{text} ({member.path.name})"
        labels.setdefault(key, text)
        found.append(labels[key])
    return found


def _shared_override_notes(run_infos: Sequence[RunInfo]) -> Iterator[str]:
    """Says which changes stand in no label, because all of a system have them."""
    unnamed = [member for member in run_infos if not member.group_name]
    for system in dict.fromkeys(member.system for member in unnamed):
        rivals = [member for member in unnamed if member.system == system]
        own = _distinct_overrides(rivals[0], run_infos)
        shared = {k: v for k, v in rivals[0].overrides.items() if k not in own}
        if shared:
            words = ", ".join(_format_overrides(shared))
            yield f"all runs of {system} have {words}, other than their preset"


def _distinct_overrides(
    run_info: RunInfo, run_infos: Sequence[RunInfo]
) -> FlatSettings:
    """Returns the changes of a member that another of its system does not share."""
    rivals = [
        m.overrides
        for m in run_infos
        if m.system == run_info.system and not m.group_name
    ]
    return {
        place: value
        for place, value in run_info.overrides.items()
        if any(place not in rival or rival[place] != value for rival in rivals)
    }


def _format_overrides(overrides: FlatSettings) -> list[str]:
    """Returns changed settings as they stand in a label, a few at most."""
    short = [place.rpartition(".")[2] for place in overrides]
    names = [
        n if short.count(n) == 1 else p for n, p in zip(short, overrides, strict=True)
    ]
    words = [
        str(value) if name == PRESET_KEY else f"{name}={_format_value(value)}"
        for name, value in zip(names, overrides.values(), strict=True)
    ]
    more = (
        [f"+{len(words) - MAX_LABEL_SETTINGS}"]
        if len(words) > MAX_LABEL_SETTINGS
        else []
    )
    return words[:MAX_LABEL_SETTINGS] + more


def _format_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _preset_settings(run_settings: Mapping[str, Any], preset: str) -> FlatSettings:
    """Returns a preset's settings for what a run learns; nothing if it is not known."""
    try:
        record = registry.preset(
            run_settings["system"], preset, _parse_task(run_settings)
        )
        constants = run_config_to_dict(RunConfig(system=record, steps=1))["settings"]
    except (InvalidInputError, KeyError):
        return {}
    return {
        k: v for k, v in flatten_settings(constants).items() if k not in CODE_SIZE_KEYS
    }


def _parse_task(run_settings: Mapping[str, Any]) -> Any:
    """Returns a run's task; of a link, which starts the same everywhere, nothing."""
    task = run_settings.get("task")
    if task is None:
        return None
    # Not opened: what is compared here need not be installed here.
    return (
        deserialize(ExternalEnv, task) if ":" in task["id"] else task_named(task["id"])
    )


def _group_task_runs(
    task: str,
    labeled_runs: Sequence[tuple[RunInfo, str]],
    metric: str | None,
    notes: list[str],
) -> TaskRuns:
    """Returns the groups of a task, and adds to `notes` what a reader should know."""
    metric = _select_metric([member for member, _ in labeled_runs], metric)
    groups: dict[str, RunGroup] = {}
    first: dict[str, RunInfo] = {}
    for member, name in labeled_runs:
        seeds = list(_seed_curves(member, metric, notes))
        changes = {k: v for k, v in member.overrides.items() if k != PRESET_KEY}
        group = groups.setdefault(name, RunGroup(name, member.system, changes, []))
        _reject_duplicate_seeds(group, seeds)
        known = first.setdefault(name, member)
        if differing := _differing_settings(known.settings, member.settings):
            notes.append(f"runs of {name} differ in {differing}")
        group.seed_curves.extend(seeds)
    return TaskRuns(
        task, metric, [group for group in groups.values() if group.seed_curves]
    )


def _select_metric(run_infos: Sequence[RunInfo], requested: str | None) -> str:
    """Returns what the members are compared by.

    Raises:
        BadInput: none of them ever measured what was asked for.
    """
    known = {
        n: None for m in run_infos for x in m.lines[:1] for n in eval_metric_names(x)
    }
    if requested is None:
        return next(iter(known), "")
    if requested not in known:
        raise unknown_name_error("score", requested, known)
    return requested


def _seed_curves(
    run_info: RunInfo, metric: str, notes: list[str]
) -> Iterator[SeedCurve]:
    """Yields the seeds of a run that have begun to learn."""
    points = points_by_seed(run_info.lines, metric)
    young = [seed for seed, (steps, _) in points.items() if len(steps) < 2]
    if young or not points:
        who = f"seeds {', '.join(map(str, young))} of " if points else ""
        notes.append(
            f"left out: {who}{run_info.path}, not measured since training began"
        )
    for seed, (steps, scores) in points.items():
        if seed not in young:
            yield SeedCurve(run_info.path, seed, steps, scores)


def _reject_duplicate_seeds(group: RunGroup, new_curves: Sequence[SeedCurve]) -> None:
    """Raises BadInput if a seed is there twice: one experiment would count as two."""
    for new in new_curves:
        for old in group.seed_curves:
            if new.seed == old.seed:
                raise InvalidInputError(
                    f"{old.run} and {new.run} both hold seed {new.seed} of "
                    f"{group.label}; expected other seeds, or names: A={old.run} "
                    f"B={new.run}"
                )


def _differing_settings(first: FlatSettings, second: FlatSettings) -> str:
    places = [
        place for place in first | second if first.get(place) != second.get(place)
    ]
    return ", ".join(places[:MAX_LABEL_SETTINGS]) + (
        " and more" if len(places) > MAX_LABEL_SETTINGS else ""
    )
