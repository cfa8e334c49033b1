"""Searches: as many settings for every system, early stops, and going on."""

import os
import signal
from pathlib import Path
from typing import Any

import fake_engine
import pytest
from fake_engine import submitted

import syntony
from syntony.errors import InvalidInputError
from syntony.studies.study_folder import StudyFolder
from syntony.studies.trial import TrialRecord
from syntony.training.signals import TrainingInterrupted

from .conftest import TOY, Sweep

pytest.importorskip("optuna")

SPACE = {"rate": {"low": 0.1, "high": 0.9}, "noise": [0.0, 0.1]}


def search(**options: Any) -> syntony.Search:
    return syntony.Search(**({"trials": 4, "space": SPACE} | options))


def records() -> list[TrialRecord]:
    return [*StudyFolder(Path("study")).records().values()]


def test_every_system_gets_as_many_settings(sweep: Sweep):
    status = sweep(systems=[TOY, {"system": TOY, "preset": "default"}], search=search())
    assert [(cell.total, cell.done + cell.pruned) for cell in status.cells] == [
        (4, 4)
    ] * 2
    assert len({*submitted}) == len(submitted) == 8
    # The same command has nothing to do.
    sweep(systems=[TOY, {"system": TOY, "preset": "default"}], search=search())
    assert len(submitted) == 8


def test_more_trials_are_added_and_are_new_ones(sweep: Sweep):
    sweep(search=search(sampler="random"))
    sweep(search=search(sampler="random", trials=6))
    rates = {record.flags["rate"] for record in records()}
    assert len(submitted) == len(rates) == 6


def test_bad_settings_are_stopped_early(sweep: Sweep):
    sweep(search=search(trials=12, sampler="random"), seeds=2)
    pruned = [x for x in records() if x.state == "pruned"]
    done = [x for x in records() if x.state == "done"]
    assert pruned
    assert all(0 < x.steps < 900 for x in pruned)
    assert max(x.score or -9 for x in done) > max(x.score or -9 for x in pruned)


def test_without_pruning_all_settings_end(sweep: Sweep):
    status = sweep(search=search(trials=6, prune=False))
    assert status.cells[0].done == 6


def test_an_interrupted_search_goes_on(sweep: Sweep):
    fake_engine.hooks.append(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(TrainingInterrupted):
        sweep(search=search(trials=6, prune=False))
    fake_engine.endings.clear()
    assert sweep(search=search(trials=6, prune=False)).cells[0].done == 6
    assert len({*submitted}) == 6


def test_values_of_a_list_cannot_change(sweep: Sweep):
    sweep(search=search(trials=1))
    changed = SPACE | {"noise": [0.0, 0.2]}
    with pytest.raises(InvalidInputError, match="values of a search cannot change"):
        sweep(search=search(trials=2, space=changed))
