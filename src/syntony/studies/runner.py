"""Runs the trials of a study on an engine, until none is left or a signal stops it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from syntony.errors import InvalidInputError
from syntony.studies.engine import Engine
from syntony.studies.journal import after_event
from syntony.studies.scores import Progress, read_progress, to_objective
from syntony.studies.sources import TrialSource
from syntony.studies.status import Budget, StudyStatus, make_status
from syntony.studies.study_folder import StudyFolder
from syntony.studies.trial import Job, Outcome, ToArguments, Trial, TrialRecord
from syntony.training.run_folder import RunFolder
from syntony.training.signals import (
    StopRequest,
    TrainingInterrupted,
    handle_signals,
)
from syntony.training.trust import CODE_ID, named_code, remember_trained

MIN_POLL_SECONDS = 0.01
POLL_SECONDS = 0.2
"""Least and most time between two looks at the running trials; it doubles while none
is done."""
DISPLAY_SECONDS = 2.0
"""Time between two updates of the display."""
PRUNE_SECONDS = 2.0
"""Time between two looks at the evaluations of running trials."""
MAX_INTERRUPTIONS = 100
"""How often a trial may be interrupted, e.g. preempted, before it counts as failed."""
INVALID_INPUT = 2
"""Exit code of a trial that would fail again."""
IN_USE = "is in use by"
"""Part of the error of a trial whose folder another process has not left yet."""


@runtime_checkable
class Display(Protocol):
    """Shows the progress of a study."""

    def update(self, status: StudyStatus) -> None:
        """Shows a status."""
        ...

    def tell(self, text: str) -> None:
        """Shows a line that stays, e.g. of a trial that has ended."""
        ...


class StudyInterrupted(TrainingInterrupted):
    """A signal stopped a study; all of its trials are saved."""

    def __init__(self, path: Path, signum: int):
        super().__init__(path, signum)
        self.args = (f"{path}: stopped and saved; go on with the same command",)


class StudyPlan(NamedTuple):
    """Trials of a study, and how they are run."""

    sources: Mapping[str, TrialSource]
    """The source of the trials of each cell, by the name of the cell."""
    budgets: list[Budget]
    retries: int
    metric: str | None
    to_arguments: ToArguments


class RunningTrial(NamedTuple):
    """A trial that an engine has."""

    trial: Trial
    start: float
    is_pruned: bool = False


class StudyRunner:
    """Gives trials to an engine, records how they end, and starts them again.

    Args:
        folder: the study folder, locked by this process.
        plan: the trials.
        engine: what runs them.
        display: where the progress is shown.
    """

    def __init__(
        self, folder: StudyFolder, plan: StudyPlan, engine: Engine, display: Display
    ):
        self._folder, self._plan = folder, plan
        self._engine, self._display = engine, display
        self._records = folder.records()
        self._running: dict[str, RunningTrial] = {}
        self._retries: list[Trial] = []
        self._failures: dict[str, int] = {}
        self._shown = self._looked = self._pause = 0.0

    def run(self) -> None:
        """Runs all trials.

        Raises:
            StudyInterrupted: a signal stopped the study; its trials are saved.
        """
        with handle_signals() as stop:
            try:
                while self._step(stop):
                    time.sleep(self._pause)
                self._show()
            finally:
                self._engine.close()
        if stop.signum is not None:
            raise StudyInterrupted(self._folder.path, stop.signum)

    def _step(self, stop: StopRequest) -> bool:
        """One look at all trials; whether the study goes on."""
        if stop:
            self._stop_all()
        else:
            self._submit()
        outcomes = self._engine.poll()
        for outcome in outcomes:
            self._finish(outcome, is_stopping=bool(stop))
        # The place of one that is done is taken at once; a cluster that loses trials at
        # once is given time.
        is_done = any(outcome.code == 0 for outcome in outcomes)
        self._pause = 0.0 if is_done else _next_pause(self._pause)
        self._prune()
        if time.monotonic() - self._shown > DISPLAY_SECONDS:
            self._show()
        return bool(self._running) or not (stop or self._is_exhausted())

    def _submit(self) -> None:
        """Begins trials while the engine has room."""
        while len(self._running) < self._engine.slots:
            trial = self._next_trial()
            if trial is None:
                return
            self._start(trial)

    def _is_exhausted(self) -> bool:
        trial = self._next_trial()
        if trial is not None:
            self._retries.append(trial)
        return trial is None

    def _next_trial(self) -> Trial | None:
        if self._retries:
            return self._retries.pop(0)
        # Cells in turn, the one with the fewest running trials first.
        cells = [x.trial.cell for x in self._running.values()]
        for title in sorted(self._plan.sources, key=cells.count):
            if (trial := self._plan.sources[title].next_trial()) is not None:
                return trial
        return None

    def _start(self, trial: Trial) -> None:
        name, folder = trial.name, self._folder
        record = TrialRecord(
            name,
            trial.setting.system,
            trial.setting.flags,
            trial.seeds,
            number=trial.number,
        )
        self._records.setdefault(name, record)
        try:
            arguments = self._plan.to_arguments(trial.setting, trial.seeds)
        except InvalidInputError as error:
            self._fail(trial, str(error), 0.0, is_final=True)
            return
        run, log = folder.run_path(name).absolute(), folder.log_path(name).absolute()
        self._engine.submit(Job(name, arguments, run, log, Path.cwd()))
        self._running[name] = RunningTrial(trial, time.monotonic())
        self._note(name, "started")

    def _finish(self, outcome: Outcome, *, is_stopping: bool) -> None:
        """Records the end of a trial, and has it started again where it failed."""
        trial, start, is_pruned = self._running.pop(outcome.name)
        seconds = round(time.monotonic() - start, 3)
        if outcome.code == 0:
            self._complete(trial, seconds)
        elif is_pruned:
            self._end(trial, "pruned", seconds)
        elif outcome.is_interrupted and is_stopping:
            self._note(trial.name, "interrupted", seconds=seconds)
        elif outcome.is_interrupted and self._may_go_on(trial):
            self._note(trial.name, "interrupted", seconds=seconds)
            self._retries.append(trial)
        else:
            is_final = outcome.code == INVALID_INPUT and IN_USE not in outcome.error
            self._fail(trial, _error_text(outcome), seconds, is_final=is_final)

    def _may_go_on(self, trial: Trial) -> bool:
        return self._records[trial.name].interruptions < MAX_INTERRUPTIONS

    def _complete(self, trial: Trial, seconds: float) -> None:
        self._trust(trial)
        self._end(trial, "done", seconds)

    def _end(self, trial: Trial, event: str, seconds: float) -> None:
        """Records a trial that is done or pruned, with its score."""
        progress = self._progress(trial)
        steps = trial.setting.steps if event == "done" else progress.steps
        self._note(
            trial.name,
            event,
            seconds=seconds,
            steps=steps,
            score=progress.score,
            metric=progress.metric,
        )
        self._plan.sources[trial.cell].finish(trial, self._records[trial.name])
        score = "" if progress.score is None else f", {progress.metric} "
        score += "" if progress.score is None else f"{progress.score:.4g}"
        self._display.tell(f"{event} {trial.name}: {seconds:.0f} s{score}")

    def _fail(
        self, trial: Trial, error: str, seconds: float, *, is_final: bool
    ) -> None:
        """Records a failure; the trial is started again if that may help."""
        failures = self._failures.get(trial.name, 0) + 1
        self._failures[trial.name] = failures
        again = not is_final and failures <= self._plan.retries
        event = "retried" if again else "failed"
        self._note(trial.name, event, seconds=seconds, error=error)
        text = f"failed {trial.name}: {error}"
        self._display.tell(f"{text}; it is started again" if again else text)
        if again:
            self._retries.append(trial)
        else:
            self._plan.sources[trial.cell].finish(trial, self._records[trial.name])

    def _note(self, name: str, event: str, **values: object) -> None:
        """Appends an event to the journal, and to the records here."""
        self._folder.append(name, event, **values)
        self._records[name] = after_event(self._records[name], event, values)

    def _progress(self, trial: Trial) -> Progress:
        run = self._folder.run_path(trial.name)
        return read_progress(run, len(trial.seeds), self._plan.metric)

    def _prune(self) -> None:
        """Stops running trials that a search gives up."""
        if time.monotonic() - self._looked < PRUNE_SECONDS:
            return
        self._looked = time.monotonic()
        for name, running in self._running.items():
            if running.is_pruned or running.trial.number is None:
                continue
            progress = self._progress(running.trial)
            if progress.score is None or not progress.steps:
                continue
            value = to_objective(progress.score, progress.metric)
            source = self._plan.sources[running.trial.cell]
            if source.should_prune(running.trial, progress.steps, value):
                self._running[name] = running._replace(is_pruned=True)
                self._engine.stop(name)

    def _stop_all(self) -> None:
        for name in self._running:
            self._engine.stop(name)

    def _trust(self, trial: Trial) -> None:
        """Remembers a trial as trained here, wherever it was: this study asked for it.

        Only if it names no other packages than the study does.
        """
        try:
            settings = RunFolder(self._folder.run_path(trial.name)).read_settings()
        except InvalidInputError:
            return
        asked = [trial.setting.system, *map(str, trial.setting.flags.values())]
        if _packages(named_code(settings)) <= _packages(asked):
            remember_trained(settings)

    def _show(self) -> None:
        self._shown = time.monotonic()
        self._display.update(
            make_status(
                self._folder,
                self._records.values(),
                self._plan.budgets,
                slots=self._engine.slots,
                cores=self._engine.cores,
            )
        )


def _next_pause(pause: float) -> float:
    """Time until the next look at the trials, after one at which none was done."""
    return min(max(MIN_POLL_SECONDS, 2 * pause), POLL_SECONDS)


def _packages(ids: list[str]) -> set[str]:
    """Packages that ids import."""
    return {match[1] for id in ids for match in CODE_ID.finditer(id)}


def _error_text(outcome: Outcome) -> str:
    """Error of a trial that ended with another exit code than 0."""
    if outcome.code is None:
        return "its machine was lost too often"
    if outcome.code < 0:
        return f"killed by signal {-outcome.code}; was there too little memory?"
    return outcome.error or f"exit code {outcome.code}"
