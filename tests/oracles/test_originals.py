"""Teams in the original packages: what they see is what is there, and ours are theirs.

A team that learned in a task of ours must earn the same in the original of it.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np
import pytest

from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.maa2c import MAA2C
from syntony.tasks.external.gymnasium import GymnasiumEnv
from syntony.tasks.external.pettingzoo import PettingZooEnv
from syntony.tasks.registry import task
from syntony.training.loop import train

pytestmark = pytest.mark.oracle
SPREAD = "pettingzoo:mpe2.simple_spread_v3"
SPEAKER = "pettingzoo:mpe2.simple_speaker_listener_v4"
FORAGING = "gymnasium:lbforaging:Foraging-8x8-2p-3f-v3"
WAREHOUSE = "gymnasium:rware:rware-tiny-2ag-v2"
SHAPES = {
    SPREAD: (3, 5, 18, 25),
    SPEAKER: (2, 5, 11, 25),
    FORAGING: (2, 6, 15, 50),
    WAREHOUSE: (2, 5, 71, 500),
}
"""Agents, actions, numbers in an observation, steps: as the packages document them."""
SMALL = ActorCriticConfig(num_envs=2, hidden=8)


@pytest.fixture(autouse=True)
def _packages() -> None:
    for name in ("lbforaging", "mpe2", "rware"):
        pytest.importorskip(name)


@pytest.mark.parametrize("id", SHAPES)
def test_shapes(id: str):
    host = task(id)
    expected = host.num_agents, host.num_actions, host.obs_dim, host.time_limit
    assert expected == SHAPES[id]


@pytest.mark.parametrize(
    ("id", "players", "size"),
    [(f"{SPREAD}?N=5&local_ratio=0", 5, 30), (f"{FORAGING}?players=4", 4, 21)],
)
def test_parameters_reach_the_environment(id: str, players: int, size: int):
    host = task(id)
    assert (host.num_agents, host.obs_dim) == (players, size)


@pytest.fixture
def lived(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, list[int]]]:
    """Returns how to live two episodes, and to learn the seeds that they began with."""

    def live(kind: type, id: str, key: Any) -> tuple[Any, list[int]]:
        seeds: list[int] = []
        reset = kind.reset
        monkeypatch.setattr(
            kind, "reset", lambda self, seed: seeds.append(seed) or reset(self, seed)
        )
        team = MAA2C(task=task(id), actor_critic=SMALL)
        init_key, live_key = jax.random.split(key)
        return jax.device_get(
            team.collect_episodes(team.init(init_key), live_key, 2)
        ), seeds

    return live


@pytest.mark.parametrize("id", [FORAGING, f"{WAREHOUSE}?time_limit=60"])
def test_tuples_against_the_environment_itself(id: str, key, lived):
    episodes, seeds = lived(GymnasiumEnv, id, key)
    env = gymnasium.make(id.removeprefix("gymnasium:").partition("?")[0]).unwrapped
    for e, seed in enumerate(seeds):
        obs, _ = env.reset(seed=seed)
        for t in range(int(episodes.valid[:, e].sum())):
            np.testing.assert_array_equal(episodes.obs[t, e], np.stack(obs))
            obs, rewards, *_ = env.step(episodes.action[t, e].tolist())
            np.testing.assert_array_equal(
                episodes.reward[t, e], np.float32(np.asarray(rewards))
            )
        np.testing.assert_array_equal(episodes.obs[-1, e], np.stack(obs))
    assert episodes.available.all()


@pytest.mark.parametrize("id", [SPREAD, SPEAKER])
def test_dictionaries_against_the_environment_itself(id: str, key, lived):
    episodes, seeds = lived(PettingZooEnv, id, key)
    env = importlib.import_module(id.removeprefix("pettingzoo:")).parallel_env()
    names = env.possible_agents
    for e, seed in enumerate(seeds):
        seen, _ = env.reset(seed=seed)
        for t in range(25):
            assert_padded(episodes.obs[t, e], [seen[name] for name in names])
            action = dict(zip(names, episodes.action[t, e].tolist(), strict=True))
            seen, rewards, *_ = env.step(action)
            expected = np.array([rewards[name] for name in names], np.float32)
            np.testing.assert_array_equal(episodes.reward[t, e], expected)
        assert_padded(episodes.obs[25, e], [seen[name] for name in names])
    choices = [env.action_space(name).n for name in names]
    np.testing.assert_array_equal(
        episodes.available,
        np.broadcast_to(
            np.arange(5) < np.array(choices)[:, None], episodes.available.shape
        ),
    )
    assert episodes.truncated[24].all()
    assert not episodes.terminated.any()


def assert_padded(obs: np.ndarray, expected: list[np.ndarray]) -> None:
    for row, numbers in zip(obs, expected, strict=True):
        np.testing.assert_array_equal(row[: len(numbers)], numbers)
        assert not row[len(numbers) :].any()


@pytest.mark.parametrize(
    "id",
    [
        SPEAKER,
        pytest.param(SPREAD, marks=pytest.mark.slow),
        pytest.param(FORAGING, marks=pytest.mark.slow),
        pytest.param(f"{WAREHOUSE}?time_limit=25", marks=pytest.mark.slow),
    ],
)
def test_a_team_trains_in_it(id: str, tmp_path: Path):
    options: dict[str, Any] = {"eval_every": 75, "eval_episodes": 2, "quiet": True}
    run = train(
        MAA2C(task=task(id), actor_critic=SMALL), steps=150, out=tmp_path, **options
    )
    assert run.steps[0] >= 150
    assert all(np.isfinite(value) for value in run.metrics()[-1].values())


OURS = "Foraging-5x5-2p-1f-coop"
THEIRS = "gymnasium:lbforaging:Foraging-5x5-2p-1f-coop-v3?max_player_level=3"
OTHERS = (f"{THEIRS}&sight=1", f"{THEIRS}&max_episode_steps=10")
Scores = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scores]:
    """Returns what a half-trained team of ours earns, in each task."""
    backbone = ActorCriticConfig(hidden=32, n_step=10, actor_lr=2e-3, critic_lr=2e-3)
    team = MAA2C(task=task(OURS), actor_critic=backbone)
    options: dict[str, Any] = {"eval_every": 75_000, "quiet": True}
    run = train(team, steps=75_000, out=tmp_path_factory.mktemp("run"), **options)
    return {
        id: run.evaluate(episodes=200, task=task(id))[0]
        for id in (OURS, THEIRS, *OTHERS)
    }


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Returns by how many standard errors two means differ."""
    variance = one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other)
    return float(abs(one.mean() - other.mean()) / np.sqrt(variance))


