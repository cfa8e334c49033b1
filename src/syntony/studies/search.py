"""Search for good settings with Optuna: proposals, and pruning by successive halving.

Optuna proposes settings and judges evaluations; the trials are those of the study. Its
journal is a file in the study folder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from syntony.errors import InvalidInputError
from syntony.studies.engine import missing_extra_error
from syntony.studies.scores import to_objective
from syntony.studies.study import Cell, FlagValue, Search, Study, Values
from syntony.studies.study_folder import StudyFolder
from syntony.studies.trial import Trial, TrialRecord

if TYPE_CHECKING:
    import optuna

HALVING_FACTOR = 3
"""One of so many trials goes on at each rung."""
FIRST_RUNG = 9
"""Fraction of the training length after which the first trials are stopped: 1/9."""


class SearchSource:
    """Proposes settings of a cell, each with all seeds of the study.

    Args:
        study: the study.
        cell: the cell.
        folder: the study folder; new trials are added to its journal.

    Raises:
        InvalidInputError: Optuna is not installed.
    """

    def __init__(self, study: Study, cell: Cell, folder: StudyFolder):
        assert study.search is not None
        self._search, self._cell, self._folder = study.search, cell, folder
        self._study = _open_study(self._search, cell, folder)
        known = [x for x in folder.records().values() if x.cell == cell.title]
        known = [x for x in known if x.number is not None]
        _check_proposals(self._study, known, folder.search_path)
        self._asked = len(known)
        self._waiting = [
            Trial(x.name, x.setting(cell.steps), x.seeds, x.number)
            for x in reversed(known)
            if x.state not in ("done", "pruned", "failed")
        ]
        self._fail_lost(known)

    def next_trial(self) -> Trial | None:
        if self._waiting:
            return self._waiting.pop()
        if self._asked >= self._search.trials:
            return None
        proposal = self._ask()
        values = {name: cast(FlagValue, x) for name, x in proposal.params.items()}
        setting, seeds = self._cell.setting(values), self._cell.seeds
        name = setting.trial_name(seeds, proposal.number)
        trial = Trial(name, setting, seeds, proposal.number)
        self._folder.create([trial])
        return trial

    def should_prune(self, trial: Trial, steps: int, score: float) -> bool:
        import optuna

        if not self._search.prune or trial.number is None:
            return False
        frozen = self._study.trials[trial.number]
        running = optuna.trial.Trial(self._study, frozen._trial_id)
        if steps not in frozen.intermediate_values:
            running.report(score, steps)
        return running.should_prune()

    def finish(self, trial: Trial, record: TrialRecord) -> None:
        from optuna.trial import TrialState

        states = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
        state = states.get(record.state, TrialState.FAIL)
        value = None
        if state == TrialState.COMPLETE and record.score is not None:
            value = to_objective(record.score, record.metric)
        elif state == TrialState.COMPLETE:
            state = TrialState.FAIL
        assert trial.number is not None
        self._study.tell(trial.number, value, state, skip_if_finished=True)

    def _ask(self) -> "optuna.trial.Trial":
        # A seed for each proposal: a study that goes on does not propose the same ones.
        self._study.sampler = _make_sampler(self._search, self._asked)
        self._asked += 1
        space = {name: _distribution(x) for name, x in self._cell.space.items()}
        try:
            return self._study.ask(space)
        except ValueError as error:
            raise InvalidInputError(
                f"{self._cell.title}: {error}; the values of a search cannot change: "
                "expected another --out"
            ) from None

    def _fail_lost(self, known: list[TrialRecord]) -> None:
        """Ends the proposals that a kill has kept from becoming trials."""
        from optuna.trial import TrialState

        numbers = {x.number for x in known if x.state not in ("done", "pruned")}
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state == TrialState.RUNNING and trial.number not in numbers:
                self._study.tell(trial.number, state=TrialState.FAIL)


def _open_study(search: Search, cell: Cell, folder: StudyFolder) -> "optuna.Study":
    """Optuna's study of a cell, new or as it was left."""
    try:
        import optuna
        from optuna.pruners import SuccessiveHalvingPruner
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise missing_extra_error("Optuna", "sweep") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    first = max(1, cell.steps // FIRST_RUNG)
    path = folder.search_path
    # Its own lock, which a kill may have left: this process holds that of the study.
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    try:
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path))),
            study_name=cell.title,
            direction="maximize",
            sampler=_make_sampler(search, 0),
            pruner=SuccessiveHalvingPruner(first, HALVING_FACTOR),
            load_if_exists=True,
        )
    except Exception as error:
        # For a damaged file Optuna may raise any exception.
        raise InvalidInputError(
            f"{path} is damaged ({type(error).__name__}); expected another --out"
        ) from None


def _check_proposals(
    study: "optuna.Study", known: Sequence[TrialRecord], path: Path
) -> None:
    """Raises InvalidInputError if a trial has no proposal: the file was lost."""
    count = len(study.get_trials(deepcopy=False))
    if any((x.number or 0) >= count for x in known):
        raise InvalidInputError(
            f"{path} has {count} proposals, and the journal more; expected another "
            "--out, or that file as it was"
        )


def _make_sampler(search: Search, number: int) -> "optuna.samplers.BaseSampler":
    from optuna.samplers import RandomSampler, TPESampler

    seed = (search.seed * 1_000_003 + number) % 2**32
    if search.sampler == "random":
        return RandomSampler(seed)
    return TPESampler(seed=seed)


def _distribution(values: Values) -> "optuna.distributions.BaseDistribution":
    """Optuna's distribution of the values of a flag."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if not isinstance(values, Mapping):
        return CategoricalDistribution([*values])
    low, high, log = values["low"], values["high"], bool(values.get("log", False))
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)
