"""IA2C, IPPO, MAPPO: inputs of the critics, what is trained, epochs, own networks."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.errors import InvalidInputError
from syntony.systems.marl.actor_critic import (
    IA2C,
    MAA2C,
    ActorCritic,
    ActorCriticConfig,
    PPOConfig,
    critic_values,
    init_critic,
    run_update_epochs,
    update_target_critic,
    value_loss,
)
from syntony.systems.marl.ppo import MAPPO
from syntony.systems.registry import SYSTEMS
from syntony.tasks.last_action import LastAction
from syntony.tasks.probes.rules import ProbeState
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory
from syntony.training.devices import fast_compile_options

# Quick to compile; both agents observe something, and one of them more.
TASK = task("probe-delay")
ON_POLICY = ("maa2c", "mappo", "ia2c", "ippo")


def small(algorithm: Any = MAA2C, *, config=None, **settings) -> ActorCritic:
    constants = {"num_envs": 4, "hidden": 8} | (config or {})
    default = algorithm(task=TASK).actor_critic
    changed = dataclasses.replace(default, **constants)
    return algorithm(task=TASK, actor_critic=changed, **settings)


# What runs once is not worth optimizing; floats are traced, so programs are shared.
quick = partial(jax.jit, compiler_options=fast_compile_options())
step = quick(lambda system, state: system.step(state))
init = quick(lambda system, key: system.init(key))
collect = quick(lambda system, state, key: system.collect_episodes(state, key, 4))


@pytest.fixture(scope="module")
def episodes() -> Trajectory:
    """Some episodes; no test depends on the policy that acted in them."""
    system = small()
    return collect(system, init(system, jax.random.key(0)), jax.random.key(1))


def differs(a, b) -> bool:
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any(not np.array_equal(x, y) for x, y in leaves)


# EPyMARL, commit cbc38c0, src/config/algs/*.yaml and default.yaml.
PUBLISHED: dict[str, tuple[Any, ...]] = {
    "maa2c": (False, "joint", 5e-4, 0.01),
    "ia2c": (False, "local", 5e-4, 0.001),
    "mappo": (True, "joint", 3e-4, 0.001),
    "ippo": (True, "local", 3e-4, 0.001),
}


@pytest.mark.parametrize("name", ON_POLICY)
def test_each_algorithm_has_its_published_constants(name):
    is_ppo, critic_input, rate, entropy_coef = PUBLISHED[name]
    algorithm: Any = SYSTEMS[name]
    system: Any = algorithm(task=TASK)
    assert isinstance(system, ActorCritic)
    assert (system.critic_input, system.last_action) == (critic_input, False)
    assert system.ppo_config == (
        PPOConfig(ppo_epochs=4, clip_eps=0.2) if is_ppo else None
    )
    assert system.actor_critic == ActorCriticConfig(
        actor_lr=rate,
        critic_lr=rate,
        entropy_coef=entropy_coef,
        num_envs=10,
        hidden=128,
        gamma=0.99,
        n_step=5,
        max_grad_norm=10.0,
        target_tau=0.01,
        normalize_rewards=True,
    )


@pytest.mark.parametrize(("algorithm", "shared"), [(IA2C, True), (MAPPO, False)])
@pytest.mark.parametrize(
    ("rate", "trained"), [("actor_lr", (True, False)), ("critic_lr", (False, True))]
)
def test_each_learning_rate_trains_its_own_network(algorithm, shared, rate, trained):
    rates = {"actor_lr": 0.0, "critic_lr": 0.0} | {rate: 1e-3}
    own = {"shared_actor": shared, "shared_critic": shared}
    system = small(algorithm, config=rates | own)
    state = init(system, jax.random.key(0))
    after, _ = step(system, state)
    found = (
        differs(state.actor, after.actor),
        differs(state.critic_state.critic, after.critic_state.critic),
    )
    assert found == trained


@pytest.mark.parametrize(("kind", "blind"), [(IA2C, True), (MAA2C, False)])
def test_an_independent_critic_sees_no_observation_of_others(kind, blind, episodes):
    """Noise in the others' observations changes V_0 of MAA2C, and not of IA2C."""
    system = small(kind)
    state = init(system, jax.random.key(0))
    noise = 100.0 * jax.random.normal(jax.random.key(2), episodes.obs.shape)
    poisoned = episodes._replace(obs=episodes.obs + noise.at[:, :, 0].set(0.0))

    def advantage(episodes):
        critic_state, reward = state.critic_state, jnp.ones_like(episodes.reward)
        return value_loss(
            system.actor_critic,
            critic_state.critic,
            critic_state.target_critic,
            system.critic_inputs(episodes),
            reward,
            episodes,
        )[1]

    quiet, loud = advantage(episodes), advantage(poisoned)
    assert np.array_equal(quiet[..., 0], loud[..., 0]) == blind
    assert not np.array_equal(quiet[..., 1], loud[..., 1])


