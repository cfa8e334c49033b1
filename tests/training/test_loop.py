"""Runs of a toy: what their numbers may depend on, and what they must not."""

import dataclasses
import json
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy_system import Descent, Toy

from syntony.errors import InvalidInputError
from syntony.training import loop as training
from syntony.training import recorder, seed_scheduler
from syntony.training.checkpoint import checkpoint_paths
from syntony.training.devices import DeviceSharding, worker_devices
from syntony.training.loop import TrainingDivergedError, resume, train
from syntony.training.run import load
from syntony.training.signals import TrainingInterrupted

SHORT = {"eval_every": 400, "eval_episodes": 10, "quiet": True}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    train(Toy(), steps=1000, seeds=2, out=tmp_path / "run", **SHORT)
    return tmp_path / "run"


def test_a_run_folder_holds_all_that_came_of_it(run: Path):
    names = {path.name for path in run.iterdir()}
    assert names == {
        *("settings.json", "metrics.jsonl", "checkpoints", "model.npz", ".lock")
    }
    settings = json.loads((run / "settings.json").read_text())
    assert settings["settings"]["descent"] == {"rate": 0.1, "noise": 0.01}
    assert (settings["steps"], settings["seeds"], settings["seed"]) == (1000, 2, 0)
    assert {"versions", "hardware", "command"} <= settings.keys()
    with np.load(run / "model.npz") as model:
        assert set(model.files) == {"seed0/x", "seed1/x"}


def test_evaluations_at_the_start_at_each_boundary_and_at_the_end(
    run: Path, journal_of: Callable
):
    steps = [line["step"] for line in journal_of(run) if line["seed"] == 0]
    # An update takes 1 to 3 steps: boundaries are met, or passed by 2 at most.
    assert np.all(np.array(steps) - [0, 400, 800, 1000] < 3)
    assert np.all(np.array(steps) - [0, 400, 800, 1000] >= 0)
    first, *rest = journal_of(run)
    assert not any(name.startswith("train/") for name in first)
    assert all("train/loss" in line for line in rest[:3])
    low, mean, high = (first[f"eval/return_mean{end}"] for end in ("_low", "", "_high"))
    assert low < mean < high


def test_two_checkpoints_of_each_seed_are_kept(run: Path):
    for seed in range(2):
        assert len(checkpoint_paths(run / "checkpoints", seed)) == 2


def test_train_means_are_means_over_all_updates(tmp_path: Path, journal_of: Callable):
    # Without noise and with rate ½ a step solves the parabola: the first loss is ‖x₀‖²,
    # all others are 0. The sum of the losses, mean times updates, is thus ‖x₀‖².
    system = Toy(descent=Descent(rate=0.5, noise=0.0))
    train(system, steps=1000, out=tmp_path / "run", **SHORT)
    start, first, second, _ = journal_of(tmp_path / "run")
    updates = first["step"] / 2
    assert first["train/loss"] * updates == pytest.approx(
        -start["eval/return_mean_greedy"], rel=0.2
    )
    assert second["train/loss"] == 0


@pytest.mark.parametrize("seconds", [1e-9, 1e-3])
def test_chunks_do_not_change_numbers(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: Callable, seconds
):
    monkeypatch.setattr(seed_scheduler, "CHUNK_SECONDS", seconds)
    train(Toy(), steps=1000, seeds=2, out=tmp_path / "other", **SHORT)
    same(run, tmp_path / "other", range(2))


def test_saving_often_does_not_change_numbers(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: Callable
):
    monkeypatch.setattr(seed_scheduler, "CHUNK_SECONDS", 1e-3)
    monkeypatch.setattr(recorder, "SAVE_SECONDS", -1.0)
    train(Toy(), steps=1000, seeds=2, out=tmp_path / "other", **SHORT)
    same(run, tmp_path / "other", range(2))


@pytest.mark.parametrize("crew", [1, 3])
def test_workers_do_not_change_numbers(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: Callable, crew
):
    def some(seeds: int) -> list[DeviceSharding]:
        return (worker_devices(1) * crew)[:seeds]

    monkeypatch.setattr(training, "workers", some)
    train(Toy(), steps=1000, seeds=2, out=tmp_path / "other", **SHORT)
    same(run, tmp_path / "other", range(2))


def test_devices_do_not_change_numbers(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: Callable
):
    import jax

    places = [DeviceSharding(device) for device in jax.devices()]
    assert len(places) == 2
    monkeypatch.setattr(seed_scheduler, "CHUNK_SECONDS", 1e-3)
    monkeypatch.setattr(training, "workers", lambda seeds: places[:seeds])
    train(Toy(), steps=1000, seeds=2, out=tmp_path / "other", **SHORT)
    same(run, tmp_path / "other", range(2))


