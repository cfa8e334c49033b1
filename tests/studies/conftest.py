"""Studies of a toy system, on an engine that trains nothing, in an empty folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_engine
import pytest

import syntony
from syntony.cli import run_study
from syntony.studies import runner
from syntony.studies.status import StudyStatus

TOY = "python:toy_system:Toy"
Sweep = Callable[..., StudyStatus]


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_engine.reset()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(runner, "PRUNE_SECONDS", 0.0)


def no_check(self: object, study: syntony.Study) -> None:
    """In place of the check of all flags, which takes most of the time."""
    del self, study


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Runs a study of the toy; the arguments are those of `Study`."""
    monkeypatch.setattr(run_study.TrialArguments, "check", no_check)

    def run(*, engine: str = "python:fake_engine:FakeEngine", **entries: Any) -> Any:
        study = syntony.Study(**({"systems": [TOY], "steps": 900} | entries))
        return syntony.sweep(study, out="study", engine=engine)

    return run
