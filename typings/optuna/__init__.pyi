"""The parts of Optuna that are used."""

from collections.abc import Mapping
from typing import Literal

from optuna import distributions as distributions
from optuna import logging as logging
from optuna import pruners as pruners
from optuna import samplers as samplers
from optuna import storages as storages
from optuna import trial as trial

class Study:
    sampler: samplers.BaseSampler
    @property
    def trials(self) -> list[trial.FrozenTrial]: ...
    def get_trials(self, *, deepcopy: bool) -> list[trial.FrozenTrial]: ...
    def ask(
        self, space: Mapping[str, distributions.BaseDistribution]
    ) -> trial.Trial: ...
    def tell(
        self,
        number: int,
        values: float | None = ...,
        state: trial.TrialState | None = ...,
        skip_if_finished: bool = ...,
    ) -> trial.FrozenTrial: ...

def create_study(
    *,
    storage: storages.JournalStorage,
    study_name: str,
    direction: Literal["minimize", "maximize"],
    sampler: samplers.BaseSampler,
    pruner: pruners.SuccessiveHalvingPruner,
    load_if_exists: bool,
) -> Study: ...
