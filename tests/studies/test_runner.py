"""Studies: what is trained, what is trained again, and what ends in an error."""

import json
import os
import shutil
import signal
from pathlib import Path

import fake_engine
import pytest
from fake_engine import endings, submitted

from syntony.cli import main
from syntony.errors import InvalidInputError
from syntony.studies.study_folder import StudyFolder, run_folders
from syntony.training.signals import TrainingInterrupted
from syntony.training.trust import was_trained_here

from .conftest import Sweep


def test_every_combination_is_trained_once(sweep: Sweep):
    grid = {"rate": [0.1, 0.3], "noise": [0.0, 0.1]}
    status = sweep(grid=grid, seeds=2)
    assert len(submitted) == len({*submitted}) == 4
    assert (status.cells[0].done, status.cells[0].total) == (4, 4)
    assert status.cells[0].best is not None
    assert status.cells[0].best.flags["rate"] == 0.3
    sweep(grid=grid, seeds=2)
    assert len(submitted) == 4


def test_what_is_new_in_a_study_is_trained(sweep: Sweep):
    sweep(grid={"rate": [0.1]}, seeds=2)
    sweep(grid={"rate": [0.1, 0.3]}, seeds=2)
    assert len(submitted) == 2
    status = sweep(grid={"rate": [0.1, 0.3]}, seeds=3)
    assert [name[-2:] for name in submitted[2:]] == ["s2", "s2"]
    assert status.cells[0].done == 4
    # Longer: the same run folders go on.
    sweep(grid={"rate": [0.1, 0.3]}, seeds=3, steps=1800)
    assert {*submitted[4:]} == {*submitted[:4]}


def test_a_deleted_run_is_trained_again(sweep: Sweep):
    sweep(grid={"rate": [0.1, 0.3]})
    shutil.rmtree(Path("study/trials") / submitted[0])
    sweep(grid={"rate": [0.1, 0.3]})
    assert submitted[2:] == submitted[:1]


def test_seeds_per_trial(sweep: Sweep):
    status = sweep(seeds=5, seeds_per_trial=2)
    assert [name.rpartition("-s")[2] for name in submitted] == ["0-1", "2-3", "4"]
    assert (status.cells[0].total, status.cells[0].done) == (3, 3)


def test_failed_trials_are_started_again_and_others_go_on(sweep: Sweep):
    endings["-s0"] = [(1, "disk full"), (1, "disk full")]
    endings["-s1"] = [(1, "broken")] * 3
    status = sweep(seeds=3, seeds_per_trial=1)
    starts = fake_engine.count([name.rpartition("-")[2] for name in submitted])
    assert starts == {"s0": 3, "s1": 3, "s2": 1}
    assert (status.cells[0].done, status.cells[0].failed) == (2, 1)
    assert [record.error for record in status.failures] == ["broken"]
    # The same command does what is missing.
    assert not sweep(seeds=3, seeds_per_trial=1).failures
    assert len(submitted) == 8


def test_bad_input_fails_once_but_a_folder_in_use_is_waited_for(sweep: Sweep):
    endings["-s0"] = [(2, "rate is 2; expected 0 to 1")]
    endings["-s1"] = [(2, "trials/x is in use by process 1 on host")]
    status = sweep(seeds=2, seeds_per_trial=1)
    assert len(submitted) == 3
    assert [record.error for record in status.failures] == [
        "rate is 2; expected 0 to 1"
    ]


@pytest.mark.parametrize("code", [None, 143, -signal.SIGTERM])
def test_interrupted_trials_go_on(sweep: Sweep, code: int | None):
    endings["-s0"] = [(code, "")] * 5
    status = sweep()
    assert len(submitted) == 6
    assert status.cells[0].done == 1


def test_a_killed_trial_fails_after_its_retries(sweep: Sweep):
    endings["-s0"] = [(-signal.SIGKILL, "")] * 9
    (failure,) = sweep(retries=1).failures
    assert len(submitted) == 2
    assert "too little memory" in failure.error


def test_a_signal_stops_and_the_same_command_goes_on(sweep: Sweep):
    fake_engine.hooks.append(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(TrainingInterrupted, match="go on with the same command") as end:
        sweep(seeds=4, seeds_per_trial=1)
    assert end.value.signum == signal.SIGINT
    states = {x.state for x in StudyFolder(Path("study")).records().values()}
    assert states == {"waiting"}
    endings.clear()
    assert sweep(seeds=4, seeds_per_trial=1).cells[0].done == 4


def test_a_journal_that_a_kill_has_cut_is_read(sweep: Sweep):
    sweep(seeds=2, seeds_per_trial=1)
    journal = Path("study/trials.jsonl")
    journal.write_bytes(journal.read_bytes()[:-20])
    assert sweep(seeds=2, seeds_per_trial=1).cells[0].done == 2
    assert len(submitted) == 3
    assert len(StudyFolder(Path("study")).records()) == 2


def test_a_study_in_use_and_foreign_folders_are_refused(sweep: Sweep):
    sweep()
    with (
        StudyFolder(Path("study")).acquire(),
        pytest.raises(InvalidInputError, match="is in use"),
    ):
        sweep()
    Path("study/study.json").unlink()
    Path("study/thesis.txt").touch()
    with pytest.raises(InvalidInputError, match="no study"):
        sweep()


def test_only_trials_that_can_be_compared_are_listed(sweep: Sweep):
    endings["-s1"] = [(2, "broken")]
    sweep(seeds=3, seeds_per_trial=1)
    assert [x.name[-2:] for x in run_folders(Path("study"))] == ["s0", "s2"]
    assert run_folders(Path("elsewhere")) == [Path("elsewhere")]


def test_names_in_a_foreign_journal_stay_in_the_folder(sweep: Sweep):
    sweep()
    with Path("study/trials.jsonl").open("a") as file:
        file.write('{"trial": "../../etc", "event": "created"}\n[1]\nnot JSON\n')
    assert len(StudyFolder(Path("study")).records()) == 1


def test_a_trial_is_trusted_for_what_its_study_names(sweep: Sweep):
    sweep()
    settings = StudyFolder(Path("study")).run_path(submitted[0]) / "settings.json"
    assert main(["compare", "study"]) == 0
    stored = json.loads(settings.read_text())
    assert was_trained_here(stored)
    assert not was_trained_here(stored | {"channel": {"id": "python:other:channel"}})


def test_engines_that_are_none(sweep: Sweep):
    with pytest.raises(InvalidInputError, match="makes no engine"):
        sweep(engine="python:fake_engine:NoEngine")
    with pytest.raises(InvalidInputError, match="did you mean 'slurm'"):
        sweep(engine="slrm")
