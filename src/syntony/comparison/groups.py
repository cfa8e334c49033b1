"""Groups of runs: runs of the same task and settings, and the labels of groups."""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from syntony.comparison.other_logs import METRIC, is_other_log, read_other_log
from syntony.errors import InvalidInputError, unknown_name_error, visible
from syntony.evaluation.learning_curves import points_by_seed
from syntony.evaluation.statistics import RATE_RANGE
from syntony.evaluation.stored_run import (
    FlatSettings,
    flatten_settings,
    read_run_settings,
    read_step_unit,
    reject_duplicate_runs,
    system_settings,
)
from syntony.plugins import without_user_code
from syntony.presets import registry
from syntony.studies.study_folder import run_folders
from syntony.systems.registry import system_label
from syntony.tasks.external.external_env import ExternalEnv
from syntony.tasks.registry import task as parse_task
from syntony.tasks.task import HasScoreRange, Task
from syntony.training import metrics_log
from syntony.training.primary_metrics import ERROR_RATE_METRICS
from syntony.training.progress import eval_metric_names
from syntony.training.run_config import (
    RunConfig,
    resolve_steps,
    run_config_to_dict,
    task_and_channel_id,
)
from syntony.training.run_folder import RunFolder
from syntony.training.serialization import deserialize
from syntony.training.trust import was_trained_here
from syntony.training.verification import find_damage, warn_of_damage

CODE_SIZE_KEYS = ("messages", "uses")
"""Settings of a link that define its task, beside the channel."""
PRESET_KEY = "preset"
"""Key among a run's overrides for a preset other than the default."""
RETURN_METRICS = ("eval/return_mean", "eval/return_mean_greedy")
"""Metrics that are the return of an episode, summed over agents."""
MAX_LABEL_SETTINGS = 3
"""Maximum number of settings in a label."""


class SeedCurve(NamedTuple):
    """Metric of one seed at the steps of its evaluations."""

    run: Path
    seed: int
    steps: Float[np.ndarray, " T"]
    scores: Float[np.ndarray, " T"]


class RunGroup(NamedTuple):
    """Seeds of one task with the same settings or the same name."""

    label: str
    system: str
    overrides: FlatSettings
    """Settings that differ from those of the run's preset."""
    seed_curves: list[SeedCurve]


class TaskRuns(NamedTuple):
    """All groups of one task."""

    task: str
    metric: str
    step_unit: str
    """Unit of the training steps, e.g. `environment steps`."""
    groups: list[RunGroup]
    score_range: tuple[float, float] | None = None
    """Lowest and highest return in the task; None where they are not known."""

    @property
    def possible(self) -> tuple[float, float] | None:
        """Lowest and highest value of the metric; None where they are not known."""
        return RATE_RANGE if self.metric in ERROR_RATE_METRICS else self.score_range


class RunInfo(NamedTuple):
    """System, task, settings and metrics of a run."""

    group_name: str
    """Name that the user gives its group; empty without one."""
    path: Path
    system: str
    task: str
    settings: FlatSettings
    overrides: FlatSettings
    """Settings that differ from those of the run's preset; also the preset, if its
    settings differ from the default preset's."""
    step_unit: str
    """Unit of the training steps."""
    rows: list[metrics_log.MetricsRow]
    return_range: tuple[float, float] | None
    """Lowest and highest return of an episode; None where they are not known."""


