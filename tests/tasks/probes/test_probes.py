"""Probes: documented returns, and returns of policies without the name."""

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
from syntony.systems.marl.actor_critic import MAA2C, ActorCriticConfig, joint_state
from syntony.tasks.probes.rules import PROBE_SPECS, Probe

EPISODES = 1000

ActFn = Callable[[Any, Any], Any]
"""From observations and their maximum over time to actions, in NumPy."""


class Episodes(NamedTuple):
    """Episodes of a probe, time first."""

    obs: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray

    @property
    def returns(self) -> np.ndarray:
        return self.reward.sum((0, 2))


@functools.cache
def compiled(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    task = Probe(name=name)
    return jax.jit(jax.vmap(task.reset)), jax.jit(jax.vmap(task.step))


def run(name: str, act_fn: ActFn) -> Episodes:
    """Whole episodes of a team."""
    reset, step = compiled(name)
    state, first = reset(jax.random.split(jax.random.key(0), EPISODES))
    obs, results = [np.asarray(first)], []
    max_obs = np.zeros_like(obs[0])
    for time in range(Probe(name=name).time_limit):
        max_obs = np.maximum(max_obs, obs[-1])
        action = np.asarray(act_fn(obs[-1], max_obs), np.int32)
        keys = jax.random.split(jax.random.key(1 + time), EPISODES)
        state, timestep = jax.device_get(step(keys, state, action))
        obs.append(timestep.obs)
        results.append((timestep.reward, timestep.terminated, timestep.truncated))
    return Episodes(np.stack(obs), *map(np.stack, zip(*results, strict=True)))


def random_actions(actions: int) -> ActFn:
    rng = np.random.default_rng(0)
    return lambda obs, _: rng.integers(actions, size=obs.shape[:2])


def own_index(obs, _):
    return np.tile([0, 1], (len(obs), 1))


def current_obs(obs, _):
    return obs.argmax(-1)


def past_obs(_, max_obs):
    return max_obs.argmax(-1)


def cue_or_signal(obs, _):
    return (obs[..., :2] + obs[..., 2:]).argmax(-1)


def constant_action(obs, _):
    return np.zeros(obs.shape[:2])


def cue_only(obs, _):
    return obs[..., :2].argmax(-1)


def wrong_first_action(obs, _):
    return np.where(obs[..., 0] == 0.0, 2, [0, 1])


OPTIMAL = {
    "bandit": own_index,
    "see": current_obs,
    "remember": past_obs,
    "delay": own_index,
    "coordinate": cue_or_signal,
    "horizon": constant_action,
}


@pytest.mark.parametrize("name", PROBE_SPECS)
def test_the_optimal_return_is_reached(name: str):
    optimal = Probe(name=name).optimal_return
    np.testing.assert_allclose(run(name, OPTIMAL[name]).returns, optimal, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bandit", 1 / 3),
        ("see", 1 / 2),
        ("remember", 1 / 2),
        ("delay", 1 / 3),
        ("coordinate", 1 / 4),
        ("horizon", 10),
    ],
)
def test_a_random_policy_has_the_documented_return(name: str, expected: float):
    returns = run(name, random_actions(Probe(name=name).num_actions)).returns
    error = returns.std() / np.sqrt(EPISODES)
    assert abs(returns.mean() - expected) <= 4 * error + 1e-5


@pytest.mark.parametrize(
    ("name", "act_fn"),
    [
        ("see", constant_action),
        ("remember", current_obs),
        ("coordinate", cue_only),
    ],
)
def test_half_of_the_return_without_the_ability(name: str, act_fn: ActFn):
    returns = run(name, act_fn).returns
    assert abs(returns.mean() - 0.5) <= 4 * returns.std() / np.sqrt(EPISODES)


def test_delay_rewards_the_first_action_at_the_end():
    wrong = run("delay", wrong_first_action)
    assert not wrong.reward.any()
    correct = run("delay", own_index)
    assert not correct.reward[:-1].any()
    assert (correct.reward[-1] == 0.5).all()
    # After the first action, the observation shows whether it will be rewarded.
    assert (correct.obs[1:, :, :, 1] == 1.0).all()
    assert not wrong.obs[:, :, :, 1].any()


@pytest.mark.parametrize("name", PROBE_SPECS)
def test_all_but_horizon_terminate(name: str):
    episodes = run(name, OPTIMAL[name])
    last = np.arange(Probe(name=name).time_limit) == len(episodes.reward) - 1
    truncates = name == "horizon"
    assert (episodes.truncated == (last & truncates)[:, None]).all()
    assert (episodes.terminated == (last & (not truncates))[:, None]).all()


def test_the_value_of_horizon_is_a_fixed_point():
    # 1 + γ + γ² + … = 1 / (1 − γ): bootstrapping at the limit gives the same value.
    episodes = run("horizon", constant_action)
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
@pytest.mark.parametrize("name", PROBE_SPECS)
def test_maa2c_solves_it(name: str, key: Key[Array, ""]):
    system = MAA2C(task=Probe(name=name), actor_critic=QUICK)

    @jax.jit
    def train(state: Any) -> Any:
        return jax.lax.scan(lambda s, _: (system.step(s)[0], None), state, length=400)[
            0
        ]

    state = train(system.init(key))
    returns = system.evaluate(state, jax.random.key(1), 200)["eval/return_mean"]
    assert returns.mean() > 0.95 * Probe(name=name).optimal_return
    if name == "horizon":
        value = state.critic_state.critic(
            joint_state(jnp.ones((1, 2, 1))), agent_ids(2)
        )
        np.testing.assert_allclose(value, 1 / (1 - 0.9), rtol=0.03)


@pytest.mark.parametrize("name", PROBE_SPECS)
def test_id_round_trip(name: str):
    assert Probe.parse(f"probe-{name}") == Probe(name=name)
    assert Probe(name=name).id == f"probe-{name}"


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("probe-bandits", "unknown task 'probe-bandits'; did you mean 'probe-bandit'?"),
        ("probe-", "unknown task 'probe-'; "),
        ("probe-see?cues=2", "'cues=2' sets nothing; there is no task parameter"),
    ],
)
def test_an_invalid_id_is_reported(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        Probe.parse(id)
