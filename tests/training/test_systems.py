"""Interrupted and resumed training of SMPE and MAA2C, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syntony.systems.marl.actor_critic import MAA2C, ActorCriticConfig
from syntony.systems.marl.smpe import SMPE
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.systems.system import System
from syntony.tasks.registry import task
from syntony.training import seed_scheduler
from syntony.training.loop import resume, train
from syntony.training.run import load

TASK = task("Foraging-2s-5x5-2p-1f-coop?time_limit=5")
ACTOR_CRITIC = ActorCriticConfig(num_envs=2, hidden=8)
BELIEFS = BeliefConfig(
    latent_dim=4, belief_update_interval=60, belief_minibatches=2, buffer_size=20
)
MAA2C_SYSTEM = MAA2C(task=TASK, actor_critic=ACTOR_CRITIC)
SMPE_SYSTEM = SMPE(task=TASK, actor_critic=ACTOR_CRITIC, beliefs=BELIEFS)
SYSTEMS = [
    pytest.param(MAA2C_SYSTEM, id="maa2c"),
    pytest.param(SMPE_SYSTEM, id="smpe", marks=pytest.mark.slow),
]
OPTIONS: dict[str, Any] = {
    "seeds": 2,
    "eval_every": 100,
    "eval_episodes": 4,
    "quiet": True,
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_resumed_run_equals_an_uninterrupted_one(
    system: System,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_run: Callable[[Path, Path, range], None],
):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    train(system, steps=300, out=whole, **OPTIONS)
    monkeypatch.setattr(seed_scheduler, "TARGET_CHUNK_SECONDS", 1e-9)
    train(system, steps=200, out=resumed, **OPTIONS)
    # `resume` restores the system from settings.json.
    assert load(resumed).system == system
    resume(resumed, steps=300, quiet=True)
    assert_same_run(whole, resumed, range(2))
