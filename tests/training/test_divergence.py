"""A JAX task that returns NaN: the error names it, and the run is saved."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import your_own_task

import syntony
from syntony.config import field, pytree_dataclass
from syntony.errors import EnvironmentStepError
from syntony.systems.marl.actor_critic import MAA2C, ActorCriticConfig
from syntony.systems.marl.base import find_huge_reward
from syntony.tasks.rollout import Trajectory
from syntony.training import checkpoint, seed_scheduler

pytestmark = pytest.mark.usefixtures("nans_allowed")

REPAIRED = {True: False, False: False}
"""Whether the NaN in the reward (true) and in the observation (false) is repaired."""


@pytree_dataclass
class NaNCorridor(your_own_task.Corridor):
    """Corridor whose reward or observation becomes NaN during an episode."""

    nan_reward: bool = field(True, static=True)
    """Whether the reward is NaN; otherwise the observation."""
    after: int = field(3, static=True)
    """First step of an episode that can be NaN."""
    probability: float = 1.0
    """Probability of NaN in each of these steps."""
    last_step: int = field(0, static=True)
    """Step that terminates an episode; 0: none."""

    def step(self, key: Any, state: Any, action: Any) -> Any:
        state, step = super().step(key, state, action)
        is_nan = (state.time >= self.after) & (not REPAIRED[self.nan_reward])
        is_nan &= jax.random.bernoulli(key, self.probability)
        step = step._replace(terminated=state.time == self.last_step)
        if self.nan_reward:
            return state, step._replace(reward=jnp.where(is_nan, jnp.nan, step.reward))
        return state, step._replace(obs=jnp.where(is_nan, jnp.nan, step.obs))


@pytree_dataclass
class HugeCorridor(your_own_task.Corridor):
    """Corridor whose rewards are finite, but overflow in sums or squares."""

    size: float = field(1e25, static=True)

    def step(self, key: Any, state: Any, action: Any) -> Any:
        state, step = super().step(key, state, action)
        sign = jax.random.rademacher(key, step.reward.shape, jnp.float32)
        return state, step._replace(reward=self.size * sign)


def train(out: Path, steps: int = 30, **fields: Any) -> syntony.Run:
    actor_critic = ActorCriticConfig(num_envs=2, hidden=8)
    system = MAA2C(task=NaNCorridor(time_limit=5, **fields), actor_critic=actor_critic)
    return syntony.train(
        system, steps=steps, eval_every=steps, eval_episodes=2, out=out, quiet=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("nan_reward", REPAIRED)
@pytest.mark.parametrize("after", [1, 3])
def test_the_error_names_task_and_step(nan_reward: bool, after: int, tmp_path: Path):
    with pytest.raises(EnvironmentStepError) as raised:
        train(tmp_path, nan_reward=nan_reward, after=after)
    name = "reward" if nan_reward else "observation"
    message = str(raised.value)
    assert "environment python:your_own_task:Corridor?" in message
    assert f"copy 0, step {after}: {name} is not finite" in message
    assert "diverged" not in message


@pytest.mark.slow
@pytest.mark.parametrize("chunk_seconds", [1e-9, 1.0])
def test_the_state_before_the_error_is_saved(
    tmp_path: Path, monkeypatch, chunk_seconds: float
):
    """Within a chunk, and many chunks after the backup of the state; resuming fails
    again, and succeeds with a repaired task."""
    monkeypatch.setattr(seed_scheduler, "TARGET_CHUNK_SECONDS", chunk_seconds)
    # Of the other case, with a repaired task.
    jax.clear_caches()
    options: Any = {"steps": 4_000, "nan_reward": True, "after": 1}
    options["probability"] = 1e-3
    with pytest.raises(EnvironmentStepError) as raised:
        train(tmp_path, **options)
    match = re.search(r"seed 0, step (\d+): environment .*, copy", str(raised.value))
    assert match is not None
    step = int(match[1])
    assert step > 20
    newest = checkpoint.checkpoint_paths(tmp_path / "checkpoints", 0)[0]
    assert checkpoint.checkpoint_step(newest) == step
    with np.load(newest) as saved:
        assert saved["state/env_steps"] == step
    with pytest.raises(EnvironmentStepError, match=f"seed 0, step {step}:"):
        train(tmp_path, **options)
    monkeypatch.setitem(REPAIRED, True, True)
    jax.clear_caches()
    assert train(tmp_path, **options).steps[0] >= 4_000


def test_nan_after_the_end_of_an_episode_is_ignored(tmp_path: Path):
    run = train(tmp_path, nan_reward=False, after=4, last_step=3)
    assert run.steps[0] == 30


@pytest.mark.slow
@pytest.mark.parametrize(("size", "normalized"), [(1e25, False), (3e38, True)])
def test_a_huge_reward_is_named(size: float, normalized: bool, tmp_path: Path):
    config = ActorCriticConfig(num_envs=2, hidden=8, normalize_rewards=normalized)
    system = MAA2C(task=HugeCorridor(time_limit=5, size=size), actor_critic=config)
    with pytest.raises(EnvironmentStepError) as raised:
        syntony.train(
            system, steps=300, eval_every=300, eval_episodes=2, out=tmp_path, quiet=True
        )
    assert f"the largest reward is {size:.3g}, too large" in str(raised.value)
    assert "learning rates" not in str(raised.value)


def test_the_largest_reward_that_counts_is_told():
    task = HugeCorridor(time_limit=5)
    reward = jnp.array([[[1.0, -1e20]], [[2e30, 0.0]]])
    valid = jnp.array([[True], [False]])
    empty = Trajectory._make([None] * len(Trajectory._fields))
    trajectory = empty._replace(reward=reward, valid=valid)
    text = find_huge_reward(task, trajectory)
    assert "the largest reward is 1e+20, too large for 32-bit numbers" in text
    assert not find_huge_reward(task, trajectory._replace(reward=reward / 1e20))


def test_diverging_training_is_not_an_error_of_the_task(tmp_path: Path):
    diverging = ActorCriticConfig(num_envs=2, hidden=8, actor_lr=1e30, critic_lr=1e30)
    system = MAA2C(task=your_own_task.Corridor(time_limit=5), actor_critic=diverging)
    with pytest.raises(Exception, match="diverged"):
        syntony.train(
            system, steps=300, eval_every=300, eval_episodes=2, out=tmp_path, quiet=True
        )
