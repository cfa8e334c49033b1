"""Running of studies: their flags are those of `syntony train`."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from syntony.cli.config_file import ConfigFile, Entry, line_of
from syntony.cli.study_display import StudyDisplay
from syntony.cli.train import config_switches, parse_config
from syntony.jax_settings import standard_jax_settings
from syntony.studies.engine import Engine, EngineOptions, make_engine
from syntony.studies.runner import StudyPlan, StudyRunner
from syntony.studies.sources import make_sources
from syntony.studies.speed import measure_speeds
from syntony.studies.status import (
    Budget,
    StudyStatus,
    budget_note,
    budgets,
    read_study_status,
)
from syntony.studies.study import (
    Cell,
    FlagValue,
    Setting,
    Study,
    read_study,
    study_to_dict,
)
from syntony.studies.study_folder import StudyFolder
from syntony.studies.trial import ToArguments
from syntony.training.devices import process_cpu_count
from syntony.training.progress import format_duration
from syntony.training.provenance import collect_provenance

SELECTING_FLAGS = ("preset", "task", "channel")
"""Flags on which it depends which other flags there are."""
IN_PYTHON = Path("study")
"""Stands for the file of a study that was made in Python, in messages."""


@standard_jax_settings()
def sweep(
    study: Study | str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    engine: str = "local",
    workers: int | None = None,
    cores: int = 1,
    gpus: int = 0,
    address: str | None = None,
    minutes: int = 60,
    partition: str | None = None,
    quiet: bool = False,
) -> StudyStatus:
    """Runs a study, or what is missing of it, into a folder.

    Args:
        study: the study, or its TOML file.
        out: the study folder; trials are run folders in its `trials/`.
        engine: `local`: processes of this machine; `ray`: tasks of a Ray cluster;
            `slurm`: jobs of SLURM; or `python:MODULE:CLASS`, an `Engine`.
        workers: trials at a time; None: as many as there are cores for.
        cores: CPU cores of a trial.
        gpus: GPUs of a trial.
        address: of a Ray cluster; None: one is started on this machine.
        minutes: time limit of a SLURM job; a trial goes on in the next one.
        partition: partition of SLURM; None: its default.
        quiet: whether to print nothing.

    Returns:
        The trials of each system on each task, with the best setting.

    Raises:
        InvalidInputError: the study, a flag of it or an option is invalid, or the
            folder cannot be used. Trials that fail are no error: see the status.
        TrainingInterrupted: a signal stopped the study; its trials are saved.
    """
    path = None if isinstance(study, Study) else Path(study)
    loaded = study if isinstance(study, Study) else read_study(study)
    arguments = TrialArguments(path)
    arguments.check(loaded)
    folder = StudyFolder(Path(out))
    found = budgets(loaded)
    with folder.acquire():
        options = EngineOptions(
            folder, workers, cores, gpus, address, minutes, partition
        )
        made = make_engine(engine, options)
        description = _describe(loaded, found) | {"engine": engine}
        slots = {"slots": made.slots, "cores": made.cores}
        folder.write_study(description | slots | collect_provenance())
        sources = make_sources(loaded, folder)
        metric = None if loaded.search is None else loaded.search.metric
        plan = StudyPlan(sources, found, loaded.retries, metric, arguments.of)
        with StudyDisplay(quiet=quiet) as display:
            for line in _introduction(loaded, plan, folder, made):
                display.tell(line)
            StudyRunner(folder, plan, made, display).run()
    return read_study_status(folder.path)


def _describe(study: Study, found: Sequence[Budget]) -> dict[str, object]:
    """Entries of `study.json`: the study and its budgets."""
    return {
        "study": study_to_dict(study),
        "budgets": [x._asdict() for x in found],
        "budget_note": budget_note(found),
    }


def _introduction(
    study: Study, plan: StudyPlan, folder: StudyFolder, engine: Engine
) -> Iterable[str]:
    """Lines before a study: its budget, and if it asks for it the time it takes.

    Once a trial is done, its time tells more.
    """
    is_new = not any(x.state == "done" for x in folder.records().values())
    if study.estimate and is_new:
        return plan_lines(study, plan.to_arguments, engine.slots)
    return [budget_note(plan.budgets)]


def print_plan(path: Path, *, workers: int | None, cores: int) -> None:
    """Prints the budget of a study, and how long it takes on this machine.

    Args:
        path: file of the study.
        workers: trials at a time; None: as many as there are cores for.
        cores: CPU cores of a trial.

    Raises:
        InvalidInputError: the study or a flag of it is invalid.
    """
    loaded, arguments = read_study(path), TrialArguments(path)
    arguments.check(loaded)
    slots = workers or max(1, process_cpu_count() // cores)
    for line in plan_lines(loaded, arguments.of, slots):
        print(line, flush=True)


def plan_lines(study: Study, to_arguments: ToArguments, slots: int) -> Iterator[str]:
    """Yields the budget and the time of each cell, as they are measured, and the sum.

    Args:
        study: the study.
        to_arguments: arguments of `syntony train` for a setting and seeds.
        slots: trials at a time.
    """
    found = budgets(study)
    yield budget_note(found)
    yield "measuring speeds, one short training each:"
    total, longest, is_complete = 0.0, 0.0, True
    speeds = measure_speeds(study.cells(), to_arguments, slots)
    for budget, speed in zip(found, speeds, strict=True):
        if not speed.steps_per_second:
            is_complete = False
            yield f"{budget.title}: {speed.error}"
            continue
        seconds = speed.seconds(budget.seeds * budget.settings)
        total, longest = total + seconds, max(longest, seconds / budget.trials)
        yield (
            f"{budget.title}: {budget.total_steps:,} steps at "
            f"{speed.steps_per_second:,.0f}/s: {format_duration(seconds)}"
        )
    at_least = "" if is_complete else "at least "
    seconds = max(total / slots, longest)
    yield f"{at_least}{format_duration(seconds)}, with {slots} trials at a time"


class TrialArguments:
    """Arguments of `syntony train` for the settings of a study.

    Args:
        path: file of the study, for messages; None: it was made in Python.
    """

    def __init__(self, path: Path | None):
        self._path = path or IN_PYTHON
        self._lines = [] if path is None else path.read_text().splitlines()
        self._switches: dict[tuple[object, ...], list[str]] = {}

    def of(self, setting: Setting, seeds: tuple[int, ...]) -> list[str]:
        """The arguments for a setting and seeds.

        The trial itself parses them: that takes a third of a second, too long for the
        one process that starts all trials.

        Raises:
            InvalidInputError: the task, channel or preset is unknown, or a flag that
                takes no value has one.
        """
        config = self._config(setting, seeds)
        with config.naming_line():
            flags = config.arguments((), self._switches_of(config))
        return [setting.system, *flags, "--quiet"]

    def check(self, study: Study) -> None:
        """Checks every flag and value of a study, but not all combinations.

        Raises:
            InvalidInputError: a flag is unknown or invalid.
        """
        for cell in study.cells():
            for values in _single_changes(cell):
                config = self._config(cell.setting(values), cell.seeds)
                parsed = parse_config(config)
                with config.naming_line():
                    parsed.system.check()

    def _config(self, setting: Setting, seeds: tuple[int, ...]) -> ConfigFile:
        """A setting and seeds as entries of a configuration file."""
        flags: dict[str, object] = {**setting.flags, "steps": setting.steps}
        flags |= {"seeds": seeds}
        if len(seeds) == 1:
            flags |= {"seeds": 1, "seed": seeds[0]}
        entries = {
            name.replace("_", "-"): Entry(value, line_of(self._lines, name))
            for name, value in flags.items()
        }
        return ConfigFile(self._path, setting.system, entries)

    def _switches_of(self, config: ConfigFile) -> list[str]:
        """Flags without a value; they depend on the system and a few other flags."""
        entries = [config.entries.get(name) for name in SELECTING_FLAGS]
        key = config.system, *(None if x is None else x.value for x in entries)
        if key not in self._switches:
            self._switches[key] = config_switches(config)
        return self._switches[key]


def _single_changes(cell: Cell) -> Iterator[Mapping[str, FlagValue]]:
    """Yields the first values of all flags that vary, and each other value once."""
    choices = {**cell.grid}
    for name, values in cell.space.items():
        ends = (
            [values["low"], values["high"]] if isinstance(values, Mapping) else values
        )
        choices[name] = [*ends]
    first = {name: values[0] for name, values in choices.items()}
    yield first
    for name, values in choices.items():
        for value in values[1:]:
            yield first | {name: value}
