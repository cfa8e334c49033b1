"""Trials as processes of this machine: killed, stopped, and as they would be alone."""

import os
import signal
import time
from pathlib import Path

import pytest

import syntony
from syntony.studies import runner
from syntony.studies.local_engine import LocalEngine
from syntony.studies.study_folder import StudyFolder
from syntony.studies.trial import Outcome

HELPERS = Path(__file__).parents[1] / "helpers"
SOURCES = Path(__file__).parents[2] / "src"


@pytest.fixture(autouse=True)
def path_of_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{SOURCES}:{HELPERS}")


class KilledOnce(LocalEngine):
    """Kills the first trial when it begins, and tells how it ended."""

    def __init__(self, options: syntony.EngineOptions):
        super().__init__(options)
        self._is_killed = False

    def poll(self) -> list[Outcome]:
        for slot in self._running.values():
            if not self._is_killed:
                os.kill(slot.process.pid, signal.SIGKILL)
                self._is_killed = True
        return super().poll()


def test_a_killed_trial_has_the_results_of_one_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.1)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    study = syntony.Study(
        systems=["python:toy_system:Toy"],
        steps=200,
        seeds=2,
        settings={"eval_every": 100, "eval_episodes": 5},
    )
    engine = "python:test_local_engine:KilledOnce"
    status = syntony.sweep(study, out="study", engine=engine, workers=1)
    folder = StudyFolder(Path("study"))
    (record,) = folder.records().values()
    assert (record.state, record.failures, status.slots) == ("done", 1, 0)
    (cell,) = study.cells()
    from toy_system import Toy

    alone = syntony.train(
        Toy(),
        steps=cell.steps,
        seeds=cell.seeds,
        eval_every=100,
        eval_episodes=5,
        out="alone",
        quiet=True,
    )
    name = "model.npz"
    assert (folder.run_path(record.name) / name).read_bytes() == (
        alone.path / name
    ).read_bytes()


def test_a_trial_ends_when_its_input_is_closed(tmp_path: Path):
    from syntony.studies.processes import start_process, stop_process
    from syntony.studies.trial import Job

    arguments = ["python:toy_system:Toy", "--steps", "1_000_000", "--quiet"]
    arguments += ["--eval-every", "10"]
    job = Job("job", arguments, tmp_path / "run", tmp_path / "log", tmp_path)
    process = start_process(job)
    end = time.monotonic() + 100
    while not (job.run / "metrics.jsonl").exists() and time.monotonic() < end:
        time.sleep(0.1)
    stop_process(process)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert "stopped and saved" in job.log.read_text()
