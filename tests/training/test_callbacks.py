"""Callbacks of training: their metrics, their ends of a seed, their errors."""

# ruff: noqa: ARG001, ARG005 - the arguments are those of an interface.

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from toy_system import Toy

import syntony
from syntony.errors import InvalidInputError
from syntony.training.callbacks import check_callbacks
from syntony.training.loop import resume, train
from syntony.training.run import Run, load

OPTIONS: dict[str, Any] = {"eval_every": 100, "eval_episodes": 4, "quiet": True}


def distance(run: Run, step: int, metrics: dict[str, Any]) -> dict[str, Any]:
    state = run.states[metrics["seed"]]
    assert int(state.steps) == step == metrics["step"]
    assert run.steps[metrics["seed"]] == step
    return {"own/distance": jnp.sum(state.x**2), "own/none": None}


def stop_after(limit: int, seeds: tuple[int, ...]) -> Any:
    def stop(run: Run, step: int, metrics: dict[str, Any]) -> None:
        if step >= limit and metrics["seed"] in seeds:
            raise syntony.StopTraining

    return stop


def last_rows(run: Run) -> dict[int, dict[str, Any]]:
    return {row["seed"]: row for row in run.metrics()}


def test_returned_numbers_are_in_the_row_of_the_evaluation(tmp_path: Path):
    run = train(
        Toy(), steps=300, seeds=2, out=tmp_path, callbacks=[distance], **OPTIONS
    )
    rows = run.metrics()
    assert len(rows) == 8
    assert all(row["own/none"] is None for row in rows)
    for seed, row in last_rows(run).items():
        exact = np.sum(np.square(run.states[seed].x))
        np.testing.assert_allclose(row["own/distance"], exact, rtol=1e-6)


def test_callbacks_change_no_other_number(tmp_path: Path, assert_same_run: Any):
    train(Toy(), steps=300, seeds=2, out=tmp_path / "a", **OPTIONS)
    train(
        Toy(),
        steps=300,
        seeds=2,
        out=tmp_path / "b",
        callbacks=[lambda run, step, metrics: None],
        **OPTIONS,
    )
    assert_same_run(tmp_path / "a", tmp_path / "b", range(2))


def test_stop_training_ends_one_seed_as_done(tmp_path: Path):
    later: list[int] = []

    def record(run: Run, step: int, metrics: dict[str, Any]) -> None:
        later.append(metrics["seed"])

    callbacks = [stop_after(100, (1,)), record]
    run = train(Toy(), steps=500, seeds=2, out=tmp_path, callbacks=callbacks, **OPTIONS)
    assert 100 <= run.steps[1] < 200, "no chunk after the one that was evaluated"
    assert run.steps[0] >= 500
    assert later.count(1) == 2, "callbacks after the one that stops are called"
    with np.load(run.path / "model.npz") as model:
        np.testing.assert_array_equal(model["seed1/x"], run.states[1].x)


def test_a_stopped_seed_goes_on_with_more_steps_only(tmp_path: Path):
    stop = [stop_after(100, (0, 1))]
    run = train(Toy(), steps=300, seeds=2, out=tmp_path, callbacks=stop, **OPTIONS)
    before = run.steps
    assert max(before.values()) < 200
    assert resume(tmp_path, quiet=True).steps == before
    assert resume(tmp_path, steps=300, quiet=True).steps == before
    assert min(resume(tmp_path, steps=400, quiet=True).steps.values()) >= 400
    assert load(tmp_path).settings.get("stopped_seeds") is None


def test_a_run_that_went_on_equals_one_that_was_not_stopped(
    tmp_path: Path, assert_same_run: Any
):
    train(Toy(), steps=300, out=tmp_path / "whole", **OPTIONS)
    stop = [stop_after(100, (0,))]
    train(Toy(), steps=200, out=tmp_path / "two", callbacks=stop, **OPTIONS)
    resume(tmp_path / "two", steps=300, quiet=True)
    assert_same_run(tmp_path / "whole", tmp_path / "two", range(1))


def test_a_failing_callback_is_one_line_and_the_run_is_saved(tmp_path: Path):
    def broken(run: Run, step: int, metrics: dict[str, Any]) -> None:
        if step >= 100:
            raise KeyError("missing")

    message = (
        r"seed 0, step 1\d\d: callback broken raised KeyError: 'missing' "
        r"\(test_callbacks\.py:\d+\); all up to there is saved; go on with: "
    )
    with pytest.raises(InvalidInputError, match=message):
        train(Toy(), steps=300, out=tmp_path, callbacks=[broken], **OPTIONS)
    run = load(tmp_path)
    assert 100 <= run.steps[0] < 200
    assert len(run.metrics()) == 2
    assert resume(tmp_path, quiet=True).steps[0] >= 300


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (3, "returned int; expected a dict of numbers, or None"),
        ({"distance": 1.0}, "named 'distance'; expected a name with a slash"),
        ({"own/": 1.0}, "expected a name with a slash"),
        ({1: 1.0}, "expected a name with a slash"),
        ({"train/loss": 1.0}, "'train/loss', which the run logs already"),
        ({"own/x": float("nan")}, "nan for 'own/x'; expected a finite number"),
        ({"own/x": "high"}, "'high' for 'own/x'; expected a finite number"),
        ({"own/x": [1.0, 2.0]}, "for 'own/x'; expected a finite number"),
    ],
)
def test_invalid_results_are_told(tmp_path: Path, returned: Any, message: str):
    def report(run: Run, step: int, metrics: dict[str, Any]) -> Any:
        return returned if step else None

    with pytest.raises(InvalidInputError, match=f"callback report .*{message}"):
        train(Toy(), steps=200, out=tmp_path, callbacks=[report], **OPTIONS)


@pytest.mark.parametrize("callbacks", [distance, ["distance"], None])
def test_callbacks_must_be_a_list_of_functions(callbacks: Any):
    with pytest.raises(InvalidInputError, match="expected a list of functions"):
        check_callbacks(callbacks)


def test_a_damaged_list_of_stopped_seeds(tmp_path: Path):
    run = train(Toy(), steps=100, out=tmp_path, **OPTIONS)
    settings = run.path / "settings.json"
    text = settings.read_text().replace("{", '{"stopped_seeds": "all",', 1)
    settings.write_text(text)
    with pytest.raises(InvalidInputError, match="stopped_seeds is 'all'; expected"):
        resume(tmp_path, quiet=True)