def test_separate_critics_value_alone(key):
    config = ActorCriticConfig(hidden=8, shared_critic=False)
    size = TASK.num_agents * TASK.obs_dim
    critic = init_critic(config, TASK, size, key).critic
    state = jax.random.normal(jax.random.key(1), (5, 2, TASK.num_agents, size))
    for inputs in (state, state[..., :1, :]):
        got = critic_values(config, critic, inputs, TASK.num_agents)
        for i in range(TASK.num_agents):
            alone = jax.tree.map(lambda x, i=i: x[i], critic)
            own = inputs[..., i if inputs is state else 0, :]
            want = alone(own, jnp.eye(TASK.num_agents)[i])
            np.testing.assert_allclose(got[..., i], want, rtol=1e-5, atol=1e-6)


def test_targets_do_not_change_over_the_epochs(episodes):
    """Three epochs are three updates on the same targets; then the target follows."""
    config = {"critic_lr": 1e-2, "target_tau": 0.5}
    thrice = small(MAPPO, config=config, ppo=PPOConfig(ppo_epochs=3))
    once = small(MAPPO, config=config, ppo=PPOConfig(ppo_epochs=1))
    state = init(thrice, jax.random.key(0))
    reward = jax.random.normal(jax.random.key(2), episodes.reward.shape)

    @quick
    def update(system, state):
        update_fn = partial(system.update_networks, trajectory=episodes, reward=reward)
        return run_update_epochs(system.ppo_config, update_fn, state)[0]

    got, want = update(thrice, state), state
    for _ in range(3):
        want = update(once, want)
    pairs = (got.actor, want.actor), (got.critic_state.critic, want.critic_state.critic)
    for a, b in zip(*map(jax.tree.leaves, zip(*pairs, strict=True)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert not differs(got.critic_state.target_critic, state.critic_state.target_critic)
    critic_state = update_target_critic(thrice.actor_critic, got.critic_state)
    got = got._replace(critic_state=critic_state)
    followed = jax.tree.map(
        lambda s, c: 0.5 * s + 0.5 * c,
        state.critic_state.target_critic,
        got.critic_state.critic,
    )
    for a, b in zip(
        *map(jax.tree.leaves, (got.critic_state.target_critic, followed)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_ppo_stays_near_the_policy_that_acted():
    """With ε = 0 no gain beyond ρ = 1 is rewarded: later epochs change little."""
    config = {"actor_lr": 1e-2, "critic_lr": 0.0, "entropy_coef": 0.0}

    def distance(clip_eps: float) -> float:
        ppo = PPOConfig(ppo_epochs=8, clip_eps=clip_eps)
        system = small(MAPPO, config=config, ppo=ppo)
        state = init(system, jax.random.key(0))
        after, _ = step(system, state)
        pairs = zip(*map(jax.tree.leaves, (state.actor, after.actor)), strict=True)
        return float(sum(jnp.sum((a - b) ** 2) for a, b in pairs))

    assert distance(0.0) < 0.8 * distance(10.0)


@pytest.mark.slow
def test_the_last_action_is_observed():
    system = small(IA2C, last_action=True)
    state = init(system, jax.random.key(0))
    episodes = collect(system, state, jax.random.key(1))
    shown = episodes.obs[..., TASK.obs_dim :]
    np.testing.assert_array_equal(shown[0], 0.0)
    np.testing.assert_array_equal(shown[1:], np.eye(3)[np.asarray(episodes.action)])
    # The trajectory has the task's own states.
    assert isinstance(episodes.state, ProbeState)
    after, _ = step(system, state)
    assert differs(after.actor, state.actor)


def test_a_task_with_the_last_action_is_the_task():
    shown = LastAction(task=TASK)
    assert (shown.id, shown.num_agents, shown.time_limit) == (TASK.id, 2, 8)
    state, obs = shown.reset(jax.random.key(0))
    inner, bare = TASK.reset(jax.random.key(0))
    action = jnp.array([0, 2])
    state, step = shown.step(jax.random.key(1), state, action)
    inner, plain = TASK.step(jax.random.key(1), inner, action)
    assert not differs(state.task_state, inner)
    np.testing.assert_array_equal(obs[:, :-3], bare)
    np.testing.assert_array_equal(step.obs, np.hstack([plain.obs, np.eye(3)[action]]))
    np.testing.assert_array_equal(shown.action_mask(state), TASK.action_mask(inner))


@pytest.mark.parametrize("algorithm", [MAA2C, MAPPO])
@pytest.mark.parametrize("choice", ["critic_input", "objective", "mixing"])
def test_what_defines_an_algorithm_is_no_setting_of_it(algorithm, choice):
    with pytest.raises(TypeError, match=choice):
        algorithm(task=TASK, **{choice: "local"})


def test_invalid_constants_are_refused_by_name():
    with pytest.raises(
        InvalidInputError, match=r"clip_eps is -1\.0; expected at least 0"
    ):
        small(MAPPO, ppo=PPOConfig(clip_eps=-1.0)).check()
    with pytest.raises(InvalidInputError, match="unknown optimizer 'adan'"):
        small(config={"optimizer": "adan"}).check()
