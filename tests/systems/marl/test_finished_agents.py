"""Agents that finish before their team: what comes after trains nothing of theirs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.systems.marl.actor_critic import (
    MAA2C,
    ActorCriticConfig,
    policy_loss,
)
from syntony.systems.marl.smpe import SMPE, ExplorationConfig
from syntony.systems.marl.smpe_beliefs import BeliefConfig, belief_loss
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory

TASK = task("Foraging-5x5-3p-1f-coop?time_limit=6")
SMALL = ActorCriticConfig(num_envs=4, hidden=8)
FEW = BeliefConfig(
    latent_dim=4,
    buffer_size=8,
    belief_minibatches=1,
    belief_minibatch_size=8,
    belief_update_interval=1,
)
GONE = 2
"""The agent that finishes, after this many steps."""


def smpe(id: Any = TASK) -> SMPE:
    return SMPE(
        task=id,
        actor_critic=SMALL,
        beliefs=FEW,
        exploration=ExplorationConfig(hash_bits=6),
    )


@pytest.fixture(scope="module")
def state() -> Any:
    return jax.jit(smpe().init)(jax.random.key(3))


@pytest.fixture(scope="module")
def episodes(state) -> Trajectory:
    """Whole episodes in which the last agent sees and earns nothing after two steps."""
    team = smpe()
    trajectory = jax.jit(team.collect_episodes, static_argnums=2)(
        state, jax.random.key(1), 4
    )
    early = np.ones((6, 1, 3), bool)
    early[GONE:, :, 2] = False
    seen = np.concatenate([np.ones((1, 1, 3), bool), early])
    return trajectory._replace(
        alive=trajectory.alive & early,
        obs=jnp.where(seen[..., None], trajectory.obs, 0.0),
        reward=jnp.where(early, trajectory.reward, 0.0),
    )


def test_finished_agents_are_not_counted_and_get_no_bonus(state, episodes):
    team = smpe()
    counts, bonus = team.exploration_bonus(
        state, episodes, jax.random.key(0), lambda codes: codes[..., None]
    )
    added = np.asarray(jnp.sum(counts - state.counts, axis=-1))
    np.testing.assert_array_equal(added, np.asarray(episodes.alive).sum((0, 1)))
    assert added[2] == GONE * 4 < added[0]
    assert not np.asarray(bonus)[GONE:, :, 2].any()
    assert np.asarray(bonus)[:GONE].all()


def test_statistics_leave_finished_agents_out(state, episodes):
    team = smpe()
    after = team.update_beliefs(state, episodes, jnp.array(0), jax.random.key(0))
    alive = np.asarray(episodes.alive)
    obs = np.asarray(episodes.obs)[:-1]
    beliefs = after.beliefs
    np.testing.assert_allclose(
        beliefs.shared_stats.mean, obs[alive].mean(0), rtol=1e-4, atol=1e-5
    )
    for i in range(3):
        own = obs[:, :, i][alive[:, :, i]]
        np.testing.assert_allclose(
            beliefs.per_agent_stats.mean[i], own.mean(0), rtol=1e-4, atol=1e-5
        )
    np.testing.assert_allclose(
        beliefs.per_agent_stats.num_samples, alive.sum((0, 1)), rtol=1e-4, atol=1e-3
    )


def test_the_actor_loss_leaves_finished_agents_out(state, episodes):
    """What a finished agent might have done changes neither loss nor entropy."""
    features = smpe().actor_inputs(state, episodes.obs[:-1])
    advantage = jnp.ones_like(episodes.reward)
    absent = ~episodes.alive
    other = episodes._replace(
        action=jnp.where(absent, 5 - episodes.action, episodes.action),
        action_mask=episodes.action_mask | absent[..., None],
    )
    found = [
        policy_loss(
            SMALL, None, state.actor, features, advantage + 9.0 * gone, trajectory
        )
        for trajectory, gone in ((episodes, 0.0), (other, absent))
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


@pytest.mark.slow
def test_beliefs_train_on_samples_of_agents_that_are_alive(state, key):
    """Samples after its end do not train an agent's networks; they do train others'."""
    beliefs = state.beliefs
    own_key, others_key = jax.random.split(key)
    own = jax.random.normal(own_key, (8, 3, TASK.obs_dim))
    others = jax.random.normal(others_key, (8, 3, 2 * TASK.obs_dim))
    alive = jnp.ones((8, 3), bool).at[5:, 2].set(False)

    def gradient(own: Any, alive: Any, samples: slice = slice(None)) -> Any:
        drawn = own, others, jnp.ones_like(others), jnp.zeros((8, 3, 4)), alive
        drawn = [x[samples] for x in drawn]
        coders = beliefs.encoder, beliefs.decoder
        return jax.grad(lambda c: belief_loss(FEW, c, beliefs.filter, *drawn)[0])(
            coders
        )

    got = gradient(own, alive)
    elsewhere = gradient(own.at[5:, 2].add(3.0), alive)
    of_five = gradient(own, jnp.ones((8, 3), bool), slice(5))
    of_all = gradient(own, jnp.ones((8, 3), bool))
    for leaves in zip(
        *map(jax.tree.leaves, (got, elsewhere, of_five, of_all)), strict=True
    ):
        same, other, five, whole = map(np.asarray, leaves)
        np.testing.assert_allclose(same, other, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(same[2], five[2], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(same[:2], whole[:2], rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_an_environment_whose_agents_leave():
    """Of three agents two leave early: each counts just the steps it plays."""
    team = smpe(task("pettingzoo:external_envs"))
    state = team.init(jax.random.key(0))
    trajectory = team.collect_episodes(state, jax.random.key(1), 4)
    alive = np.asarray(trajectory.alive)
    short = alive[:, :, 1].sum(0)
    lives = np.argmax(np.asarray(trajectory.obs)[0, :, 1], -1) + 1
    np.testing.assert_array_equal(short, np.minimum(lives, alive.any(-1).sum(0)))
    assert (short < np.asarray(trajectory.valid).sum(0)).any()
    assert (alive <= np.asarray(trajectory.valid)[..., None]).all()
    after, _ = team.update(state, trajectory, jax.random.key(2))
    np.testing.assert_array_equal(jnp.sum(after.counts, axis=-1), alive.sum((0, 1)))


def test_the_critic_of_a_finished_agent_still_learns_the_teams_return(episodes):
    """The last actions of a finished agent have consequences for the team."""
    team = MAA2C(task=TASK, actor_critic=SMALL)
    state = team.init(jax.random.key(0))
    late = episodes._replace(reward=episodes.reward.at[GONE + 1 :, :, 0].add(1.0))
    weights = [
        jax.jit(team.update)(state, trajectory, jax.random.key(0))[
            0
        ].critic_state.critic
        for trajectory in (episodes, late)
    ]
    pairs = zip(*map(jax.tree.leaves, weights), strict=True)
    assert not all(np.array_equal(a, b) for a, b in pairs)