def group_runs(
    runs: Sequence[str], *, metric: str | None = None
) -> tuple[list[TaskRuns], list[str]]:
    """Groups runs by task, and by settings or name.

    Runs of one system with the same settings are further seeds of one group, and so are
    runs with one name.

    Args:
        runs: folders of runs or studies, or `NAME=FOLDER`, or `NAME=FOLDER,FOLDER`.
        metric: metric to compare; None: the primary metric of each task.

    Returns:
        The groups of each task, and notes for the reader.

    Raises:
        InvalidInputError: a folder holds no run or is given twice, or no run was
            evaluated.
    """
    named_runs = [pair for argument in runs for pair in parse_run_argument(argument)]
    if not named_runs:
        raise InvalidInputError(
            "there is nothing to compare; expected one run's folder or more"
        )
    reject_duplicate_runs([path for _, path in named_runs])
    run_infos = [
        _read_other_info(name, path)
        if is_other_log(path)
        else read_run_info(name, path)
        for name, path in named_runs
    ]
    labels = group_labels(run_infos)
    notes = [*_shared_override_notes(run_infos)]
    tasks = []
    for task in dict.fromkeys(info.task for info in run_infos):
        pairs = [p for p in zip(run_infos, labels, strict=True) if p[0].task == task]
        tasks.append(_group_task_runs(task, pairs, metric, notes))
    tasks = [task_runs for task_runs in tasks if task_runs.groups]
    if not tasks:
        raise InvalidInputError(f"there is nothing to compare yet; {'; '.join(notes)}")
    return tasks, notes


def parse_run_argument(argument: str) -> Iterator[tuple[str, Path]]:
    """Yields the group name and the folder of each run in `RUN` or `NAME=RUN,RUN`.

    The folder of a study stands for all of its runs. A file is a log of another
    library; where it does not tell its task: `NAME@TASK=FILE`.
    """
    name, equals, folders = argument.partition("=")
    if not equals or Path(argument).exists():
        yield from (("", path) for path in run_folders(Path(argument)))
        return
    if not name.strip() or not all(folders.split(",")):
        raise InvalidInputError(
            f"{argument!r} is invalid; expected RUN or NAME=RUN,RUN"
        )
    for folder in folders.split(","):
        yield from ((name.strip(), path) for path in run_folders(Path(folder)))


def read_run_info(group_name: str, path: Path) -> RunInfo:
    """Reads the settings and metrics of a run.

    Args:
        group_name: name of the run's group; empty without one.
        path: run folder.

    Raises:
        InvalidInputError: the folder holds no run, or its settings are invalid.
    """
    folder = RunFolder(path)
    config, environment = read_run_settings(folder)
    system = str(config["system"])
    settings = flatten_settings(system_settings(config))
    size = {name: settings.pop(name) for name in CODE_SIZE_KEYS if name in settings}
    task = environment or "no task"
    if len(size) == len(CODE_SIZE_KEYS):
        code_size = "{messages} messages in {uses} uses".format(**size)
        task = f"{environment}, {code_size}"
    presets = registry.preset_summaries(system)
    default, requested = next(iter(presets), ""), str(config.get("preset"))
    preset = requested if requested in presets else default
    default_settings = _preset_settings(config, default)
    base = default_settings
    if preset != default:
        base = _preset_settings(config, preset)
    # A setting that is missing is newer than the run, and has the preset's value.
    settings = base | settings
    overrides = _find_overrides(base, settings)
    if base != default_settings:
        overrides[PRESET_KEY] = preset
    rows = metrics_log.read_rows(folder.metrics_path)
    warn_of_damage(path, find_damage(path, config))
    return RunInfo(
        *(group_name, path, system, task, settings, overrides),
        step_unit=read_step_unit(config),
        rows=rows,
        return_range=_return_range(config),
    )


def _read_other_info(group_name: str, path: Path) -> RunInfo:
    """A log of another library as a run; its group may be `NAME@TASK`.

    Raises:
        InvalidInputError: it cannot be read.
    """
    name, _, task = group_name.partition("@")
    log = read_other_log(path, task)
    return RunInfo(
        *(name, path, log.system, log.task, log.settings, {}),
        step_unit="environment steps",
        rows=log.rows,
        return_range=None,
    )


def _return_range(run_settings: Mapping[str, object]) -> tuple[float, float] | None:
    """Lowest and highest return in the task of a run; None if they are unknown."""
    try:
        task = _parse_task(run_settings.get("task"))
    except (InvalidInputError, KeyError):
        return None
    return task.score_range if isinstance(task, HasScoreRange) else None


