"""A task in JAX that answers NaN in the middle: it is blamed, and the run is saved."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import your_own_task

import syntony
from syntony.config import pytree_dataclass
from syntony.errors import EnvironmentStepError
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.maa2c import MAA2C
from syntony.training import checkpoint

pytestmark = pytest.mark.usefixtures("nans_allowed")

FIXED = {True: False, False: False}
"""Whether the reward (true) and the observation (false) are repaired."""


@pytree_dataclass
class Unsound(your_own_task.Corridor):
    """From a step of an episode on something is NaN, until it is repaired."""

    pays: bool = True
    """The reward is; else the observation."""
    after: int = 3
    """From this step on."""
    chance: float = 1.0
    """In each of those steps."""
    ends: int = 0
    """Step that ends an episode; 0: none does."""

    def step(self, key: Any, state: Any, action: Any) -> Any:
        state, step = super().step(key, state, action)
        spoilt = (state.time >= self.after) & (not FIXED[self.pays])
        spoilt &= jax.random.bernoulli(key, self.chance)
        step = step._replace(terminated=state.time == self.ends)
        if self.pays:
            return state, step._replace(reward=jnp.where(spoilt, jnp.nan, step.reward))
        return state, step._replace(obs=jnp.where(spoilt, jnp.nan, step.obs))


def train(out: Path, steps: int = 30, **how: Any) -> syntony.Run:
    backbone = ActorCriticConfig(num_envs=2, hidden=8)
    team = MAA2C(task=Unsound(time_limit=5, **how), actor_critic=backbone)
    return syntony.train(
        team, steps=steps, eval_every=steps, eval_episodes=2, out=out, quiet=True
    )


@pytest.mark.parametrize("pays", FIXED)
@pytest.mark.parametrize("after", [1, 3])
def test_the_task_is_named_and_its_step(pays: bool, after: int, tmp_path: Path):
    with pytest.raises(EnvironmentStepError) as raised:
        train(tmp_path, pays=pays, after=after)
    what = "reward" if pays else "observation"
    said = str(raised.value)
    assert "environment python:your_own_task:Corridor?" in said
    assert f"copy 0, step {after}: {what} is not finite" in said
    assert "diverged" not in said


def test_what_was_learned_until_then_is_saved(tmp_path: Path, monkeypatch):
    """Also by updates of the same chunk; the same run fails alike, a repaired ends."""
    how: Any = {"steps": 4_000, "pays": True, "after": 1, "chance": 1e-3}
    with pytest.raises(EnvironmentStepError) as raised:
        train(tmp_path, **how)
    found = re.search(r"seed 0, step (\d+): environment .*, copy", str(raised.value))
    assert found is not None
    step = int(found[1])
    assert step > 20
    newest = checkpoint.checkpoint_paths(tmp_path / "checkpoints", 0)[0]
    assert checkpoint.checkpoint_step(newest) == step
    with np.load(newest) as saved:
        assert saved["state/env_steps"] == step
    with pytest.raises(EnvironmentStepError, match=f"seed 0, step {step}:"):
        train(tmp_path, **how)
    monkeypatch.setitem(FIXED, True, True)
    jax.clear_caches()
    assert train(tmp_path, **how).steps[0] >= 4_000


def test_what_is_behind_an_end_harms_nobody(tmp_path: Path):
    run = train(tmp_path, pays=False, after=4, ends=3)
    assert run.steps[0] == 30


def test_learning_that_diverges_is_not_blamed_on_the_task(tmp_path: Path):
    backbone = ActorCriticConfig(num_envs=2, hidden=8, actor_lr=1e30, critic_lr=1e30)
    team = MAA2C(task=your_own_task.Corridor(time_limit=5), actor_critic=backbone)
    with pytest.raises(Exception, match="diverged"):
        syntony.train(
            team, steps=300, eval_every=300, eval_episodes=2, out=tmp_path, quiet=True
        )
