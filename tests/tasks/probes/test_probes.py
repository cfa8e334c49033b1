"""Probes: what they promise is true, and a learner without the ability misses it."""

import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Key

from syntony.equations.returns import n_step_targets
from syntony.errors import InvalidInputError
from syntony.networks.agents import agent_ids
from syntony.systems.marl.actor_critic import ActorCriticConfig, joint_state
from syntony.systems.marl.maa2c import MAA2C
from syntony.tasks.probes.rules import PROBE_SPECS, Probe

EPISODES = 1000

Choice = Callable[[Any, Any], Any]
"""What agents see, and the most they have seen, to what they do: NumPy in and out."""


class Lived(NamedTuple):
    """Episodes of a probe, time first."""

    obs: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray

    @property
    def returns(self) -> np.ndarray:
        return self.reward.sum((0, 2))


@functools.cache
def compiled(ability: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    task = Probe(name=ability)
    return jax.jit(jax.vmap(task.reset)), jax.jit(jax.vmap(task.step))


def lived(ability: str, choose: Choice) -> Lived:
    """Returns whole episodes of a team."""
    reset, step = compiled(ability)
    state, first = reset(jax.random.split(jax.random.key(0), EPISODES))
    obs, told = [np.asarray(first)], []
    seen = np.zeros_like(obs[0])
    for time in range(Probe(name=ability).time_limit):
        seen = np.maximum(seen, obs[-1])
        action = np.asarray(choose(obs[-1], seen), np.int32)
        keys = jax.random.split(jax.random.key(1 + time), EPISODES)
        state, answer = jax.device_get(step(keys, state, action))
        obs.append(answer.obs)
        told.append((answer.reward, answer.terminated, answer.truncated))
    return Lived(np.stack(obs), *map(np.stack, zip(*told, strict=True)))


def at_random(actions: int) -> Choice:
    rng = np.random.default_rng(0)
    return lambda obs, _: rng.integers(actions, size=obs.shape[:2])


def own_index(obs, _):
    return np.tile([0, 1], (len(obs), 1))


def what_is_seen(obs, _):
    return obs.argmax(-1)


def what_was_seen(_, seen):
    return seen.argmax(-1)


def cue_or_word(obs, _):
    return (obs[..., :2] + obs[..., 2:]).argmax(-1)


def always_the_same(obs, _):
    return np.zeros(obs.shape[:2])


def cue_alone(obs, _):
    return obs[..., :2].argmax(-1)


def another_index_at_first(obs, _):
    return np.where(obs[..., 0] == 0.0, 2, [0, 1])


BEST = {
    "bandit": own_index,
    "see": what_is_seen,
    "remember": what_was_seen,
    "delay": own_index,
    "coordinate": cue_or_word,
    "horizon": always_the_same,
}


@pytest.mark.parametrize("ability", PROBE_SPECS)
def test_the_best_return_is_reached(ability: str):
    best = Probe(name=ability).optimal_return
    np.testing.assert_allclose(lived(ability, BEST[ability]).returns, best, rtol=1e-6)


@pytest.mark.parametrize(
    ("ability", "expected"),
    [
        ("bandit", 1 / 3),
        ("see", 1 / 2),
        ("remember", 1 / 2),
        ("delay", 1 / 3),
        ("coordinate", 1 / 4),
        ("horizon", 10),
    ],
)
def test_chance_earns_what_the_table_says(ability: str, expected: float):
    returns = lived(ability, at_random(Probe(name=ability).num_actions)).returns
    error = returns.std() / np.sqrt(EPISODES)
    assert abs(returns.mean() - expected) <= 4 * error + 1e-5


@pytest.mark.parametrize(
    ("ability", "without"),
    [
        ("see", always_the_same),  # Blind.
        ("remember", what_is_seen),  # Forgetful.
        ("coordinate", cue_alone),  # Deaf.
    ],
)
def test_without_the_ability_half_is_lost(ability: str, without: Choice):
    returns = lived(ability, without).returns
    assert abs(returns.mean() - 0.5) <= 4 * returns.std() / np.sqrt(EPISODES)


def test_only_the_first_action_earns_and_only_at_the_end():
    wrong = lived("delay", another_index_at_first)
    assert not wrong.reward.any()
    right = lived("delay", own_index)
    assert not right.reward[:-1].any()
    assert (right.reward[-1] == 0.5).all()
    # What is seen behind the first action says what it will earn.
    assert (right.obs[1:, :, :, 1] == 1.0).all()
    assert not wrong.obs[:, :, :, 1].any()


@pytest.mark.parametrize("ability", PROBE_SPECS)
def test_all_but_the_horizon_end_for_good(ability: str):
    episodes = lived(ability, BEST[ability])
    last = np.arange(Probe(name=ability).time_limit) == len(episodes.reward) - 1
    cut = ability == "horizon"
    assert (episodes.truncated == (last & cut)[:, None]).all()
    assert (episodes.terminated == (last & (not cut))[:, None]).all()


def test_the_horizons_value_is_its_own_target():
    # 1 + γ + γ² + … = 1 / (1 − γ): what is cut off is worth as much as at the start.
    episodes = lived("horizon", always_the_same)
    reward = jnp.asarray(episodes.reward.sum(-1))
    value = jnp.full_like(reward, 1 / (1 - 0.9))
    ends = jnp.asarray(episodes.terminated), jnp.asarray(episodes.truncated)
    target = n_step_targets(reward, value, value, *ends, gamma=0.9, n=5)
    np.testing.assert_allclose(target, 10.0, rtol=1e-5)


QUICK = ActorCriticConfig(
    hidden=32,
    actor_lr=3e-3,
    critic_lr=3e-3,
    gamma=0.9,
    target_tau=0.1,
    normalize_rewards=False,
)


@pytest.mark.slow
@pytest.mark.parametrize("ability", PROBE_SPECS)
def test_maa2c_has_the_ability(ability: str, key: Key[Array, ""]):
    system = MAA2C(task=Probe(name=ability), actor_critic=QUICK)

    @jax.jit
    def learn(state: Any) -> Any:
        return jax.lax.scan(lambda s, _: (system.step(s)[0], None), state, length=400)[
            0
        ]

    state = learn(system.init(key))
    returns = system.evaluate(state, jax.random.key(1), 200)["eval/return_mean"]
    assert returns.mean() > 0.95 * Probe(name=ability).optimal_return
    if ability == "horizon":
        value = state.critic_state.critic(
            joint_state(jnp.ones((1, 2, 1))), agent_ids(2)
        )
        np.testing.assert_allclose(value, 1 / (1 - 0.9), rtol=0.03)


@pytest.mark.parametrize("ability", PROBE_SPECS)
def test_an_id_goes_there_and_back(ability: str):
    assert Probe.parse(f"probe-{ability}") == Probe(name=ability)
    assert Probe(name=ability).id == f"probe-{ability}"


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("probe-bandits", "unknown task 'probe-bandits'; did you mean 'probe-bandit'?"),
        ("probe-", "unknown task 'probe-'; "),
        ("probe-see?cues=2", "'cues=2' sets nothing; there is no task parameter"),
    ],
)
def test_what_is_wrong_with_an_id_is_said(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        Probe.parse(id)
