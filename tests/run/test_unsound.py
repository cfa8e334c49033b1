"""A task in JAX that answers NaN in the middle: it is blamed, and the run is saved."""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import syntony
from syntony.errors import HostFault
from syntony.record import record
from syntony.systems.actor_critic import Backbone
from syntony.systems.maa2c import Maa2c

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import your_own_task

pytestmark = pytest.mark.usefixtures("nans_allowed")

FIXED = {True: False, False: False}
"""Whether the reward (true) and the observation (false) are repaired."""


@record
class Unsound(your_own_task.Corridor):
    """From the third step of an episode on something is NaN, until it is repaired."""

    pays: bool = True
    """The reward is; else the observation."""

    def step(self, key: Any, state: Any, action: Any) -> Any:
        state, step = super().step(key, state, action)
        spoilt = (state.time >= 3) & (not FIXED[self.pays])
        step = step._replace(terminated=jnp.bool_(False))
        if self.pays:
            return state, step._replace(reward=jnp.where(spoilt, jnp.nan, step.reward))
        return state, step._replace(obs=jnp.where(spoilt, jnp.nan, step.obs))


def train(pays: bool, out: Path) -> syntony.Run:
    backbone = Backbone(environments=2, hidden=8)
    team = Maa2c(task=Unsound(time_limit=5, pays=pays), backbone=backbone)
    return syntony.train(
        team, steps=30, eval_every=30, eval_episodes=2, out=out, quiet=True
    )


@pytest.mark.parametrize("pays", FIXED)
def test_the_task_is_named_and_its_step(pays: bool, tmp_path: Path, monkeypatch):
    with pytest.raises(HostFault) as raised:
        train(pays, tmp_path)
    what = "reward" if pays else "observation"
    said = str(raised.value)
    assert "environment python:your_own_task:Corridor?" in said
    assert f"copy 0, step 3: {what} is not finite" in said
    assert "diverged" not in said
    monkeypatch.setitem(FIXED, pays, True)
    jax.clear_caches()
    assert train(pays, tmp_path).steps[0] == 30


def test_learning_that_diverges_is_not_blamed_on_the_task(tmp_path: Path):
    backbone = Backbone(environments=2, hidden=8, actor_lr=1e30, critic_lr=1e30)
    team = Maa2c(task=your_own_task.Corridor(time_limit=5), backbone=backbone)
    with pytest.raises(Exception, match="diverged"):
        syntony.train(
            team, steps=300, eval_every=300, eval_episodes=2, out=tmp_path, quiet=True
        )
