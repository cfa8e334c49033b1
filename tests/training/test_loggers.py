"""Sinks hold what the journal holds, each number once, whatever happened to a run."""

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
Found = dict[tuple[int, int, str], float]
"""What was measured, by seed, step and name."""


def measured(path: Path) -> Found:
    """Returns what a run's journal holds."""
    return {
        (line["seed"], line["step"], name): value
        for line in metrics_log.read_rows(path / "metrics.jsonl")
        for name, value in line.items()
        if name not in ("seed", "step")
    }


def begun(path: Path, **asked: Any) -> Run:
    return train(Toy(), steps=300, out=path, quiet=True, **OPTIONS, **asked)


def behind(path: Path) -> None:
    """Takes a run back to before its last checkpoint, as a kill would leave it."""
    for seed in range(2):
        max((path / "checkpoints").glob(f"seed-{seed}-*")).unlink()


# TensorBoard


def records(file: Path) -> Iterator[bytes]:
    """Yields what a file of TensorFlow's records holds: size, sum, content, sum."""
    content = file.read_bytes()
    while content:
        (size,) = struct.unpack("<Q", content[:8])
        yield content[12 : 12 + size]
        content = content[16 + size :]


def shown(path: Path) -> Found:
    """Returns what TensorBoard would show of a run."""
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore

    found: Found = {}
    for file in path.glob("tensorboard/seed-*/events.out.tfevents.*"):
        seed = int(file.parent.name.removeprefix("seed-"))
        for event in map(Event.FromString, records(file)):
            for value in event.summary.value:
                place = (seed, event.step, value.tag)
                assert place not in found
                found[place] = value.simple_value
    return found


def assert_shown(path: Path) -> None:
    # Event files hold numbers in 32 bits.
    assert shown(path) == pytest.approx(measured(path), rel=1e-6)


def test_tensorboard_shows_the_journal(tmp_path: Path):
    begun(tmp_path / "run", tensorboard=True)
    assert len(shown(tmp_path / "run")) > 40
    assert_shown(tmp_path / "run")


def test_a_resume_shows_nothing_twice(tmp_path: Path):
    path = tmp_path / "run"
    begun(path, tensorboard=True)
    behind(path)
    resume(path, steps=500, system=Toy(), quiet=True, tensorboard=True)
    assert_shown(path)


def test_who_asks_late_has_the_whole_curve(tmp_path: Path):
    path = tmp_path / "run"
    begun(path)
    assert not (path / "tensorboard").exists()
    resume(path, steps=400, system=Toy(), quiet=True, tensorboard=True)
    assert_shown(path)
    # Not remembered: a resume that does not ask leaves it as it is.
    before = shown(path)
    resume(path, steps=500, system=Toy(), quiet=True)
    assert shown(path) == before


