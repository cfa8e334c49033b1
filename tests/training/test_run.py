"""Loading and evaluating runs."""

from pathlib import Path

import jax
import numpy as np
import pytest
from toy_system import Descent, Toy

from syntony.errors import InvalidInputError
from syntony.training.loop import train
from syntony.training.run import Run, load


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return train(Toy(), steps=500, seeds=2, seed=3, out=tmp_path / "run", quiet=True)


def test_load_returns_the_run_of_train(run: Run):
    loaded = load(run.path, system=Toy())
    assert loaded == run
    assert loaded.system == Toy()
    assert loaded.settings["system"] == "python:toy_system:Toy"
    assert loaded.states.keys() == {3, 4}
    assert all(500 <= steps < 503 for steps in loaded.steps.values())
    assert [row["seed"] for row in loaded.metrics()].count(3) == 2


def test_exported_parameters_equal_those_of_the_states(run: Run):
    with np.load(run.path / "model.npz") as model:
        for seed, state in run.states.items():
            np.testing.assert_array_equal(model[f"seed{seed}/x"], state.x)


def test_user_systems_are_imported_again(run: Run):
    assert load(run.path) == run


def test_a_given_system_must_match(run: Run):
    with pytest.raises(
        InvalidInputError, match=r"not that of the run: descent\.rate is 0\.1"
    ):
        load(run.path, system=Toy(descent=Descent(rate=0.3)))


def test_evaluate_returns_the_requested_number_of_episodes(run: Run):
    samples = run.evaluate(episodes=1234)
    assert samples.keys() == {3, 4}
    returns = samples[3]["eval/return_mean"]
    assert returns.shape == (1234,)
    # Batches and seeds have different episodes.
    assert len(np.unique(returns)) > 1200
    assert np.isin(samples[4]["eval/return_mean"], returns).sum() < 34


def test_evaluate_uses_the_newest_state(run: Run):
    exact = -np.sum(np.square(jax.device_get(run.states[3].x)))
    samples = run.evaluate(episodes=1000)[3]
    np.testing.assert_allclose(samples["eval/return_mean_greedy"], exact, rtol=1e-6)
    # The toy's noise has unit variance: four standard errors.
    assert abs(samples["eval/return_mean"].mean() - exact) < 4 / 1000**0.5
