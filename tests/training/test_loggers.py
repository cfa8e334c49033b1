"""Loggers have each row of the metrics log once, also after interruptions."""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from toy_system import Toy

from syntony.errors import InvalidInputError
from syntony.training import loggers, metrics_log
from syntony.training.loop import resume, train
from syntony.training.run import Run

OPTIONS: dict[str, Any] = {"seeds": 2, "eval_every": 100, "eval_episodes": 5}
Metrics = dict[tuple[int, int, str], float]
"""Metrics by seed, step and name."""


def logged_by_run(path: Path) -> Metrics:
    """Content of a run's metrics log."""
    return {
        (row["seed"], row["step"], name): value
        for row in metrics_log.read_rows(path / "metrics.jsonl")
        for name, value in row.items()
        if name not in ("seed", "step", "chain")
    }


def train_toy(path: Path, **options: Any) -> Run:
    return train(Toy(), steps=300, out=path, quiet=True, **OPTIONS, **options)


def delete_newest_checkpoints(path: Path) -> None:
    """Leaves a run as if it had been killed before its last checkpoints."""
    for seed in range(2):
        max((path / "checkpoints").glob(f"seed-{seed}-*")).unlink()


# TensorBoard


def records(file: Path) -> Iterator[bytes]:
    """Yields the records of a TensorFlow file: each size, checksum, data, checksum."""
    content = file.read_bytes()
    while content:
        (size,) = struct.unpack("<Q", content[:8])
        yield content[12 : 12 + size]
        content = content[16 + size :]


def logged_by_tensorboard(path: Path) -> Metrics:
    """Content of a run's TensorBoard event files."""
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore

    metrics: Metrics = {}
    for file in path.glob("tensorboard/seed-*/events.out.tfevents.*"):
        seed = int(file.parent.name.removeprefix("seed-"))
        for event in map(Event.FromString, records(file)):
            for value in event.summary.value:
                key = (seed, event.step, value.tag)
                assert key not in metrics
                metrics[key] = value.simple_value
    return metrics


def assert_tensorboard_equals_log(path: Path) -> None:
    # Event files have 32-bit floats.
    assert logged_by_tensorboard(path) == pytest.approx(logged_by_run(path), rel=1e-6)


def test_tensorboard_has_all_metrics(tmp_path: Path):
    train_toy(tmp_path / "run", tensorboard=True)
    assert len(logged_by_tensorboard(tmp_path / "run")) > 40
    assert_tensorboard_equals_log(tmp_path / "run")


def test_after_a_resume_tensorboard_has_each_row_once(tmp_path: Path):
    path = tmp_path / "run"
    train_toy(path, tensorboard=True)
    delete_newest_checkpoints(path)
    resume(path, steps=500, system=Toy(), quiet=True, tensorboard=True)
    assert_tensorboard_equals_log(path)


def test_a_logger_added_at_a_resume_has_the_whole_curve(tmp_path: Path):
    path = tmp_path / "run"
    train_toy(path)
    assert not (path / "tensorboard").exists()
    resume(path, steps=400, system=Toy(), quiet=True, tensorboard=True)
    assert_tensorboard_equals_log(path)
    # The option is not stored: a resume without it does not change the files.
    before = logged_by_tensorboard(path)
    resume(path, steps=500, system=Toy(), quiet=True)
    assert logged_by_tensorboard(path) == before