def test_times_are_those_of_the_journal(tmp_path: Path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore

    path = tmp_path / "run"
    begun(path, tensorboard=True)
    (file,) = path.glob("tensorboard/seed-0/*")
    times = {
        event.step: event.wall_time
        for event in map(Event.FromString, records(file))
        if event.summary.value
    }
    lines = [x for x in metrics_log.read_rows(path / "metrics.jsonl") if x["seed"] == 0]
    first, last = lines[0], lines[-1]
    assert times[last["step"]] - times[first["step"]] == pytest.approx(
        last["wall_s"] - first["wall_s"], abs=1e-3
    )


# Weights & Biases: a stand-in for the few functions that are called.


class Service:
    """What a service keeps of runs, by id; and what it does when asked to."""

    def __init__(self) -> None:
        self.history: dict[str, dict[int, dict[str, float]]] = {}
        self.folders: list[dict[int, dict[str, float]]] = []
        self.asked: list[dict[str, Any]] = []
        self.offline = False
        self.fails_at: int | None = None

    def init(self, **asked: Any) -> "Logged":
        self.asked.append(asked)
        if self.offline:
            # Nothing is known of what was sent: a folder of its own each time.
            self.folders.append({})
            return Logged(self, self.folders[-1])
        return Logged(self, self.history.setdefault(asked["id"], {}))


class Logged:
    def __init__(self, service: Service, history: dict[int, dict[str, float]]):
        self._service, self._history = service, history
        self.step = max(history, default=-1) + 1
        self.finished = False

    def log(self, data: dict[str, float], *, step: int) -> None:
        if self._service.fails_at is not None and step >= self._service.fails_at:
            raise ConnectionError("no network")
        assert step >= self.step, "wandb drops what comes late, with a warning"
        assert step not in self._history
        self._history[step] = data
        self.step = step

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    service, module = Service(), ModuleType("wandb")
    vars(module)["init"] = service.init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return service


def logged(service: Service) -> Found:
    return {
        (int(id.rpartition("-")[2]), step, name): value
        for id, history in service.history.items()
        for step, data in history.items()
        for name, value in data.items()
    }


def test_wandb_has_the_journal_once(service: Service, tmp_path: Path):
    path = tmp_path / "run"
    begun(path, wandb=True)
    behind(path)
    before = measured(path)
    resume(path, steps=500, system=Toy(), quiet=True, wandb=True)
    found = logged(service)
    expected = {k: v for k, v in measured(path).items() if k[2] != "wall_s"}
    assert {k: v for k, v in found.items() if k[2] != "wall_s"} == expected
    # What it had already is as it was: the time of the first measurement.
    assert found.keys() == measured(path).keys()
    assert {k: found[k] for k in before} == before


def test_wandb_is_told_what_the_run_is(service: Service, tmp_path: Path):
    path = tmp_path / "team"
    begun(path, wandb=True)
    first, second = service.asked
    assert (first["name"], second["name"]) == ("team-seed-0", "team-seed-1")
    assert first["group"] == second["group"]
    assert first["id"] != second["id"]
    assert first["config"]["settings"]["size"] == 3
    assert (first["project"], first["dir"]) == ("syntony", str(path))
    # Run ids of the service must not hold / \ # ? % :
    assert first["id"].replace("-", "").isalnum()


def test_offline_each_folder_is_whole(service: Service, tmp_path: Path):
    path = tmp_path / "run"
    service.offline = True
    begun(path, wandb=True)
    behind(path)
    resume(path, steps=500, system=Toy(), quiet=True, wandb=True)
    ids = [asked["id"] for asked in service.asked]
    assert ids[:2] == ids[2:]
    # Of folders with the same id, the service keeps the one that is sent last.
    service.history = dict(zip(ids, service.folders, strict=False))
    service.history |= dict(zip(ids[2:], service.folders[2:], strict=True))
    assert logged(service) == measured(path)


def test_a_run_does_not_stop_for_a_sink(service: Service, tmp_path: Path):
    service.fails_at = 200
    with pytest.warns(UserWarning, match="--wandb failed .*no network.* goes on"):
        run = begun(tmp_path / "run", wandb=True)
    assert min(run.steps.values()) >= 300
    assert 0 < len(logged(service)) < len(measured(run.path))


@pytest.mark.usefixtures("service")
def test_a_sink_that_does_not_open_is_said(tmp_path: Path):
    def refuse(**_: Any) -> None:
        raise RuntimeError("api_key not configured")

    vars(sys.modules["wandb"])["init"] = refuse
    with pytest.raises(InvalidInputError, match=r"api_key not .*: WANDB_MODE=offline"):
        begun(tmp_path / "run", wandb=True)


@pytest.mark.parametrize(
    ("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")]
)
def test_a_missing_package_is_named(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    expected = rf"needs {package}.* pip install 'syntony\[{name}\]'"
    with pytest.raises(InvalidInputError, match=expected):
        begun(tmp_path / "run", **{name: True})
    assert not (tmp_path / "run").exists()


def test_what_is_no_number_is_left_out():
    line = {"step": 1, "seed": 0, "a": 0.5, "b": None, "c": float("nan")}
    assert loggers.finite_scalars(line) == {"a": 0.5}
