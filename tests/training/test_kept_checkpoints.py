"""Checkpoints by step and of the best evaluation: kept, counted, chosen and resumed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from toy_capabilities import ToyLink
from toy_system import Toy, ToyState

from syntony.channels.awgn import AWGN
from syntony.config import pytree_dataclass
from syntony.errors import InvalidInputError
from syntony.systems.system import EvalSamples
from syntony.training import checkpoint, recorder, seed_scheduler
from syntony.training.loop import resume, train
from syntony.training.run import load

OPTIONS: dict[str, Any] = {"eval_every": 80, "eval_episodes": 2, "quiet": True}
KEPT: dict[str, Any] = {"save_every": 90, "keep_best": True}
SEEDS = range(2)
STEPS = 300


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that keeps checkpoints by step and the best; not changed by tests."""
    path = tmp_path_factory.mktemp("runs") / "kept"
    train(Toy(), steps=STEPS, seeds=2, out=path, **OPTIONS, **KEPT)
    return path


@pytest.fixture
def run(kept: Path, tmp_path: Path) -> Path:
    """A copy of the run, for tests that change it."""
    return Path(shutil.copytree(kept, tmp_path / "run"))


def names(path: Path) -> list[str]:
    return sorted(file.name for file in (path / "checkpoints").iterdir())


def steps_by_multiple(path: Path, seed: int) -> dict[int | None, int]:
    paths = checkpoint.checkpoint_paths(path / "checkpoints", seed)
    return {checkpoint.kept_step(p): checkpoint.checkpoint_step(p) for p in paths}


def best_step(path: Path, seed: int) -> int:
    """Step of the first row with the highest return, from the log alone."""
    lines = (path / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["seed"] == seed]
    top = max(row["eval/return_mean"] for row in rows)
    return next(row["step"] for row in rows if row["eval/return_mean"] == top)


def test_checkpoints_by_step_the_best_and_the_two_newest_stay(kept: Path):
    for seed in SEEDS:
        by_multiple = steps_by_multiple(kept, seed)
        multiples = {90, 180, 270}
        assert multiples <= by_multiple.keys()
        # An update counts 1 to 3 steps.
        assert all(0 <= by_multiple[m] - m < 3 for m in multiples)
        every = checkpoint.checkpoint_paths(kept / "checkpoints", seed)
        steps = [checkpoint.checkpoint_step(path) for path in every]
        newest = max(steps)
        last_evaluation = max(
            row["step"] for row in load(kept).metrics() if row["seed"] == seed
        )
        assert newest == last_evaluation >= STEPS
        expected = {by_multiple[m] for m in multiples} | {best_step(kept, seed)}
        assert set(steps) == expected | set(sorted(steps)[-2:])


def test_keeping_checkpoints_does_not_change_numbers(
    kept: Path, tmp_path: Path, assert_same_run: Callable
):
    train(Toy(), steps=STEPS, seeds=2, out=tmp_path / "plain", **OPTIONS)
    assert_same_run(kept, tmp_path / "plain", SEEDS)
    assert len(names(tmp_path / "plain")) == 4


def test_an_interrupted_run_keeps_the_same_checkpoints(
    kept: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_run: Callable,
):
    """Also where every chunk is saved, so that most checkpoints are replaced."""
    monkeypatch.setattr(seed_scheduler, "TARGET_CHUNK_SECONDS", 1e-9)
    monkeypatch.setattr(recorder, "CHECKPOINT_INTERVAL_SECONDS", -1.0)
    path, original = tmp_path / "run", recorder.RunRecorder.record
    chunks = 0

    def record_and_interrupt(*args: Any) -> None:
        nonlocal chunks
        chunks += 1
        if chunks % 90 == 0:
            monkeypatch.setattr(recorder.RunRecorder, "record", original)
            raise KeyboardInterrupt
        original(*args)

    def start() -> None:
        train(Toy(), steps=STEPS, seeds=2, out=path, **OPTIONS, **KEPT)

    for _ in range(2):
        monkeypatch.setattr(recorder.RunRecorder, "record", record_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            start()
    assert load(path).steps[0] < STEPS
    resume(path, system=Toy(), quiet=True)
    assert_same_run(kept, path, SEEDS)
    for seed in SEEDS:
        multiples = {90, 180, 270}
        ours, whole = (steps_by_multiple(p, seed) for p in (path, kept))
        assert {m: ours[m] for m in multiples} == {m: whole[m] for m in multiples}
    best = load(path, checkpoint="best")
    assert best.steps == {seed: best_step(kept, seed) for seed in SEEDS}


def test_a_longer_run_keeps_what_was_kept(run: Path):
    before = {name: (run / "checkpoints" / name).read_bytes() for name in names(run)}
    kept_names = [name for name in before if "-at-" in name]
    assert len(kept_names) == 6
    # The steps between checkpoints may change; the old ones stay, and the best counts.
    resume(run, steps=900, save_every=400, system=Toy(), quiet=True)
    for name in kept_names:
        assert (run / "checkpoints" / name).read_bytes() == before[name]
    assert steps_by_multiple(run, 0).keys() >= {90, 180, 270, 800}
    best = load(run, checkpoint="best")
    assert best.steps == {seed: best_step(run, seed) for seed in SEEDS}
    settings = best.settings
    assert (settings["save_every"], settings["keep_best"]) == (400, True)


def test_the_best_checkpoint_is_of_the_rows_with_a_checkpoint(tmp_path: Path):
    """Rows from before `keep_best`, whose checkpoints are gone, do not count."""
    path = tmp_path / "late"
    train(Toy(), steps=300, out=path, **OPTIONS)
    with pytest.raises(InvalidInputError, match="trained without --keep-best; expec"):
        _ = load(path, checkpoint="best").states
    resume(path, steps=600, keep_best=True, system=Toy(), quiet=True)
    rows = [row for row in load(path).metrics() if row["step"] >= 240]
    top = max(row["eval/return_mean"] for row in rows)
    first = next(row["step"] for row in rows if row["eval/return_mean"] == top)
    assert load(path, checkpoint="best").steps == {0: first}


def test_a_state_is_chosen_by_step(kept: Path):
    exact = steps_by_multiple(kept, 0)[180]
    for chosen in (180, exact):
        by_step = load(kept, checkpoint=chosen)
        assert by_step.steps == {s: steps_by_multiple(kept, s)[180] for s in SEEDS}
        for seed, state in by_step.states.items():
            assert int(state.steps) == by_step.steps[seed]
    state = by_step.states[0]
    samples = by_step.evaluate(episodes=10)[0]["eval/return_mean_greedy"]
    np.testing.assert_allclose(samples, -np.sum(np.square(state.x)), rtol=1e-6)


def test_seeds_are_chosen(kept: Path):
    one = load(kept, seeds=[1])
    assert one.seeds == (1,)
    assert one.states.keys() == one.evaluate(episodes=3).keys() == {1}
    every = load(kept).states[1]
    np.testing.assert_array_equal(one.states[1].x, every.x)
    with pytest.raises(InvalidInputError, match="has no seed 2; expected 0 to 1"):
        load(kept, seeds=[0, 2])
    with pytest.raises(InvalidInputError, match=r"\[1, 1\]; expected different"):
        load(kept, seeds=[1, 1])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (299, r"no checkpoint of seed 0 at step 299; expected one of best, last, "),
        ("newest", "checkpoint is 'newest'; expected best, last or a step"),
        (-1, "checkpoint is -1; expected best, last or a step"),
        (True, "checkpoint is True; expected best, last or a step"),
    ],
)
def test_unknown_checkpoints_are_refused(kept: Path, choice: Any, message: str):
    with pytest.raises(InvalidInputError, match=message) as error:
        _ = load(kept, checkpoint=choice).states
    assert "\n" not in str(error.value)