def test_company_does_not_change_a_seed(
    run: Path, tmp_path: Path, journal_of: Callable
):
    train(Toy(), steps=1000, seed=1, out=tmp_path / "alone", **SHORT)
    together = [line for line in journal_of(run) if line["seed"] == 1]
    assert journal_of(tmp_path / "alone") == together


def test_running_again_changes_nothing(run: Path):
    before = (run / "metrics.jsonl").read_bytes()
    train(Toy(), steps=1000, seeds=2, out=run, **SHORT)
    assert (run / "metrics.jsonl").read_bytes() == before


def test_more_steps_go_on_as_if_planned(tmp_path: Path, same: Callable):
    train(Toy(), steps=1200, seeds=2, out=tmp_path / "whole", **SHORT)
    train(Toy(), steps=800, seeds=2, out=tmp_path / "parts", **SHORT)
    resume(tmp_path / "parts", steps=1200, system=Toy(), quiet=True)
    same(tmp_path / "whole", tmp_path / "parts", range(2))
    assert load(tmp_path / "parts", system=Toy()).settings["steps"] == 1200


def test_another_system_is_refused(run: Path):
    other = Toy(descent=Descent(rate=0.2))
    with pytest.raises(InvalidInputError, match=r"descent\.rate is 0\.1, not 0\.2"):
        train(other, steps=1000, seeds=2, out=run, **SHORT)
    with pytest.raises(InvalidInputError, match="seeds is 2, not 3"):
        train(Toy(), steps=1000, seeds=3, out=run, **SHORT)


def test_steps_cannot_shrink(run: Path):
    with pytest.raises(InvalidInputError, match="steps is 999, but the run"):
        resume(run, steps=999, system=Toy(), quiet=True)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    run: Path, tmp_path: Path, same: Callable
):
    train(Toy(), steps=1000, seeds=2, out=tmp_path / "whole", **SHORT)
    newest = checkpoint_paths(run / "checkpoints", 1)[0]
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged"):
        resume(run, system=Toy(), quiet=True)
    same(tmp_path / "whole", run, range(2))


def test_lost_checkpoints_are_not_passed_over(run: Path):
    for path in checkpoint_paths(run / "checkpoints", 0):
        path.unlink()
    with pytest.raises(InvalidInputError, match="lost the checkpoints of seed 0"):
        resume(run, system=Toy(), quiet=True)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_saves_and_a_resume_goes_on(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    same: Callable,
    signum: signal.Signals,
):
    monkeypatch.setattr(seed_scheduler, "CHUNK_SECONDS", 1e-9)
    legs = 0

    def interrupting(*arguments):
        nonlocal legs
        legs += 1
        if legs == 60:
            signal.raise_signal(signum)
        return original(*arguments)

    original = training.RunRecorder.record
    monkeypatch.setattr(training.RunRecorder, "enter", interrupting)
    stopped = tmp_path / "stopped"
    with pytest.raises(TrainingInterrupted) as stop:
        train(Toy(), steps=1000, seeds=2, out=stopped, **SHORT)
    assert stop.value.signum == signum
    assert max(load(stopped, system=Toy()).steps.values()) < 400
    assert (stopped / "model.npz").exists()
    resume(stopped, system=Toy(), quiet=True)
    same(run, stopped, range(2))


@pytest.mark.usefixtures("nans_allowed")
def test_divergence_stops_and_leaves_the_last_good_state(
    tmp_path: Path, journal_of: Callable
):
    path = tmp_path / "run"
    with pytest.raises(TrainingDivergedError) as failure:
        train(Toy(explodes_at=700), steps=1000, out=path, **SHORT)
    newest = checkpoint_paths(path / "checkpoints", 0)[0]
    assert str(newest) in str(failure.value)
    assert "seed 0 diverged at step 70" in str(failure.value)
    assert "train/loss is nan" in str(failure.value)
    assert [line["step"] // 400 for line in journal_of(path)] == [0, 1]
    state = load(path, system=Toy(explodes_at=700)).states[0]
    assert 400 <= int(state.steps) < 403


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0; expected 1"),
        ({"seeds": -1}, "seeds is -1; expected 1"),
        ({"seed": -1}, "seed is -1; expected 0"),
        ({"eval_every": 0}, "eval_every is 0; expected 1"),
        ({"steps": 2**31}, "steps is 2147483648; expected 1"),
    ],
)
def test_senseless_plans_are_refused(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(InvalidInputError, match=message):
        train(Toy(), **({"steps": 10, "out": tmp_path / "run"} | changes))
    assert not (tmp_path / "run").exists()


def test_senseless_systems_are_refused(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="size is 0"):
        train(dataclasses.replace(Toy(), size=0), steps=10, out=tmp_path / "run")


def test_default_folders_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    first = train(Toy(), steps=10, **SHORT)
    second = train(Toy(), steps=10, **SHORT)
    assert (first.path, second.path) == (Path("runs/toy-1"), Path("runs/toy-2"))
