"""The learners themselves: stopped and gone on, they are what they would have been."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.maa2c import MAA2C
from syntony.systems.marl.smpe import SMPE
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.systems.system import System
from syntony.tasks.registry import task
from syntony.training import seed_scheduler
from syntony.training.loop import resume, train
from syntony.training.run import load

TASK = task("Foraging-2s-5x5-2p-1f-coop?time_limit=5")
BACKBONE = ActorCriticConfig(num_envs=2, hidden=8)
BELIEFS = BeliefConfig(
    latent_dim=4, belief_update_interval=60, belief_minibatches=2, buffer_size=20
)
MAA2C_SYSTEM = MAA2C(task=TASK, actor_critic=BACKBONE)
SMPE_SYSTEM = SMPE(task=TASK, actor_critic=BACKBONE, beliefs=BELIEFS)
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
def test_parts_make_the_whole(
    system: System,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    same: Callable[[Path, Path, range], None],
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(system, steps=300, out=whole, **OPTIONS)
    monkeypatch.setattr(seed_scheduler, "CHUNK_SECONDS", 1e-9)
    train(system, steps=200, out=parts, **OPTIONS)
    # From here on the system is what settings.json says it is.
    assert load(parts).system == system
    resume(parts, steps=300, quiet=True)
    same(whole, parts, range(2))
