"""Actor-critic: targets at both kinds of end, PPO's loss, a task that it solves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.equations.score import actor_loss, clipped_actor_loss
from syntony.errors import InvalidInputError
from syntony.systems.marl.actor_critic import (
    MAA2C,
    ActorCriticConfig,
    PPOConfig,
    init_critic,
    joint_state,
    value_loss,
)
from syntony.systems.marl.ppo import MAPPO
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory

TASK = task("Foraging-5x5-2p-1f-coop?time_limit=6")
SMALL = ActorCriticConfig(num_envs=4, hidden=8)


def test_targets_bootstrap_at_truncation_and_not_at_termination(key):
    """With γ = ½, n = 1, V' = 4: r at a terminal state, r + 2 at a truncation."""
    critic = init_critic(SMALL, TASK, 2 * TASK.obs_dim, key).critic
    zero = jax.tree.map(jnp.zeros_like, critic)
    # Only the last bias is of length one: it is the value of every state.
    four = jax.tree.map(lambda x: x + 4.0 * (x.shape == (1,)), zero)
    obs = jnp.zeros((3, 2, 2, TASK.obs_dim))
    cut = jnp.array([[False, False], [True, False]])
    episodes = Trajectory(
        state=(),
        obs=obs,
        global_state=jnp.zeros((3, 2, 0)),
        action_mask=jnp.ones((2, 2, 2, 6), bool),
        action=jnp.zeros((2, 2, 2), jnp.int32),
        log_prob=jnp.zeros((2, 2, 2)),
        reward=jnp.ones((2, 2, 2)),
        terminated=cut,
        truncated=cut[:, ::-1],
        valid=jnp.ones((2, 2), bool),
        alive=jnp.ones((2, 2, 2), bool),
    )
    config = ActorCriticConfig(hidden=8, gamma=0.5, n_step=1)
    _, advantage = value_loss(
        config, zero, four, joint_state(obs), episodes.reward, episodes
    )
    np.testing.assert_allclose(advantage[1, 0], [1.0, 1.0])
    np.testing.assert_allclose(advantage[1, 1], [3.0, 3.0])


def test_clipped_loss_by_hand():
    # ρ = 1.5, ε = 0.2: an advantage of 2 gives 1.2·2, one of −2 gives 1.5·(−2).
    log_ratio = jnp.log(jnp.array([1.5, 1.5]))
    got = clipped_actor_loss(
        log_ratio,
        jnp.zeros(2),
        jnp.array([2.0, -2.0]),
        jnp.ones(2),
        clip_eps=0.2,
        entropy_coef=0.1,
    )
    np.testing.assert_allclose(got, [-2.4 - 0.1, 3.0 - 0.1], rtol=1e-6)


def test_the_clipped_gradient_equals_the_plain_one_at_ratio_1():
    log_prob, advantage = jnp.array([-0.3, -1.2]), jnp.array([0.7, -2.0])
    entropy = jnp.ones(2)
    plain = jax.grad(
        lambda x: jnp.sum(actor_loss(x, advantage, entropy, entropy_coef=0.1))
    )(log_prob)
    clipped = jax.grad(
        lambda x: jnp.sum(
            clipped_actor_loss(
                x, log_prob, advantage, entropy, clip_eps=0.2, entropy_coef=0.1
            )
        )
    )(log_prob)
    np.testing.assert_allclose(clipped, plain, rtol=1e-6)


@pytest.mark.slow
def test_one_epoch_of_ppo_is_a_step_of_a2c():
    a2c = MAA2C(task=TASK, actor_critic=SMALL)
    ppo = MAPPO(task=TASK, actor_critic=SMALL, ppo=PPOConfig(ppo_epochs=1))
    states = [jax.jit(s.init)(jax.random.key(0)) for s in (a2c, ppo)]
    after = [jax.jit(s.step)(x)[0] for s, x in zip((a2c, ppo), states, strict=True)]
    for a, b in zip(*(jax.tree.leaves(s.actor) for s in after), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("setting", "value", "word"),
    [("gamma", 1.5, "gamma"), ("hidden", 0, "hidden"), ("actor_lr", -1.0, "actor_lr")],
)
def test_invalid_settings_are_refused_by_name(setting, value, word):
    with pytest.raises(InvalidInputError, match=word):
        MAA2C(task=TASK, actor_critic=ActorCriticConfig(**{setting: value})).check()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [MAA2C, MAPPO])
def test_it_learns_cooperative_foraging(algorithm):
    system = algorithm(
        task=task("Foraging-5x5-2p-1f-coop?time_limit=25"),
        actor_critic=ActorCriticConfig(hidden=32, actor_lr=1e-3, critic_lr=1e-3),
    )
    state = jax.jit(system.init)(jax.random.key(0))

    @jax.jit
    def train(state):
        return jax.lax.scan(lambda s, _: system.step(s), state, length=800)

    state, metrics = train(state)
    returns = np.asarray(metrics["train/return_mean"])
    assert returns[:50].mean() < 0.5
    assert returns[-50:].mean() > 0.9
