"""IA2C, IPPO, MAPPO: who sees what, what moves, epochs, weights of one's own."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.errors import InvalidInputError
from syntony.systems.marl.actor_critic import (
    ActorCriticConfig,
    critic_values,
    run_update_epochs,
    value_loss,
)
from syntony.systems.marl.ia2c import IA2C
from syntony.systems.marl.maa2c import MAA2C
from syntony.systems.marl.mappo import MAPPO
from syntony.systems.registry import SYSTEMS
from syntony.tasks.last_action import LastAction
from syntony.tasks.probes.rules import ProbeState
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory
from syntony.training.devices import fast_compile_options

# Small to compile; both agents see something, and one of them more.
TASK = task("probe-delay")
ON_POLICY = ("maa2c", "mappo", "ia2c", "ippo")


def small(kind: type[MAA2C] = MAA2C, *, backbone=None, **settings) -> MAA2C:
    constants = {"environments": 4, "hidden": 8} | (backbone or {})
    default = kind(task=TASK).actor_critic
    changed = dataclasses.replace(default, **constants)
    return kind(task=TASK, actor_critic=changed, **settings)


# What runs once is not worth optimising; floats are data, so programs are shared.
quick = partial(jax.jit, compiler_options=fast_compile_options())
step = quick(lambda system, state: system.step(state))
init = quick(lambda system, key: system.init(key))
live = quick(lambda system, state, key: system.collect_episodes(state, key, 4))


@pytest.fixture(scope="module")
def episodes() -> Trajectory:
    """Some episodes: what they look like does not depend on who learns from them."""
    system = small()
    return live(system, init(system, jax.random.key(0)), jax.random.key(1))


def differs(a, b) -> bool:
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any(not np.array_equal(x, y) for x, y in leaves)


# EPyMARL, commit cbc38c0, src/config/algs/*.yaml and default.yaml.
PUBLISHED: dict[str, tuple[Any, ...]] = {
    "maa2c": ("a2c", "joint", 5e-4, 0.01),
    "ia2c": ("a2c", "own", 5e-4, 0.001),
    "mappo": ("ppo", "joint", 3e-4, 0.001),
    "ippo": ("ppo", "own", 3e-4, 0.001),
}


@pytest.mark.parametrize("name", ON_POLICY)
def test_names_are_settings_of_one_record(name):
    objective, sees, rate, entropy_coef = PUBLISHED[name]
    kind = SYSTEMS[name]
    assert issubclass(kind, MAA2C)
    found = kind(task=TASK)
    assert (found.critic_input, found.last_action) == (sees, False)
    assert found.actor_critic == ActorCriticConfig(
        objective=objective,
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
        ppo_epochs=4,
        clip_eps=0.2,
    )


@pytest.mark.parametrize(("kind", "shared"), [(IA2C, True), (MAPPO, False)])
@pytest.mark.parametrize(
    ("rate", "moved"), [("actor_lr", (True, False)), ("critic_lr", (False, True))]
)
def test_each_rate_moves_its_own_network(kind, shared, rate, moved):
    rates = {"actor_lr": 0.0, "critic_lr": 0.0} | {rate: 1e-3}
    own = {"shared_actor": shared, "shared_critic": shared, "epochs": 2}
    system = small(kind, backbone=rates | own)
    state = init(system, jax.random.key(0))
    after, _ = step(system, state)
    found = (
        differs(state.actor, after.actor),
        differs(state.critic_state.critic, after.critic_state.critic),
    )
    assert found == moved


@pytest.mark.parametrize(("kind", "blind"), [(IA2C, True), (MAA2C, False)])
def test_an_independent_critic_sees_nothing_of_others(kind, blind, episodes):
    """Noise in the others' observations changes V_0 of MAA2C, and not of IA2C."""
    system = small(kind)
    state = init(system, jax.random.key(0))
    noise = 100.0 * jax.random.normal(jax.random.key(2), episodes.obs.shape)
    poisoned = episodes._replace(obs=episodes.obs + noise.at[:, :, 0].set(0.0))

    def advantage(episodes):
        judge, reward = state.critic_state, jnp.ones_like(episodes.reward)
        seen = system.select_critic_input(episodes)
        return value_loss(
            system.actor_critic,
            judge.critic,
            judge.target_critic,
            seen,
            reward,
            episodes,
        )[1]

    quiet, loud = advantage(episodes), advantage(poisoned)
    assert np.array_equal(quiet[..., 0], loud[..., 0]) == blind
    assert not np.array_equal(quiet[..., 1], loud[..., 1])


