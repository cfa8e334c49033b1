"""The training loop: what results depend on, resuming, and stopping."""

import dataclasses
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding
from toy_system import Descent, ScheduledToy, Toy

from syntony.errors import InvalidInputError
from syntony.training import loop, recorder, seed_scheduler
from syntony.training.checkpoint import checkpoint_paths
from syntony.training.devices import worker_devices
from syntony.training.loop import resume, train
from syntony.training.run import Run, load
from syntony.training.signals import TrainingDivergedError, TrainingInterrupted

SHORT = {"eval_every": 400, "eval_episodes": 10, "quiet": True}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    train(Toy(), steps=1000, seeds=2, out=tmp_path / "run", **SHORT)
    return tmp_path / "run"


def test_files_of_a_run_folder(run: Path):
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


def test_evaluations_at_the_start_every_interval_and_at_the_end(
    run: Path, read_rows: Callable
):
    steps = [row["step"] for row in read_rows(run) if row["seed"] == 0]
    # An update counts 1 to 3 steps: evaluations are at most 2 steps late.
    assert np.all(np.array(steps) - [0, 400, 800, 1000] < 3)
    assert np.all(np.array(steps) - [0, 400, 800, 1000] >= 0)
    first, *rest = read_rows(run)
    assert not any(name.startswith("train/") for name in first)
    assert all("train/loss" in row for row in rest[:3])
    low, mean, high = (first[f"eval/return_mean{end}"] for end in ("_low", "", "_high"))
    assert low < mean < high


def test_two_checkpoints_of_each_seed_are_kept(run: Path):
    for seed in range(2):
        assert len(checkpoint_paths(run / "checkpoints", seed)) == 2


def test_training_metrics_are_means_over_all_updates(
    tmp_path: Path, read_rows: Callable
):
    # Without noise and with rate ½ one update reaches the minimum: the first loss is
    # ‖x₀‖², all others are 0. The sum of the losses, mean times updates, is ‖x₀‖².
    system = Toy(descent=Descent(rate=0.5, noise=0.0))
    train(system, steps=1000, out=tmp_path / "run", **SHORT)
    start, first, second, _ = read_rows(tmp_path / "run")
    updates = first["step"] / 2
    assert first["train/loss"] * updates == pytest.approx(
        -start["eval/return_mean_greedy"], rel=0.2
    )
    assert second["train/loss"] == 0


@pytest.mark.parametrize("seconds", [1e-9, 1e-3])
def test_chunks_do_not_change_numbers(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_run: Callable,
    seconds,
):
    monkeypatch.setattr(seed_scheduler, "TARGET_CHUNK_SECONDS", seconds)
    train(Toy(), steps=1000, seeds=2, out=tmp_path / "other", **SHORT)
    assert_same_run(run, tmp_path / "other", range(2))


@pytest.mark.slow
def test_frequent_checkpoints_do_not_change_numbers(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_run: Callable,
):
    monkeypatch.setattr(seed_scheduler, "TARGET_CHUNK_SECONDS", 1e-3)
    monkeypatch.setattr(recorder, "CHECKPOINT_INTERVAL_SECONDS", -1.0)
    train(Toy(), steps=1000, seeds=2, out=tmp_path / "other", **SHORT)
    assert_same_run(run, tmp_path / "other", range(2))


@pytest.mark.parametrize("num_workers", [1, 3])
def test_the_number_of_workers_does_not_change_numbers(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_run: Callable,
    num_workers,
):
    def some_workers(num_seeds: int) -> list[SingleDeviceSharding]:
        return (worker_devices(1) * num_workers)[:num_seeds]

    monkeypatch.setattr(loop, "worker_devices", some_workers)
    train(Toy(), steps=1000, seeds=2, out=tmp_path / "other", **SHORT)
    assert_same_run(run, tmp_path / "other", range(2))


def test_devices_do_not_change_numbers(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_run: Callable,
):
    import jax

    devices = [SingleDeviceSharding(device) for device in jax.devices()]
    assert len(devices) == 2
    monkeypatch.setattr(seed_scheduler, "TARGET_CHUNK_SECONDS", 1e-3)
    monkeypatch.setattr(loop, "worker_devices", lambda num_seeds: devices[:num_seeds])
    train(Toy(), steps=1000, seeds=2, out=tmp_path / "other", **SHORT)
    assert_same_run(run, tmp_path / "other", range(2))