@pytest.mark.slow
def test_a_team_of_ours_earns_the_same_in_the_original(scores: dict[str, Scores]):
    ours, theirs = scores[OURS], scores[THEIRS]
    assert ours["eval/return_mean"].mean() > 0.3, "it has learned something"
    for name in ours:
        assert apart(ours[name], theirs[name]) < 3.0, name


@pytest.mark.slow
def test_a_team_of_our_warehouse_delivers_as_much_in_the_original(tmp_path: Path):
    """On a floor so small that it learns in seconds to deliver a dozen shelves."""
    floor = "column_height=1&request_queue_size=3"
    team = MAA2C(
        task=task(f"rware-tiny-2ag?{floor}"),
        actor_critic=ActorCriticConfig(hidden=32, n_step=10),
    )
    options: dict[str, Any] = {"eval_every": 2_000_000, "quiet": True}
    run = train(team, steps=2_000_000, out=tmp_path, **options)
    original = task(f"gymnasium:rware:rware-tiny-2ag-v2?{floor}")
    name = "eval/return_mean"
    ours = run.evaluate(episodes=200)[0][name]
    theirs = run.evaluate(episodes=30, task=original)[0][name]
    assert ours.mean() > 3.0, "untrained it is 0.5"
    assert apart(ours, theirs) < 3.0, (ours.mean(), theirs.mean())


@pytest.mark.slow
@pytest.mark.parametrize("other", OTHERS)
def test_other_rules_would_be_noticed(scores: dict[str, Scores], other: str):
    ours, theirs = scores[OURS], scores[other]
    assert max(apart(ours[name], theirs[name]) for name in ours) > 5.0
