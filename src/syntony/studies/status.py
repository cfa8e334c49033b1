"""Status of a study at one time: its trials by system and task, and the time left."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from syntony.errors import visible
from syntony.studies.scores import read_progress, to_objective
from syntony.studies.study import Cell, Study
from syntony.studies.study_folder import StudyFolder
from syntony.studies.trial import TrialRecord
from syntony.training.locks import read_exit_status, read_lock_owner
from syntony.training.safe_io import JsonObject

MAX_READ = 64
"""Most running trials whose progress is read."""
MAX_CELLS = 10_000
"""Most cells of a study that are shown."""
MAX_TITLE = 500
"""Most characters of the title of a cell."""
MAX_COUNT = 2**53


class Budget(NamedTuple):
    """Budget of a cell, the same for all systems on a task."""

    title: str
    settings: int
    seeds: int
    steps: int
    """Length of each seed."""
    trials: int

    @property
    def total_steps(self) -> int:
        """Steps of all seeds of all settings."""
        return self.settings * self.seeds * self.steps


class CellStatus(NamedTuple):
    """Trials of a system on a task, and its best setting."""

    title: str
    total: int
    done: int
    running: int
    failed: int
    pruned: int
    best: TrialRecord | None

    @property
    def left(self) -> int:
        """Trials that are still to end."""
        return max(0, self.total - self.done - self.failed - self.pruned)


class StudyStatus(NamedTuple):
    """Status of a study."""

    path: Path
    cells: list[CellStatus]
    seconds_left: float | None
    """Estimated time to the end; None before the first trial is done."""
    slots: int
    """Trials at a time; 0 where the study does not run."""
    cores: int
    """CPU cores that they use."""
    failures: list[TrialRecord]

    @property
    def is_complete(self) -> bool:
        """Whether no trial is left."""
        return not any(cell.left for cell in self.cells)


def budgets(study: Study) -> list[Budget]:
    """The budget of each cell of a study."""
    return [_budget(study, cell) for cell in study.cells()]


def _budget(study: Study, cell: Cell) -> Budget:
    settings = math.prod(map(len, cell.grid.values()))
    at_a_time = study.seeds_per_trial or len(cell.seeds)
    trials = settings * -(-len(cell.seeds) // at_a_time)
    if study.search is not None:
        settings = trials = study.search.trials
    return Budget(cell.title, settings, len(cell.seeds), cell.steps, trials)


def budget_note(found: Sequence[Budget]) -> str:
    """Whether all systems have the same budget on each task."""
    by_task: dict[str, set[tuple[int, int, int]]] = {}
    for x in found:
        task = x.title.partition(" on ")[2]
        by_task.setdefault(task, set()).add((x.settings, x.seeds, x.steps))
    unequal = [task for task, kinds in by_task.items() if len(kinds) > 1]
    if not unequal:
        return "equal budgets: as many settings, seeds and steps for every system"
    return f"unequal budgets of the systems on {', '.join(unequal)}"


def make_status(
    folder: StudyFolder,
    records: Iterable[TrialRecord],
    found: Sequence[Budget],
    *,
    slots: int,
    cores: int,
) -> StudyStatus:
    """Status of a study from its records.

    Args:
        folder: the study folder; the progress of running trials is read from it.
        records: the trials.
        found: the budgets of the cells.
        slots: trials at a time.
        cores: CPU cores that they use.
    """
    by_cell: dict[str, list[TrialRecord]] = {}
    for record in records:
        by_cell.setdefault(record.cell, []).append(record)
    cells = [_cell_status(title, trials, by_cell) for title, trials in _totals(found)]
    every = [x for inside in by_cell.values() for x in inside]
    seconds = _seconds_left(folder, every, cells, found, max(1, slots))
    failures = [x for x in every if x.state == "failed"]
    return StudyStatus(folder.path, cells, seconds, slots, cores, failures)


def read_study_status(path: Path) -> StudyStatus:
    """Status of a study from its folder; it may run or not.

    Raises:
        InvalidInputError: the folder has no study.
    """
    folder = StudyFolder(path)
    content, records = folder.read_study(), folder.records().values()
    owner = read_lock_owner(folder.lock_path)
    runs = owner is not None and owner.is_local() and owner.is_alive()
    is_open = read_exit_status(folder.lock_path) is None and runs
    slots = _count(content, "slots") if is_open else 0
    cores = _count(content, "cores") if is_open else 0
    found = stored_budgets(content)
    return make_status(folder, records, found, slots=slots, cores=cores)


def stored_budgets(content: JsonObject) -> list[Budget]:
    """The budgets in `study.json`."""
    stored = content.get("budgets")
    listed = stored if isinstance(stored, list) else []
    entries = [x for x in listed if isinstance(x, dict)]
    return [
        Budget(
            visible(str(x.get("title", "")))[:MAX_TITLE],
            *(_count(x, name) for name in Budget._fields[1:]),
        )
        for x in entries[:MAX_CELLS]
    ]


def best_record(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The done trial with the best score, the first of equal ones; None without any."""
    scored = [x for x in records if x.state == "done" and x.score is not None]
    return max(
        scored, key=lambda x: to_objective(x.score or 0.0, x.metric), default=None
    )


def _count(entries: Mapping[str, object], name: str) -> int:
    value = entries.get(name)
    return min(max(value, 0), MAX_COUNT) if type(value) is int else 0


def _totals(found: Sequence[Budget]) -> list[tuple[str, int]]:
    """Number of trials by the title of the cell; equal titles are one."""
    totals: dict[str, int] = {}
    for x in found:
        totals[x.title] = totals.get(x.title, 0) + x.trials
    return [*totals.items()]


def _cell_status(
    title: str, total: int, by_cell: Mapping[str, Sequence[TrialRecord]]
) -> CellStatus:
    records = by_cell.get(title, [])
    counts = {
        state: sum(x.state == state for x in records)
        for state in ("done", "running", "failed", "pruned")
    }
    # A study with fewer seeds than before has more trials than it needs.
    total = max(total, len(records))
    return CellStatus(title, total, **counts, best=best_record(records))


def _seconds_left(
    folder: StudyFolder,
    records: Sequence[TrialRecord],
    cells: Sequence[CellStatus],
    found: Sequence[Budget],
    slots: int,
) -> float | None:
    """Estimated time to the end, from the mean time of the trials of each cell."""
    ended = [x for x in records if x.state in ("done", "pruned")]
    if not ended:
        return None
    steps = {x.title: x.steps for x in found}
    overall = _mean_seconds(ended)
    left = 0.0
    by_cell: dict[str, list[TrialRecord]] = {}
    for x in ended:
        by_cell.setdefault(x.cell, []).append(x)
    for cell in cells:
        own = by_cell.get(cell.title, ended)
        left += cell.left * _mean_seconds(own)
    running = [x for x in records if x.state == "running"][:MAX_READ]
    for record in running:
        length = max(1, steps.get(record.cell, 1))
        run = folder.run_path(record.name)
        reached = read_progress(run, len(record.seeds)).steps
        left -= min(1.0, reached / length) * overall
    return max(0.0, left) / slots


def _mean_seconds(records: Sequence[TrialRecord]) -> float:
    return sum(x.seconds for x in records) / len(records)