def test_other_seeds_do_not_change_a_seed(
    run: Path, tmp_path: Path, read_rows: Callable
):
    train(Toy(), steps=1000, seed=1, out=tmp_path / "alone", **SHORT)
    together = [row for row in read_rows(run) if row["seed"] == 1]
    assert read_rows(tmp_path / "alone") == together


def test_training_a_finished_run_changes_nothing(run: Path):
    before = (run / "metrics.jsonl").read_bytes()
    train(Toy(), steps=1000, seeds=2, out=run, **SHORT)
    assert (run / "metrics.jsonl").read_bytes() == before


def test_an_extended_run_equals_a_long_run(tmp_path: Path, assert_same_run: Callable):
    train(Toy(), steps=1200, seeds=2, out=tmp_path / "whole", **SHORT)
    train(Toy(), steps=800, seeds=2, out=tmp_path / "extended", **SHORT)
    resume(tmp_path / "extended", steps=1200, system=Toy(), quiet=True)
    assert_same_run(tmp_path / "whole", tmp_path / "extended", range(2))
    assert load(tmp_path / "extended", system=Toy()).settings["steps"] == 1200


def test_another_system_is_refused(run: Path):
    other = Toy(descent=Descent(rate=0.2))
    with pytest.raises(InvalidInputError, match=r"descent\.rate is 0\.1, not 0\.2"):
        train(other, steps=1000, seeds=2, out=run, **SHORT)
    with pytest.raises(InvalidInputError, match="seeds is 2, not 3"):
        train(Toy(), steps=1000, seeds=3, out=run, **SHORT)


def horizons(run: Run) -> tuple[int, int]:
    """The resolved setting of a run's system, and that of its settings."""
    system: Any = run.system
    settings: Any = run.settings
    return system.horizon, settings["settings"]["horizon"]


def test_what_depends_on_steps_is_resolved_at_the_first_start(tmp_path: Path):
    path = tmp_path / "run"
    short = {"eval_every": 10, "eval_episodes": 2, "quiet": True}
    assert horizons(train(ScheduledToy(), steps=20, out=path, **short)) == (20, 20)
    # `train` on a folder that holds a run continues it, as `resume` does.
    assert horizons(train(ScheduledToy(), steps=30, out=path, **short)) == (20, 20)
    run = resume(path, steps=40, system=ScheduledToy(), quiet=True)
    assert horizons(run) == (20, 20)
    run = train(ScheduledToy(), steps=50, out=path, **short)
    assert horizons(run) == (20, 20)
    assert run.steps[0] >= 50
    assert horizons(load(path, system=ScheduledToy())) == (20, 20)


def test_a_setting_that_is_given_does_not_depend_on_steps(tmp_path: Path):
    path = tmp_path / "run"
    short = {"eval_every": 10, "eval_episodes": 2, "quiet": True}
    run = train(ScheduledToy(horizon=7), steps=20, out=path, **short)
    assert horizons(run) == (7, 7)
    with pytest.raises(InvalidInputError, match="horizon is 7, not 8"):
        train(ScheduledToy(horizon=8), steps=20, out=path, **short)
    with pytest.raises(InvalidInputError, match="horizon is 7, not 20"):
        train(ScheduledToy(), steps=20, out=path, **short)


@pytest.mark.parametrize("value", [0, 2**31, "20", None])
def test_a_hostile_initial_length_is_refused(value: Any, tmp_path: Path):
    path = tmp_path / "run"
    short = {"eval_every": 10, "eval_episodes": 2, "quiet": True}
    train(ScheduledToy(), steps=10, out=path, **short)
    settings = json.loads((path / "settings.json").read_text())
    settings["initial_steps"] = value
    (path / "settings.json").write_text(json.dumps(settings))
    for read in (
        lambda: load(path, system=ScheduledToy()),
        lambda: train(ScheduledToy(), steps=10, out=path, **short),
    ):
        with pytest.raises(
            InvalidInputError, match=r"settings\.json: initial_steps is"
        ):
            read()


def test_steps_cannot_shrink(run: Path):
    with pytest.raises(InvalidInputError, match="steps is 999, but the run"):
        resume(run, steps=999, system=Toy(), quiet=True)


def test_a_damaged_checkpoint_is_replaced_by_the_previous_one(
    run: Path, tmp_path: Path, assert_same_run: Callable
):
    train(Toy(), steps=1000, seeds=2, out=tmp_path / "whole", **SHORT)
    newest = checkpoint_paths(run / "checkpoints", 1)[0]
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged"):
        resume(run, system=Toy(), quiet=True)
    assert_same_run(tmp_path / "whole", run, range(2))


