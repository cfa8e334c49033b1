"""The learners themselves: stopped and gone on, they are what they would have been."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syntony.run import lanes
from syntony.run.load import load
from syntony.run.train import resume, train
from syntony.systems.actor_critic import Backbone
from syntony.systems.beliefs import Beliefs
from syntony.systems.maa2c import Maa2c
from syntony.systems.smpe import Smpe
from syntony.systems.system import System
from syntony.tasks.ids import task

TASK = task("Foraging-2s-5x5-2p-1f-coop?time_limit=5")
BACKBONE = Backbone(environments=2, hidden=8)
BELIEFS = Beliefs(latent=4, burst_every=60, minibatches=2, replay=20)
MAA2C = Maa2c(task=TASK, backbone=BACKBONE)
SMPE = Smpe(task=TASK, backbone=BACKBONE, beliefs=BELIEFS)
SYSTEMS = [
    pytest.param(MAA2C, id="maa2c"),
    pytest.param(SMPE, id="smpe", marks=pytest.mark.slow),
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
    monkeypatch.setattr(lanes, "CHUNK_SECONDS", 1e-9)
    train(system, steps=200, out=parts, **OPTIONS)
    # From here on the system is what settings.json says it is.
    assert load(parts).system == system
    resume(parts, steps=300, quiet=True)
    same(whole, parts, range(2))