def test_wall_clock_times_equal_those_of_the_log(tmp_path: Path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore

    path = tmp_path / "run"
    train_toy(path, tensorboard=True)
    (file,) = path.glob("tensorboard/seed-0/*")
    times = {
        event.step: event.wall_time
        for event in map(Event.FromString, records(file))
        if event.summary.value
    }
    rows = [x for x in metrics_log.read_rows(path / "metrics.jsonl") if x["seed"] == 0]
    first, last = rows[0], rows[-1]
    assert times[last["step"]] - times[first["step"]] == pytest.approx(
        last["wall_s"] - first["wall_s"], abs=1e-3
    )


# Weights & Biases: a fake of the functions that are called.


class FakeWandb:
    """Fake of the service: history of each run by id, and simulated failures."""

    def __init__(self) -> None:
        self.history: dict[str, dict[int, dict[str, float]]] = {}
        self.folders: list[dict[int, dict[str, float]]] = []
        self.init_calls: list[dict[str, Any]] = []
        self.offline = False
        self.fails_at: int | None = None

    def init(self, **kwargs: Any) -> "FakeWandbRun":
        self.init_calls.append(kwargs)
        if self.offline:
            # Offline the history is unknown: each start writes a folder of its own.
            self.folders.append({})
            return FakeWandbRun(self, self.folders[-1])
        return FakeWandbRun(self, self.history.setdefault(kwargs["id"], {}))


class FakeWandbRun:
    def __init__(self, service: FakeWandb, history: dict[int, dict[str, float]]):
        self._service, self._history = service, history
        self.step = max(history, default=-1) + 1
        self.finished = False

    def log(self, data: dict[str, float], *, step: int) -> None:
        if self._service.fails_at is not None and step >= self._service.fails_at:
            raise ConnectionError("no network")
        assert step >= self.step, (
            "wandb drops steps that are not increasing, with a warning"
        )
        assert step not in self._history
        self._history[step] = data
        self.step = step

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    service, module = FakeWandb(), ModuleType("wandb")
    vars(module)["init"] = service.init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return service


def logged_by_wandb(service: FakeWandb) -> Metrics:
    return {
        (int(id.rpartition("-")[2]), step, name): value
        for id, history in service.history.items()
        for step, data in history.items()
        for name, value in data.items()
    }


def test_wandb_has_each_row_once(service: FakeWandb, tmp_path: Path):
    path = tmp_path / "run"
    train_toy(path, wandb=True)
    delete_newest_checkpoints(path)
    before = logged_by_run(path)
    resume(path, steps=500, system=Toy(), quiet=True, wandb=True)
    metrics = logged_by_wandb(service)
    expected = {k: v for k, v in logged_by_run(path).items() if k[2] != "wall_s"}
    assert {k: v for k, v in metrics.items() if k[2] != "wall_s"} == expected
    # Earlier rows are unchanged, including their wall-clock times.
    assert metrics.keys() == logged_by_run(path).keys()
    assert {k: metrics[k] for k in before} == before


def test_wandb_gets_names_ids_and_config(service: FakeWandb, tmp_path: Path):
    path = tmp_path / "team"
    train_toy(path, wandb=True)
    first, second = service.init_calls
    assert (first["name"], second["name"]) == ("team-seed-0", "team-seed-1")
    assert first["group"] == second["group"]
    assert first["id"] != second["id"]
    assert first["config"]["settings"]["size"] == 3
    assert (first["project"], first["dir"]) == ("syntony", str(path))
    # Run ids of the service must not hold / \ # ? % :
    assert first["id"].replace("-", "").isalnum()


def test_offline_each_folder_has_the_whole_curve(service: FakeWandb, tmp_path: Path):
    path = tmp_path / "run"
    service.offline = True
    train_toy(path, wandb=True)
    delete_newest_checkpoints(path)
    resume(path, steps=500, system=Toy(), quiet=True, wandb=True)
    ids = [kwargs["id"] for kwargs in service.init_calls]
    assert ids[:2] == ids[2:]
    # Of folders with the same id the service uses the one that is synced last.
    service.history = dict(zip(ids, service.folders, strict=False))
    service.history |= dict(zip(ids[2:], service.folders[2:], strict=True))
    assert logged_by_wandb(service) == logged_by_run(path)


def test_a_failing_logger_does_not_stop_the_run(service: FakeWandb, tmp_path: Path):
    service.fails_at = 200
    with pytest.warns(UserWarning, match="--wandb failed .*no network.* goes on"):
        run = train_toy(tmp_path / "run", wandb=True)
    assert min(run.steps.values()) >= 300
    assert 0 < len(logged_by_wandb(service)) < len(logged_by_run(run.path))


@pytest.mark.usefixtures("service")
def test_a_logger_that_cannot_be_opened_is_an_input_error(tmp_path: Path):
    def refuse(**_: Any) -> None:
        raise RuntimeError("api_key not configured")

    vars(sys.modules["wandb"])["init"] = refuse
    with pytest.raises(InvalidInputError, match=r"api_key not .*: WANDB_MODE=offline"):
        train_toy(tmp_path / "run", wandb=True)


@pytest.mark.parametrize(
    ("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")]
)
def test_a_missing_package_is_named(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    expected = rf"needs {package}.* pip install 'syntony\[{name}\]'"
    with pytest.raises(InvalidInputError, match=expected):
        train_toy(tmp_path / "run", **{name: True})
    assert not (tmp_path / "run").exists()


def test_numbers_that_are_not_finite_are_not_logged():
    row = {"step": 1, "seed": 0, "a": 0.5, "b": None, "c": float("nan")}
    assert loggers.finite_scalars(row) == {"a": 0.5}
