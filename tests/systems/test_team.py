"""Teams on the host: the same frame, crossed in Python, with the same numbers."""

import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from syntony.run.chunk import blank
from syntony.run.load import Run, load
from syntony.run.train import resume, train
from syntony.systems.actor_critic import Backbone
from syntony.systems.beliefs import Beliefs
from syntony.systems.maa2c import Maa2c
from syntony.systems.smpe import Smpe
from syntony.systems.system import System
from syntony.tasks.host import Blank
from syntony.tasks.ids import task

pytest.importorskip("gymnasium")
sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))
RELAY = task("pettingzoo:host_worlds")
FORAGING = task("Foraging-5x5-2p-1f-coop?time_limit=6")
BACKBONE = Backbone(environments=4, hidden=8)
MAA2C = Maa2c(task=RELAY, backbone=BACKBONE)
OPTIONS: dict[str, Any] = {"eval_every": 40, "eval_episodes": 6, "quiet": True}


def numbers(run: Run, seed: int) -> list[dict[str, Any]]:
    """Returns what was measured of a seed, but for the time it took."""
    lines = [line for line in run.metrics() if line["seed"] == seed]
    return [{k: v for k, v in line.items() if k != "wall_s"} for line in lines]


def leaves(run: Run, seed: int) -> list[np.ndarray]:
    state = run.states[seed]
    return jax.tree.leaves(state._replace(key=jax.random.key_data(state.key)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Returns a run of two seeds side by side, undisturbed."""
    return train(
        MAA2C, steps=80, seeds=2, out=tmp_path_factory.mktemp("whole"), **OPTIONS
    )


def test_it_is_a_system_with_a_stand_in():
    assert isinstance(MAA2C, System)
    stand_in = MAA2C.stand_in()
    assert isinstance(stand_in.task, Blank)
    assert stand_in.stand_in() is stand_in
    at_home = Maa2c(task=FORAGING)
    assert at_home.stand_in() is at_home
    shapes = [jax.tree.map(np.shape, blank(team)) for team in (MAA2C, stand_in)]
    assert shapes[0] == shapes[1]


def test_a_step_learns_and_counts_what_was_lived(key):
    state = MAA2C.init(key)
    after, metrics = MAA2C.step(state)
    before, learned = (jax.tree.leaves(s.actor) for s in (state, after))
    assert all((a != b).any() for a, b in zip(before, learned, strict=True))
    assert {"train/return", "train/actor_loss", "train/critic_loss"} <= metrics.keys()
    # Four episodes of five or six steps each.
    assert 20 <= after.env_steps <= 24
    assert 0.0 < metrics["train/return"] < 6 + 4 * 7 + 4 * 3


@pytest.mark.slow
def test_smpe_lives_there_as_well(key):
    beliefs = Beliefs(latent=4, burst_every=20, minibatches=2, replay=20)
    team = Smpe(task=RELAY, backbone=BACKBONE, beliefs=beliefs)
    state, metrics = team.step(team.init(key))
    assert all(np.isfinite(value) for value in metrics.values())
    assert state.env_steps >= 20


def test_an_evaluation_draws_and_takes_the_likeliest(key):
    init_key, eval_key = jax.random.split(key)
    found = MAA2C.evaluate(MAA2C.init(init_key), eval_key, 10)
    assert {name: scores.shape for name, scores in found.items()} == dict.fromkeys(
        ("eval/return_mean", "eval/return_mean_greedy", "eval/length_mean"), (10,)
    )
    assert set(np.asarray(found["eval/length_mean"])) == {5.0, 6.0}
    assert (found["eval/return_mean"] != found["eval/return_mean_greedy"]).any()


def test_parts_make_the_whole(whole: Run, tmp_path: Path):
    train(MAA2C, steps=40, out=tmp_path, **OPTIONS)
    assert load(tmp_path).system == MAA2C
    parts = resume(tmp_path, steps=80, quiet=True)
    assert numbers(parts, 0) == numbers(whole, 0)
    for a, b in zip(leaves(parts, 0), leaves(whole, 0), strict=True):
        np.testing.assert_array_equal(a, b)


def test_seeds_side_by_side_are_as_if_alone(whole: Run, tmp_path: Path):
    alone = train(MAA2C, steps=80, seed=1, out=tmp_path, **OPTIONS)
    assert numbers(alone, 1) == numbers(whole, 1)
    for a, b in zip(leaves(alone, 1), leaves(whole, 1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert numbers(whole, 0) != numbers(whole, 1)


def test_a_team_learns_there(tmp_path: Path):
    """Earned on average: 22 at random, 30.5 at best, by the table of the relay."""
    quick = Backbone(environments=4, hidden=8, actor_lr=0.01, critic_lr=0.02)
    options: dict[str, Any] = OPTIONS | {"eval_every": 2000, "eval_episodes": 40}
    team = Maa2c(task=RELAY, backbone=quick)
    run = train(team, steps=2000, out=tmp_path, **options)
    first, last = run.metrics()
    assert first["eval/return_mean"] == pytest.approx(22, abs=2)
    assert last["eval/return_mean"] > 25
    assert last["eval/return_mean_greedy"] > 27
    # Lives of 5 to 8 steps, of which 6 are lived at most.
    assert last["eval/length_mean"] == pytest.approx(5.75, abs=0.2)