def test_the_steps_that_exist_are_listed(kept: Path):
    with pytest.raises(InvalidInputError, match=r" best, last, 90, .*180, .*270"):
        _ = load(kept, checkpoint=7).states


def test_a_damaged_checkpoint_is_an_error_where_it_was_chosen(run: Path):
    path = next((run / "checkpoints").glob("seed-1-*-at-90.npz"))
    path.write_bytes(path.read_bytes()[:-50])
    assert load(run, checkpoint=90, seeds=[0]).states
    with pytest.raises(InvalidInputError, match=f"{path.name} is damaged"):
        _ = load(run, checkpoint=90).states


@pytree_dataclass
class Unranked(Toy):
    """A toy whose metric is neither a return nor an error rate."""

    def evaluate(self, state: ToyState, key: jax.Array, episodes: int) -> EvalSamples:
        del key
        return {"eval/distance": jax.numpy.full(episodes, jax.numpy.sum(state.x**2))}


def test_a_metric_without_a_direction_ranks_nothing(tmp_path: Path):
    message = r"needs eval/return_mean or eval/bler; the system evaluates eval/dist"
    with pytest.raises(InvalidInputError, match=message):
        train(Unranked(), steps=9, keep_best=True, out=tmp_path / "run", **OPTIONS)
    assert not (tmp_path / "run" / "settings.json").exists()


def test_the_best_of_a_link_has_the_lowest_error_rate(tmp_path: Path):
    system = ToyLink(channel=AWGN(snr_db=3.0))
    options = {"eval_every": 5, "eval_episodes": 40, "quiet": True}
    path = tmp_path / "run"
    train(system, steps=30, out=path, keep_best=True, **options)
    rows = load(path).metrics()
    low = min(row["eval/bler"] for row in rows)
    first = next(row["step"] for row in rows if row["eval/bler"] == low)
    assert len({row["eval/bler"] for row in rows}) > 1
    assert load(path, checkpoint="best").steps == {0: first}


class Usage(NamedTuple):
    free: int
    total: int = 10**9


def test_the_disk_space_is_estimated_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    options = OPTIONS | {"quiet": False, "seeds": 2, "save_every": 7}
    # 3 floats, a key of 2 words, the step, 2 sums in 2 parts and their count. Each
    # seed has 4 checkpoints by step and the two newest; one more is being written.
    size = 4 * (3 + 2 + 1 + 2 * 2 + 1)
    needed = (2 * (4 + 2) + 1) * size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(needed - 1))
    with pytest.raises(
        InvalidInputError, match=rf"take {needed} bytes.*; or a larger --save-every$"
    ):
        train(Toy(), steps=30, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(needed))
    train(Toy(), steps=30, out=tmp_path / "run", **options)
    # Below the four lines that say what runs.
    line = capsys.readouterr().out.splitlines()[4]
    assert line == f"checkpoints by step: 8 of {size} bytes, {8 * size} bytes in all"
    assert len([name for name in names(tmp_path / "run") if "-at-" in name]) == 8


@pytest.mark.parametrize("value", ["150", -1, 0, 2**31, 1.5])
def test_a_hostile_entry_is_refused(run: Path, value: Any):
    settings = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps(settings | {"save_every": value}))
    with pytest.raises(InvalidInputError, match=r"settings\.json: save_every is"):
        load(run)


def test_other_files_are_no_checkpoints(run: Path):
    before = checkpoint.checkpoint_paths(run / "checkpoints", 0)
    for name in ("seed-0-000000000300-at-x.npz", "seed-0-0000000003000.npz"):
        (run / "checkpoints" / name).touch()
    assert checkpoint.checkpoint_paths(run / "checkpoints", 0) == before