def _find_overrides(base: FlatSettings, settings: FlatSettings) -> FlatSettings:
    return {k: v for k, v in settings.items() if k not in base or base[k] != v}


def group_labels(run_infos: Sequence[RunInfo]) -> list[str]:
    """Label of each run's group: its name, or its system and distinct overrides.

    Distinct overrides are the settings that differ from the preset's, and that not all
    unnamed runs of the system share.
    """
    label_by_key: dict[tuple[object, ...], str] = {}
    labels = []
    shared = _shared_overrides(run_infos)
    for info in run_infos:
        distinct = _find_overrides(shared.get(info.system, {}), info.overrides)
        settings = sorted(distinct.items(), key=str)
        key = (info.group_name,) if info.group_name else ("", info.system, *settings)
        words = [system_label(info.system), *_format_overrides(distinct)]
        label = info.group_name or " ".join(words)
        if key not in label_by_key and label in label_by_key.values():
            label = f"{label} ({visible(info.path.name)})"
        label_by_key.setdefault(key, label)
        labels.append(label_by_key[key])
    return labels


def _shared_override_notes(run_infos: Sequence[RunInfo]) -> Iterator[str]:
    """Yields a note on overrides that all runs of a system share and labels omit."""
    for system, shared in _shared_overrides(run_infos).items():
        if shared:
            settings = ", ".join(_format_overrides(shared))
            label = system_label(system)
            yield f"all runs of {label} have {settings}, other than their preset"


def _shared_overrides(run_infos: Sequence[RunInfo]) -> dict[str, FlatSettings]:
    """Overrides that all unnamed runs of a system share, by system."""
    shared: dict[str, FlatSettings] = {}
    for info in run_infos:
        if not info.group_name:
            previous = shared.get(info.system, info.overrides)
            shared[info.system] = {
                path: value
                for path, value in previous.items()
                if path in info.overrides and info.overrides[path] == value
            }
    return shared


def _format_overrides(overrides: FlatSettings) -> list[str]:
    """Texts of overrides in a label, at most `MAX_LABEL_SETTINGS` and a count."""
    short = [path.rpartition(".")[2] for path in overrides]
    names = [
        n if short.count(n) == 1 else p for n, p in zip(short, overrides, strict=True)
    ]
    texts = [
        str(value) if name == PRESET_KEY else f"{name}={_format_value(value)}"
        for name, value in zip(names, overrides.values(), strict=True)
    ]
    omitted = len(texts) - MAX_LABEL_SETTINGS
    return texts[:MAX_LABEL_SETTINGS] + ([f"+{omitted}"] if omitted > 0 else [])


def _format_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _preset_settings(run_settings: Mapping[str, object], preset: str) -> FlatSettings:
    """Settings of a preset for a run's task; empty if the preset is unknown."""
    name, task = str(run_settings["system"]), json.dumps(run_settings.get("task"))
    if was_trained_here(run_settings):
        return _find_preset_settings(name, preset, task, trusted=True)
    # A comparison needs no code of a user, and imports none from elsewhere.
    with without_user_code():
        return _find_preset_settings(name, preset, task, trusted=False)


@functools.lru_cache(maxsize=256)
def _find_preset_settings(
    name: str, preset: str, task_settings: str, *, trusted: bool
) -> FlatSettings:
    """Settings of a system's preset, for a task whose settings are given as JSON.

    Args:
        name: name of the system.
        preset: name of the preset.
        task_settings: settings of the task, as JSON.
        trusted: whether code of a user may be imported; results differ by it.
    """
    del trusted
    try:
        task = _parse_task(json.loads(task_settings))
        # What follows from the training length is that of the default length.
        steps = registry.default_run_options(name, task)["steps"]
        system = resolve_steps(registry.preset(name, preset, task), steps)
        config = run_config_to_dict(RunConfig(system=system, steps=1))
    except (InvalidInputError, KeyError):
        return {}
    return {
        k: v
        for k, v in flatten_settings(system_settings(config)).items()
        if k not in CODE_SIZE_KEYS
    }