def test_lost_checkpoints_are_an_error(run: Path):
    for path in checkpoint_paths(run / "checkpoints", 0):
        path.unlink()
    with pytest.raises(InvalidInputError, match="lost the checkpoints of seed 0"):
        resume(run, system=Toy(), quiet=True)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_and_saves_a_run_that_can_be_resumed(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_run: Callable,
    signum: signal.Signals,
):
    monkeypatch.setattr(seed_scheduler, "TARGET_CHUNK_SECONDS", 1e-9)
    chunks = 0

    def record_and_interrupt(*args):
        nonlocal chunks
        chunks += 1
        if chunks == 60:
            signal.raise_signal(signum)
        return original(*args)

    original = recorder.RunRecorder.record
    monkeypatch.setattr(recorder.RunRecorder, "record", record_and_interrupt)
    stopped = tmp_path / "stopped"
    with pytest.raises(TrainingInterrupted) as interrupt:
        train(Toy(), steps=1000, seeds=2, out=stopped, **SHORT)
    assert interrupt.value.signum == signum
    assert max(load(stopped, system=Toy()).steps.values()) < 400
    assert (stopped / "model.npz").exists()
    resume(stopped, system=Toy(), quiet=True)
    assert_same_run(run, stopped, range(2))


@pytest.mark.usefixtures("nans_allowed")
def test_divergence_stops_and_keeps_the_last_good_state(
    tmp_path: Path, read_rows: Callable
):
    path = tmp_path / "run"
    with pytest.raises(TrainingDivergedError) as failure:
        train(Toy(explodes_at=700), steps=1000, out=path, **SHORT)
    newest = checkpoint_paths(path / "checkpoints", 0)[0]
    assert str(newest) in str(failure.value)
    assert "seed 0 diverged at step 70" in str(failure.value)
    assert "train/loss is nan" in str(failure.value)
    assert [row["step"] // 400 for row in read_rows(path)] == [0, 1]
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
def test_invalid_settings_are_refused(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(InvalidInputError, match=message):
        train(Toy(), **({"steps": 10, "out": tmp_path / "run"} | changes))
    assert not (tmp_path / "run").exists()


def test_invalid_systems_are_refused(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="size is 0"):
        train(dataclasses.replace(Toy(), size=0), steps=10, out=tmp_path / "run")


def test_default_folders_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    first = train(Toy(), steps=10, **SHORT)
    second = train(Toy(), steps=10, **SHORT)
    assert (first.path, second.path) == (Path("runs/Toy-1"), Path("runs/Toy-2"))


def test_seeds_by_their_numbers(tmp_path: Path):
    """Each seed trains as it does alone, and the list is kept."""
    run = train(Toy(), steps=30, seeds=[5, 2], out=tmp_path / "list", **SHORT)
    alone = train(Toy(), steps=30, seed=2, out=tmp_path / "alone", **SHORT)
    assert [*run.states] == [5, 2]
    np.testing.assert_array_equal(run.states[2].x, alone.states[2].x)
    assert (run.settings["seeds"], run.settings["seed"]) == ([5, 2], 5)
    resumed = resume(run.path, steps=60, system=Toy(), quiet=True)
    assert resumed.config == load(run.path, system=Toy()).config
    assert resumed.config.all_seeds == (5, 2)
    assert min(resumed.steps.values()) >= 60


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], [2**31], 0, 10_001])
def test_invalid_seeds(seeds: int | list[int], tmp_path: Path):
    with pytest.raises(InvalidInputError, match="seed"):
        train(Toy(), steps=30, seeds=seeds, out=tmp_path / "run", **SHORT)
    assert not (tmp_path / "run").exists()


def test_a_return_that_never_varies_is_noted_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def evaluate(self: Toy, state: Any, key: Any, episodes: int) -> Any:
        del self, key
        result = jnp.full(episodes, 7.0) + 0.0 * jnp.sum(state.x)
        return {"eval/return_mean": result, "eval/return_mean_greedy": result}

    loud: dict[str, Any] = SHORT | {"quiet": False}
    train(Toy(size=2), steps=1000, seeds=2, out=tmp_path / "varies", **loud)
    assert "note:" not in capsys.readouterr().out
    monkeypatch.setattr(Toy, "evaluate", evaluate)
    # Of another size, so that no compiled program is that of the method above.
    train(Toy(size=4), steps=1000, seeds=2, out=tmp_path / "constant", **loud)
    note = "note: every episode of every evaluation had the return 7.000"
    assert capsys.readouterr().out.count(note) == 1
