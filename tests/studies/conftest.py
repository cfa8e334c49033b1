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
from syntony.studies.study import Setting

TOY = "python:toy_system:Toy"
Sweep = Callable[..., StudyStatus]


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_engine.reset()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(runner, "PRUNE_SECONDS", 0.0)


def to_arguments(self: object, setting: Setting, seeds: tuple[int, ...]) -> list[str]:
    """Arguments without a check of the flags, which takes most of the time."""
    del self
    first = [f"--seeds=1 --seed={seeds[0]}", f"--seeds={','.join(map(str, seeds))}"]
    flags = [f"--{k}={v}" for k, v in setting.flags.items()]
    flags += first[len(seeds) > 1].split()
    return [setting.system, *flags, f"--steps={setting.steps}"]


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Runs a study of the toy; the arguments are those of `Study`."""
    monkeypatch.setattr(run_study.TrialArguments, "of", to_arguments)

    def run(*, engine: str = "python:fake_engine:FakeEngine", **entries: Any) -> Any:
        study = syntony.Study(**({"systems": [TOY], "steps": 900} | entries))
        return syntony.sweep(study, out="study", engine=engine)

    return run
