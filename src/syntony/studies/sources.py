"""Sources of trials: all combinations of a grid, or what a search proposes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from syntony.studies.study import Cell, Setting, Study
from syntony.studies.study_folder import StudyFolder
from syntony.studies.trial import Trial, TrialRecord


@runtime_checkable
class TrialSource(Protocol):
    """Gives the trials that are still to be trained, one after the other."""

    def next_trial(self) -> Trial | None:
        """The next trial; None if there is none, or none yet."""
        ...

    def should_prune(self, trial: Trial, steps: int, score: float) -> bool:
        """Whether a running trial should end, after an evaluation.

        Args:
            trial: the trial.
            steps: step of the evaluation.
            score: objective there; more is better.
        """
        ...

    def finish(self, trial: Trial, record: TrialRecord) -> None:
        """Takes the result of a trial: it is done, failed or pruned."""
        ...


class GridSource:
    """All combinations of the grids of some cells, but for what is done.

    Args:
        study: the study.
        cells: its cells.
        folder: the study folder; new trials are added to its journal.
    """

    def __init__(self, study: Study, cells: Sequence[Cell], folder: StudyFolder):
        records = folder.records()
        by_setting: dict[str, list[TrialRecord]] = {}
        for record in records.values():
            if record.number is None:
                by_setting.setdefault(record.setting(0).id, []).append(record)
        new: list[Trial] = []
        self._waiting: list[Trial] = []
        for cell in cells:
            for setting in cell.settings():
                known = by_setting.get(setting.id, [])
                self._waiting += _unfinished(setting, known, cell.seeds, folder)
                new += list(_missing(setting, known, cell.seeds, study.seeds_per_trial))
        folder.create(new)
        self._waiting += new
        self._waiting.reverse()

    def next_trial(self) -> Trial | None:
        return self._waiting.pop() if self._waiting else None

    def should_prune(self, trial: Trial, steps: int, score: float) -> bool:
        del trial, steps, score
        return False

    def finish(self, trial: Trial, record: TrialRecord) -> None:
        del trial, record


def _unfinished(
    setting: Setting,
    known: Sequence[TrialRecord],
    seeds: Sequence[int],
    folder: StudyFolder,
) -> Iterator[Trial]:
    """Yields the trials of a setting that have not reached its length."""
    for record in known:
        is_wanted = bool({*record.seeds} & {*seeds})
        is_done = record.state == "done" and record.steps >= setting.steps
        has_run = folder.run_path(record.name).is_dir()
        if is_wanted and not (is_done and has_run):
            yield Trial(record.name, setting, record.seeds)


def _missing(
    setting: Setting,
    known: Sequence[TrialRecord],
    seeds: Sequence[int],
    seeds_per_trial: int | None,
) -> Iterator[Trial]:
    """Yields new trials with the seeds of a setting that no trial has yet."""
    taken = {seed for record in known for seed in record.seeds}
    left = [seed for seed in seeds if seed not in taken]
    size = seeds_per_trial or max(1, len(left))
    for start in range(0, len(left), size):
        part = tuple(left[start : start + size])
        yield Trial(setting.trial_name(part), setting, part)


def make_sources(study: Study, folder: StudyFolder) -> Mapping[str, TrialSource]:
    """The source of the trials of each cell, by the name of the cell."""
    cells = study.cells()
    if study.search is None:
        grid = GridSource(study, cells, folder)
        return {cell.title: grid for cell in cells}
    # Imported late: Optuna is needed for a search alone.
    from syntony.studies.search import SearchSource

    return {cell.title: SearchSource(study, cell, folder) for cell in cells}