def test_critics_of_ones_own_judge_alone(key):
    backbone = ActorCriticConfig(hidden=8, shared_critic=False)
    critic = backbone.init_critic(TASK, key).critic
    size = TASK.num_agents * TASK.obs_dim
    state = jax.random.normal(jax.random.key(1), (5, 2, TASK.num_agents, size))
    for judged in (state, state[..., :1, :]):
        got = critic_values(backbone, critic, judged, TASK.num_agents)
        for i in range(TASK.num_agents):
            alone = jax.tree.map(lambda x, i=i: x[i], critic)
            own = judged[..., i if judged is state else 0, :]
            want = alone(own, jnp.eye(TASK.num_agents)[i])
            np.testing.assert_allclose(got[..., i], want, rtol=1e-5, atol=1e-6)


def test_targets_stand_still_over_the_epochs(episodes):
    """Three epochs are three lessons on the same targets; then the slow copy moves."""
    ppo = {"objective": "ppo", "critic_lr": 1e-2, "polyak": 0.5}
    thrice = small(backbone=ppo | {"epochs": 3})
    # A slow copy that never follows is what three single epochs would need.
    once = small(backbone=ppo | {"epochs": 1, "polyak": 0.0})
    state = init(thrice, jax.random.key(0))
    reward = jax.random.normal(jax.random.key(2), episodes.reward.shape)

    @quick
    def learn(system, state):
        lesson = partial(system.update_actor_critic, episodes=episodes, reward=reward)
        return run_update_epochs(system.actor_critic, lesson, state)[0]

    got, want = learn(thrice, state), state
    for _ in range(3):
        want = learn(once, want)
    pairs = (got.actor, want.actor), (got.critic_state.critic, want.critic_state.critic)
    for a, b in zip(*map(jax.tree.leaves, zip(*pairs, strict=True)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    followed = jax.tree.map(
        lambda s, c: 0.5 * s + 0.5 * c,
        state.critic_state.target_critic,
        got.critic_state.critic,
    )
    for a, b in zip(
        *map(jax.tree.leaves, (got.critic_state.target_critic, followed)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_ppo_is_held_by_the_policy_that_acted():
    """With ε = 0 every gain beyond ρ = 1 is cut off: later epochs go nowhere far."""
    backbone = {"actor_lr": 1e-2, "critic_lr": 0.0, "entropy_coef": 0.0, "epochs": 8}

    def distance(clip: float) -> float:
        system = small(MAPPO, backbone=backbone | {"clip": clip})
        state = init(system, jax.random.key(0))
        after, _ = step(system, state)
        pairs = zip(*map(jax.tree.leaves, (state.actor, after.actor)), strict=True)
        return float(sum(jnp.sum((a - b) ** 2) for a, b in pairs))

    assert distance(0.0) < 0.8 * distance(10.0)


@pytest.mark.slow
def test_the_last_action_is_seen():
    system = small(IA2C, last_action=True)
    state = init(system, jax.random.key(0))
    episodes = live(system, state, jax.random.key(1))
    said = episodes.obs[..., TASK.obs_dim :]
    np.testing.assert_array_equal(said[0], 0.0)
    np.testing.assert_array_equal(said[1:], np.eye(3)[np.asarray(episodes.action)])
    # The task's own states come back, for whoever draws them.
    assert isinstance(episodes.state, ProbeState)
    after, _ = step(system, state)
    assert differs(after.actor, state.actor)


def test_a_task_that_shows_the_last_action_is_the_task():
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


def test_nonsense_is_refused_by_name():
    with pytest.raises(InvalidInputError, match="critic_sees 'all'; valid: joint, own"):
        small(critic_sees="all").check()
