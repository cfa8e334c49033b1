"""Systems with an external environment: same protocol, resumes, learns."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from syntony.systems.marl.actor_critic import MAA2C, ActorCriticConfig
from syntony.systems.marl.smpe import SMPE
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.systems.system import System
from syntony.tasks.external.external_env import ShapeOnlyTask
from syntony.tasks.registry import task
from syntony.training.compiled import abstract_train_state
from syntony.training.loop import resume, train
from syntony.training.run import Run, load

pytest.importorskip("gymnasium")
RELAY = task("pettingzoo:external_envs")
FORAGING = task("Foraging-5x5-2p-1f-coop?time_limit=6")
CONFIG = ActorCriticConfig(num_envs=4, hidden=8)
MAA2C_SYSTEM = MAA2C(task=RELAY, actor_critic=CONFIG)
OPTIONS: dict[str, Any] = {"eval_every": 40, "eval_episodes": 6, "quiet": True}


def numbers(run: Run, seed: int) -> list[dict[str, Any]]:
    """Metrics of a seed, without times."""
    lines = [line for line in run.metrics() if line["seed"] == seed]
    return [{k: v for k, v in line.items() if k != "wall_s"} for line in lines]


def leaves(run: Run, seed: int) -> list[np.ndarray]:
    state = run.states[seed]
    return jax.tree.leaves(state._replace(key=jax.random.key_data(state.key)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An uninterrupted run of two seeds side by side."""
    return train(
        MAA2C_SYSTEM, steps=80, seeds=2, out=tmp_path_factory.mktemp("whole"), **OPTIONS
    )


def test_it_is_a_system_with_a_jittable_twin():
    assert isinstance(MAA2C_SYSTEM, System)
    jittable = MAA2C_SYSTEM.as_jittable()
    assert isinstance(jittable.task, ShapeOnlyTask)
    assert jittable.as_jittable() is jittable
    in_jax = MAA2C(task=FORAGING)
    assert in_jax.as_jittable() is in_jax
    shapes = [
        jax.tree.map(np.shape, abstract_train_state(team))
        for team in (MAA2C_SYSTEM, jittable)
    ]
    assert shapes[0] == shapes[1]


def test_a_step_updates_actors_and_counts_env_steps(key):
    state = MAA2C_SYSTEM.init(key)
    after, metrics = MAA2C_SYSTEM.step(state)
    before, learned = (jax.tree.leaves(s.actor) for s in (state, after))
    assert all((a != b).any() for a, b in zip(before, learned, strict=True))
    assert {
        "train/return_mean",
        "train/actor_loss",
        "train/critic_loss",
    } <= metrics.keys()
    # Four episodes of five or six steps each.
    assert 20 <= after.env_steps <= 24
    assert 0.0 < metrics["train/return_mean"] < 6 + 4 * 7 + 4 * 3


@pytest.mark.slow
def test_smpe_trains_there_as_well(key):
    beliefs = BeliefConfig(
        latent_dim=4, belief_update_interval=20, belief_minibatches=2, buffer_size=20
    )
    team = SMPE(task=RELAY, actor_critic=CONFIG, beliefs=beliefs)
    state, metrics = team.step(team.init(key))
    assert all(np.isfinite(value) for value in metrics.values())
    assert state.env_steps >= 20


def test_an_evaluation_samples_and_is_greedy(key):
    init_key, eval_key = jax.random.split(key)
    found = MAA2C_SYSTEM.evaluate(MAA2C_SYSTEM.init(init_key), eval_key, 10)
    assert {name: scores.shape for name, scores in found.items()} == dict.fromkeys(
        ("eval/return_mean", "eval/return_mean_greedy", "eval/length_mean"), (10,)
    )
    assert set(np.asarray(found["eval/length_mean"])) == {5.0, 6.0}
    assert (found["eval/return_mean"] != found["eval/return_mean_greedy"]).any()


def test_a_resumed_run_equals_the_uninterrupted_one(whole: Run, tmp_path: Path):
    train(MAA2C_SYSTEM, steps=40, out=tmp_path, **OPTIONS)
    assert load(tmp_path).system == MAA2C_SYSTEM
    parts = resume(tmp_path, steps=80, quiet=True)
    assert numbers(parts, 0) == numbers(whole, 0)
    for a, b in zip(leaves(parts, 0), leaves(whole, 0), strict=True):
        np.testing.assert_array_equal(a, b)


def test_seeds_side_by_side_are_as_if_alone(whole: Run, tmp_path: Path):
    alone = train(MAA2C_SYSTEM, steps=80, seed=1, out=tmp_path, **OPTIONS)
    assert numbers(alone, 1) == numbers(whole, 1)
    for a, b in zip(leaves(alone, 1), leaves(whole, 1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert numbers(whole, 0) != numbers(whole, 1)


@pytest.mark.slow
def test_a_team_learns_there(tmp_path: Path):
    """Earned on average: 22 at random, 30.5 at best, by the table of the relay."""
    quick = ActorCriticConfig(num_envs=4, hidden=8, actor_lr=0.01, critic_lr=0.02)
    options: dict[str, Any] = OPTIONS | {"eval_every": 2000, "eval_episodes": 40}
    team = MAA2C(task=RELAY, actor_critic=quick)
    run = train(team, steps=2000, out=tmp_path, **options)
    first, last = run.metrics()
    assert first["eval/return_mean"] == pytest.approx(22, abs=2)
    assert last["eval/return_mean"] > 25
    assert last["eval/return_mean_greedy"] > 27
    # Episodes of 5 to 8 steps, truncated at 6.
    assert last["eval/length_mean"] == pytest.approx(5.75, abs=0.2)