def _parse_task(settings: object) -> Task | None:
    """Task of a run; None for a link, whose presets do not depend on the channel."""
    if settings is None:
        return None
    id = task_and_channel_id({"task": settings})
    # Another library's environment or a user's task is not imported: a comparison needs
    # neither.
    return deserialize(ExternalEnv, settings) if ":" in id else parse_task(id)


def _group_task_runs(
    task: str,
    labeled_runs: Sequence[tuple[RunInfo, str]],
    metric: str | None,
    notes: list[str],
) -> TaskRuns:
    """Groups of a task; notes for the reader are appended to `notes`."""
    metric = _select_metric([info for info, _ in labeled_runs], metric)
    groups: dict[str, RunGroup] = {}
    first_runs: dict[str, RunInfo] = {}
    for info, label in labeled_runs:
        curves = list(_seed_curves(info, metric, notes))
        overrides = {k: v for k, v in info.overrides.items() if k != PRESET_KEY}
        group = groups.setdefault(label, RunGroup(label, info.system, overrides, []))
        _reject_duplicate_seeds(group, curves)
        first = first_runs.setdefault(label, info)
        if differing := _differing_settings(first.settings, info.settings):
            notes.append(f"runs of {label} differ in {differing}")
        group.seed_curves.extend(curves)
    evaluated = [group for group in groups.values() if group.seed_curves]
    first_run, _ = labeled_runs[0]
    score_range = first_run.return_range if metric in RETURN_METRICS else None
    return TaskRuns(task, metric, first_run.step_unit, evaluated, score_range)


def _select_metric(run_infos: Sequence[RunInfo], requested: str | None) -> str:
    """Metric by which runs are compared: the requested or the primary one.

    Raises:
        InvalidInputError: no run has the requested metric.
    """
    available = {
        name: None
        for info in run_infos
        for row in info.rows[:1]
        # Logs of other libraries have no intervals.
        for name in eval_metric_names(row) or filter(METRIC.__eq__, row)
    }
    if requested is None:
        return next(iter(available), "")
    if requested not in available:
        raise unknown_name_error("metric", requested, available)
    return requested


def _seed_curves(
    run_info: RunInfo, metric: str, notes: list[str]
) -> Iterator[SeedCurve]:
    """Yields the curves of all seeds of a run with at least two evaluations."""
    points = points_by_seed(run_info.rows, metric)
    too_short = [seed for seed, (steps, _) in points.items() if len(steps) < 2]
    if too_short or not points:
        seeds = f"seeds {', '.join(map(str, too_short))} of " if points else ""
        notes.append(
            f"left out: {seeds}{run_info.path}, not evaluated since training began"
        )
    for seed, (steps, scores) in points.items():
        if seed not in too_short:
            yield SeedCurve(run_info.path, seed, steps, scores)


def _reject_duplicate_seeds(group: RunGroup, new_curves: Sequence[SeedCurve]) -> None:
    """Raises `InvalidInputError` if a group already has one of the seeds."""
    for new in new_curves:
        for old in group.seed_curves:
            if new.seed == old.seed:
                raise InvalidInputError(
                    f"{old.run} and {new.run} both hold seed {new.seed} of "
                    f"{group.label}; expected other seeds, or names: A={old.run} "
                    f"B={new.run}"
                )


def _differing_settings(first: FlatSettings, second: FlatSettings) -> str:
    paths = [path for path in first | second if first.get(path) != second.get(path)]
    return ", ".join(paths[:MAX_LABEL_SETTINGS]) + (
        " and more" if len(paths) > MAX_LABEL_SETTINGS else ""
    )
