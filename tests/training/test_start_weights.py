"""Training that starts from the weights of another run."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_capabilities import ToyLink
from toy_system import Toy

from syntony.channels.awgn import AWGN
from syntony.channels.rayleigh import Rayleigh
from syntony.errors import InvalidInputError
from syntony.systems.link.link import Link
from syntony.systems.system import System
from syntony.training import recorder
from syntony.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    load_checkpoint,
)
from syntony.training.compiled import TrainState, abstract_train_state
from syntony.training.integrity import array_digest
from syntony.training.loop import resume, train
from syntony.training.run import Run, load
from syntony.training.run_config import RunConfig
from syntony.training.start_weights import StartWeights, initial_states, take_weights

OPTIONS: dict[str, Any] = {"eval_every": 40, "eval_episodes": 2, "quiet": True}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of seeds 1 and 2, whose weights other runs start from."""
    path = tmp_path_factory.mktemp("runs") / "source"
    train(Toy(), steps=90, seeds=2, seed=1, out=path, keep_best=True, **OPTIONS)
    return path


@pytest.fixture(scope="module")
def started(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of seeds 0 to 2 that started from the weights of the source."""
    path = tmp_path_factory.mktemp("runs") / "started"
    train(Toy(), steps=90, seeds=3, out=path, start_from=source, **OPTIONS)
    return path


def first_returns(path: Path) -> dict[int, float]:
    """Return of each seed before training, without the noise of evaluations."""
    rows = [row for row in load(path).metrics() if row["step"] == 0]
    return {row["seed"]: row["eval/return_mean_greedy"] for row in rows}


def test_seed_i_starts_from_seed_i_or_from_the_first(source: Path, started: Path):
    points = {seed: np.asarray(state.x) for seed, state in load(source).states.items()}
    expected = {0: points[1], 1: points[1], 2: points[2]}
    for seed, value in first_returns(started).items():
        np.testing.assert_allclose(value, -np.sum(expected[seed] ** 2), rtol=1e-5)
    entry: Any = load(started).settings["started_from"]
    assert entry["path"] == str(source)
    assert (entry["checkpoint"], entry["part"]) == ("last", None)
    assert {i: x["seed"] for i, x in entry["seeds"].items()} == {"0": 1, "1": 1, "2": 2}
    assert entry["seeds"]["2"]["step"] == load(source).steps[2]
    for seed, point in expected.items():
        digest = bytes(array_digest({"point": point})).hex()
        assert entry["seeds"][str(seed)]["sha256"] == digest


def test_everything_but_weights_is_that_of_a_new_run(started: Path, tmp_path: Path):
    train(Toy(), steps=1, seeds=3, out=tmp_path / "new", **OPTIONS)
    like = abstract_train_state(Toy())
    path = checkpoint_path(tmp_path / "new" / "checkpoints", 1, 0)
    new = load_checkpoint(path, like).tree
    first, fresh = (
        next(row for row in load(path).metrics() if row["seed"] == 1)
        for path in (started, tmp_path / "new")
    )
    assert first["step"] == 0
    # The evaluations have the noise of the same key.
    noise = (
        row["eval/return_mean"] - row["eval/return_mean_greedy"]
        for row in (first, fresh)
    )
    np.testing.assert_allclose(*noise, rtol=1e-5)
    assert int(new.state.steps) == 0


class Interruption(KeyboardInterrupt):
    """Stands for a kill, at a moment that a test chooses."""


@pytest.mark.parametrize("num_records", [0, 4])
def test_a_killed_run_does_not_read_the_other_run_again(
    num_records: int,
    source: Path,
    started: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_run: Callable,
):
    copy = Path(shutil.copytree(source, tmp_path / "source"))
    path, original, count = tmp_path / "run", recorder.RunRecorder.record, 0

    def record_or_stop(*args: Any) -> None:
        nonlocal count
        count += 1
        if count > num_records:
            raise Interruption
        original(*args)

    monkeypatch.setattr(recorder.RunRecorder, "record", record_or_stop)
    options = {"steps": 90, "seeds": 3, "out": path} | OPTIONS
    with pytest.raises(Interruption):
        train(Toy(), start_from=copy, **options)
    monkeypatch.undo()
    shutil.rmtree(copy)
    resume(path, system=Toy(), quiet=True)
    assert_same_run(path, started, range(3))


def test_states_that_were_saved_before_the_settings_are_not_used(
    source: Path, tmp_path: Path, assert_same_run: Callable
):
    train(Toy(), steps=90, out=tmp_path / "new", **OPTIONS)
    # As a process leaves it that was killed between the states and the settings.
    checkpoints = tmp_path / "run" / "checkpoints"
    shutil.copytree(source / "checkpoints", checkpoints)
    file = next(checkpoints.glob("seed-1-*"))
    file.rename(checkpoint_path(checkpoints, 0, 0))
    train(Toy(), steps=90, out=tmp_path / "run", **OPTIONS)
    assert_same_run(tmp_path / "run", tmp_path / "new", range(1))


def test_the_best_checkpoint_and_one_seed_of_another_run(source: Path, tmp_path: Path):
    best = load(source, checkpoint="best", seeds=[2])
    options: dict[str, Any] = {"steps": 9, "seeds": 2, "start_from": best} | OPTIONS
    run = train(Toy(), out=tmp_path / "run", **options)
    point = np.asarray(best.states[2].x)
    for value in first_returns(run.path).values():
        np.testing.assert_allclose(value, -np.sum(point**2), rtol=1e-5)
    entry: Any = run.settings["started_from"]
    assert (entry["checkpoint"], entry["from_seeds"]) == ("best", [2])
    # The same call continues the run; another one is refused.
    train(Toy(), out=run.path, **options)
    others: list[dict[str, Any]] = [{"start_from": None}, {"start_from": source}]
    for other in others:
        with pytest.raises(InvalidInputError, match="holds a run that started from"):
            train(Toy(), out=run.path, **(options | other))


def test_lost_first_states_are_an_error(source: Path, tmp_path: Path):
    path = tmp_path / "run"
    train(Toy(), steps=9, out=path, start_from=source, **OPTIONS)
    (path / "metrics.jsonl").unlink()
    shutil.rmtree(path / "checkpoints")
    with pytest.raises(InvalidInputError, match="lost the checkpoints of seed 0"):
        resume(path, system=Toy(), quiet=True)


@pytest.mark.parametrize(
    ("system", "changes", "message"),
    [
        (
            Toy(size=4),
            {},
            r"point is float32\(3,\) there and float32\(4,\) here; expected the same",
        ),
        (Toy(), {"start_part": "pint"}, "unknown part 'pint'; did you mean"),
        (Toy(), {"start_from": None, "start_part": "point"}, "start_from is m"),
        (
            ToyLink(channel=AWGN()),
            {},
            "ToyLink, the system of this run, cannot start from weights; expected one",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    system: System, changes: dict[str, Any], message: str, source: Path, tmp_path: Path
):
    options = {"steps": 9, "start_from": source} | OPTIONS | changes
    with pytest.raises(InvalidInputError, match=message) as error:
        train(system, out=tmp_path / "run", **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run" / "settings.json").exists()


def test_a_source_without_weights_is_refused(tmp_path: Path):
    train(ToyLink(channel=AWGN()), steps=1, out=tmp_path / "source", **OPTIONS)
    with pytest.raises(InvalidInputError, match=r"the system of .*/source, cannot"):
        train(
            Toy(),
            steps=9,
            out=tmp_path / "run",
            start_from=tmp_path / "source",
            **OPTIONS,
        )


def test_one_part_is_taken_and_all_must_be_there(source: Path):
    start = StartWeights(load(source))
    one, two = jnp.float32(1), jnp.float32(2)
    new, other = {"a": one, "b": {"w": one}}, {"a": two, "b": {"w": two}, "c": two}
    assert take_weights(new, other, start) == {"a": two, "b": {"w": two}}
    part = take_weights(new, other, start._replace(part="b"))
    assert part == {"a": one, "b": {"w": two}}
    # Statistics are taken with every part.
    with_stats = take_weights(
        new | {"a_stats": one}, other | {"a_stats": two}, start._replace(part="b")
    )
    assert with_stats == {"a": one, "b": {"w": two}, "a_stats": two}
    with pytest.raises(InvalidInputError, match="unknown part 'a_stats'; valid: a, b"):
        take_weights(new | {"a_stats": one}, other, start._replace(part="a_stats"))
    with pytest.raises(InvalidInputError, match=r"no weights of b; it has a; expected"):
        take_weights(new, {"a": two}, start)
    with pytest.raises(InvalidInputError, match=r"b/v is .* there and absent here"):
        take_weights(new, {"a": two, "b": {"w": two, "v": two}}, start)


def test_settings_of_a_new_run_do_not_name_another(tmp_path: Path):
    run = train(Toy(), steps=9, out=tmp_path / "run", **OPTIONS)
    assert "started_from" not in json.loads((run.path / "settings.json").read_text())


def test_a_link_is_moved_to_another_channel(tmp_path: Path):
    """All of it, or its receiver only; the networks must be the same."""
    sizes: dict[str, Any] = {"messages": 4, "uses": 1, "hidden": 4}
    link = Link(channel=AWGN(), receiver="equalizing", **sizes)
    run = Run(tmp_path, RunConfig(system=link, steps=1))
    # Not trained: what is taken does not depend on it.
    state = jax.tree.map(jnp.zeros_like, jax.jit(link.init)(jax.random.key(3)))
    saved = Checkpoint(TrainState(state, {}, {}, jnp.int32(0)), 7, 0.0)
    start = StartWeights(dataclasses.replace(run, live={0: saved}))
    moved = dataclasses.replace(link, channel=Rayleigh())
    for part, sides in (
        (None, {"transmitter", "receiver", "received_stats"}),
        ("receiver", {"receiver", "received_stats"}),
    ):
        states, entry = initial_states(
            RunConfig(system=moved, steps=1), start._replace(part=part)
        )
        for name, weights in moved.weights(states[0].state).items():
            leaves = jax.tree.leaves(weights)
            assert all(bool(jnp.all(x == 0)) for x in leaves) == (name in sides)
        started_from: Any = entry["started_from"]
        assert started_from["seeds"]["0"]["step"] == 7
    for other, message in (
        (
            dataclasses.replace(moved, receiver="mlp"),
            r"do not fit: receiver/.* is absent there",
        ),
        (dataclasses.replace(moved, hidden=6), r"do not fit: receiver/.* there and"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            initial_states(RunConfig(system=other, steps=1), start)
