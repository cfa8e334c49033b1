"""SMPE²: which loss moves what, schedules, counts, masks, gradients through filters."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import syntony.systems.marl.smpe as module
from syntony.systems.marl.actor_critic import ActorCriticConfig, policy_loss
from syntony.systems.marl.smpe import SMPE, ExplorationConfig
from syntony.systems.marl.smpe_beliefs import (
    BeliefConfig,
    belief_loss,
    encode,
    train_beliefs,
)
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory

TASK = task("Foraging-5x5-3p-1f-coop?time_limit=6")
STILL = {"belief_lr": 0.0, "filter_lr": 0.0, "filter_critic_lr": 0.0}


def small(*, backbone=None, beliefs=None, novelty=None, **settings) -> SMPE:
    few: dict[str, Any] = {"latent": 4, "replay": 8, "minibatches": 1, "minibatch": 8}
    few |= {"burst_every": 1, "slow_every": 10**6}
    narrow: dict[str, Any] = {"environments": 4, "hidden": 8}
    coarse: dict[str, Any] = {"bits": 6}
    return SMPE(
        task=TASK,
        actor_critic=ActorCriticConfig(**narrow | (backbone or {})),
        beliefs=BeliefConfig(**few | (beliefs or {})),
        exploration=ExplorationConfig(**coarse | (novelty or {})),
        **settings,
    )


# Floats are data: one program serves every choice of rates and weights.
compiled_step = jax.jit(lambda smpe, state: smpe.step(state))
init = jax.jit(lambda smpe, key: smpe.init(key))


def step(smpe: SMPE, state):
    """One step of learning from a state that several tests share."""
    return compiled_step(smpe, state._replace(key=jax.random.key(11)))


PARTS = ("actor", "judge", "filtered_judge", "encoder", "decoder", "filter")


def moved(smpe: SMPE, state) -> set[str]:
    """Names of the networks that one step of learning changed."""
    after, _ = step(smpe, state)

    def network(state, name):
        if name in ("encoder", "decoder", "filter"):
            return getattr(state.beliefs, name)
        part = getattr(state, name)
        return part.critic if "judge" in name else part

    return {
        name for name in PARTS if differs(network(state, name), network(after, name))
    }


def differs(a, b) -> bool:
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any(not np.array_equal(x, y) for x, y in leaves)


@pytest.fixture(scope="module")
def state():
    smpe = small()
    return step(smpe, init(smpe, jax.random.key(3)))[0]


@pytest.mark.parametrize(
    ("rate", "networks"),
    [
        ("actor_lr", {"actor"}),
        ("critic_lr", {"judge", "filtered_judge"}),
        ("belief_lr", {"encoder", "decoder"}),
        ("filter_lr", {"filter"}),
        ("filter_critic_lr", {"filter"}),
    ],
)
def test_each_optimiser_moves_its_own_networks_and_no_other(state, rate, networks):
    rates = dict.fromkeys(("actor_lr", "critic_lr"), 0.0)
    still = dict(STILL)
    (still if rate in still else rates)[rate] = 1e-3
    assert moved(small(backbone=rates, beliefs=still), state) == networks


@pytest.mark.parametrize(
    ("weight", "networks"),
    [
        ("lambda_rec", {"encoder", "decoder", "filter"}),
        ("lambda_kl", {"encoder"}),
        ("lambda_norm", {"filter"}),
    ],
)
def test_the_update_matrix_of_the_belief_losses(state, weight, networks):
    """L_rec moves ω, φ, φ^w; L_KL only ω; L_norm only φ^w."""
    weights = dict.fromkeys(("lambda_rec", "lambda_kl", "lambda_norm"), 0.0)
    beliefs = weights | {weight: 1.0, "filter_critic_lr": 0.0}
    rates = {"actor_lr": 0.0, "critic_lr": 0.0}
    assert moved(small(backbone=rates, beliefs=beliefs), state) == networks


def test_the_actors_loss_does_not_reach_the_beliefs(state):
    smpe = small()
    episodes = live(smpe, state)
    advantage = jnp.ones_like(episodes.reward)

    def loss(beliefs, actor):
        features = smpe.features(state._replace(beliefs=beliefs), episodes.obs[:-1])
        return policy_loss(smpe.actor_critic, actor, features, advantage, episodes)[0]

    beliefs, actor = jax.grad(loss, argnums=(0, 1), allow_int=True)(
        state.beliefs, state.actor
    )
    assert largest(beliefs.encoder) == 0.0
    assert largest(actor) > 0.0


def largest(tree) -> float:
    return max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(tree))


def live(smpe, state) -> Trajectory:
    return jax.jit(lambda s, k: smpe.collect_episodes(s, k, 4))(
        state, jax.random.key(8)
    )


def cut(episodes: Trajectory, after: int, noise: float) -> Trajectory:
    """The same episodes, terminated after some steps, with noise behind their end."""
    time = jnp.arange(episodes.valid.shape[0])
    behind = time > after
    return episodes._replace(
        obs=episodes.obs.at[after + 2 :].add(noise),
        action=jnp.where(behind[:, None, None], int(noise) % 6, episodes.action),
        reward=jnp.where(behind[:, None, None], noise, jnp.ones_like(episodes.reward)),
        terminated=jnp.broadcast_to((time == after)[:, None], episodes.valid.shape),
        truncated=jnp.zeros_like(episodes.truncated),
        valid=jnp.broadcast_to(~behind[:, None], episodes.valid.shape),
        alive=episodes.alive & ~behind[:, None, None],
    )


def test_masked_steps_change_nothing(state):
    smpe = small()

    @jax.jit
    def learn(state, episodes):
        state, reward, bonus = smpe.augmented_reward(state, episodes, jax.random.key(1))
        state, advantage, losses = smpe.update_critics(state, episodes, reward)
        features = smpe.features(state, episodes.obs[:-1])
        actor, memory, more = module.update_actor(
            smpe.actor_critic,
            state.actor,
            state.actor_opt_state,
            features,
            advantage,
            episodes,
        )
        beliefs = smpe.update_beliefs(
            state, episodes, state.schedule_steps + episodes.steps, jax.random.key(2)
        ).beliefs
        replay = beliefs.replay_buffer
        lived = jnp.arange(replay.obs.shape[1]) < replay.episode_lengths[:, None]
        known = jnp.where(lived[..., None, None], replay.obs, 0.0)
        beliefs = beliefs._replace(replay_buffer=replay._replace(obs=known))
        state = state._replace(actor=actor, actor_opt_state=memory, beliefs=beliefs)
        return state._replace(key=jax.random.key_data(state.key)), losses | more, bonus

    episodes = live(smpe, state)
    quiet, loud = (learn(state, cut(episodes, 2, noise)) for noise in (0.0, 1001.0))
    assert not differs(quiet, loud)
    assert differs(quiet, learn(state, cut(episodes, 3, 0.0)))


def test_counts_hold_every_lived_step_once(state):
    """H.2 (5): a step adds one code an agent; padding adds none."""
    smpe = small()
    episodes = cut(live(smpe, state), 2, 0.0)
    after, _, _ = smpe.augmented_reward(state, episodes, jax.random.key(1))
    added = jnp.sum(after.counts - state.counts, axis=-1)
    np.testing.assert_array_equal(added, [4 * 3] * 3)
    np.testing.assert_array_equal(jnp.sum(state.counts, axis=-1), [state.env_steps] * 3)


def test_every_agent_earns_its_own_bonus(state):
    """The bonus is β / √n of the agent's own code, on top of the team's reward."""
    smpe = small(backbone={"standardise_rewards": False}, novelty={"hashed": "mean"})
    episodes = live(smpe, state)
    after, reward, _ = smpe.augmented_reward(state, episodes, jax.random.key(1))
    mean, _ = encode(smpe.beliefs, state.beliefs, episodes.obs[:-1])
    team = np.asarray(episodes.reward).sum(-1)
    for i in range(3):
        bits = np.asarray(mean)[:, :, i] @ np.asarray(state.projection)[i] > 0
        codes = (bits * 2 ** np.arange(6)).sum(-1)
        table = np.asarray(state.counts)[i]
        table = table + np.bincount(codes[np.asarray(episodes.valid)], minlength=64)
        np.testing.assert_array_equal(after.counts[i], table)
        want = np.where(episodes.valid, team + 0.1 / np.sqrt(table[codes]), team)
        np.testing.assert_allclose(reward[..., i], want, rtol=1e-5)


def test_the_filtered_critic_learns_and_its_slow_copy_tracks_it(state):
    """H.2 (2)."""
    smpe = small(backbone={"critic_lr": 1e-2, "gamma": 0.9})
    episodes = live(smpe, state)
    reward = jnp.ones_like(episodes.reward)
    improve = jax.jit(lambda s: smpe.update_critics(s, episodes, reward))
    first, _, metrics = improve(state)
    tau = smpe.actor_critic.target_tau
    for judge in ("judge", "filtered_judge"):
        old, new = getattr(state, judge), getattr(first, judge)
        for slow, critic, got in zip(
            *map(jax.tree.leaves, (old.target_critic, new.critic, new.target_critic)),
            strict=True,
        ):
            want = (1 - tau) * np.asarray(slow) + tau * np.asarray(critic)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)
    later, last = first, metrics
    for _ in range(60):
        later, _, last = improve(later)
    for loss in ("train/critic_loss", "train/filtered_critic_loss"):
        assert last[loss] < 0.5 * metrics[loss]


def test_the_filters_step_under_the_critic_scales_with_its_rate(state):
    """H.2 (3)."""

    def stride(rate):
        smpe = small(beliefs=STILL | {"filter_critic_lr": rate})
        after, _ = step(smpe, state)
        new, old = (jax.tree.leaves(s.beliefs.filter) for s in (after, state))
        return max(float(jnp.abs(a - b).max()) for a, b in zip(new, old, strict=True))

    assert stride(1e-2) == pytest.approx(10 * stride(1e-3), rel=1e-3)


def test_gradients_through_the_filter_are_finite_differences(state):
    """Both paths to φ^w: the filtered critic (γ = 0: a fixed target), and L_rec."""
    smpe = small(backbone={"gamma": 0.0})
    episodes = live(smpe, state)
    reward = jax.random.normal(jax.random.key(4), episodes.reward.shape)
    own = jax.random.normal(jax.random.key(5), (16, 3, TASK.obs_dim))
    others = jax.random.normal(jax.random.key(6), (16, 3, 2 * TASK.obs_dim))
    noise = jax.random.normal(jax.random.key(7), (16, 3, 4))
    coders = (state.beliefs.encoder, state.beliefs.decoder)

    def by_critic(filters):
        critic = state.filtered_critic_state.critic
        return smpe.filtered_value_loss(critic, filters, state, episodes, reward)[0]

    def by_belief(filters):
        w_slow = jnp.full_like(others, 0.5)
        settings = smpe.beliefs
        drawn = own, others, w_slow, noise, jnp.ones((16, 3), bool)
        return belief_loss(settings, coders, filters, *drawn)[0]

    for loss in map(jax.jit, (by_critic, by_belief)):
        filters = state.beliefs.filter
        grad = jax.grad(loss)(filters)
        norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grad)))
        stride = jax.tree.map(lambda g, norm=norm: 1e-2 * g / norm, grad)
        ahead = loss(jax.tree.map(jnp.add, filters, stride))
        back = loss(jax.tree.map(jnp.subtract, filters, stride))
        assert norm > 1e-4
        assert (ahead - back) / 2e-2 == pytest.approx(float(norm), rel=2e-2)


def test_bursts_and_copies_keep_the_schedule_in_env_steps(state):
    """An iteration that spans several periods has as many bursts; the copy is hard."""
    smpe = small()
    episodes = live(smpe, state)
    calls = []

    def counting(settings, beliefs, key, filters_too):
        assert filters_too
        calls.append((settings, key))
        return beliefs

    def due(before: int, after: int, **periods):
        smpe = small(beliefs=periods)
        with pytest.MonkeyPatch.context() as patch, jax.disable_jit():
            patch.setattr(module, "burst", counting)
            calls.clear()
            start = state._replace(schedule_steps=jnp.int32(before))
            beliefs = smpe.update_beliefs(
                start, episodes, jnp.int32(after), jax.random.key(0)
            ).beliefs
        return len(calls), not differs(beliefs.target_filter, beliefs.filter)

    assert due(0, 24, burst_every=25, slow_every=25) == (0, False)
    assert due(24, 48, burst_every=25, slow_every=25) == (1, True)
    assert due(48, 124, burst_every=25, slow_every=1000) == (3, False)


def test_a_burst_reads_only_what_was_lived(state):
    replay = state.beliefs.replay_buffer
    poisoned = jnp.where(
        (jnp.arange(replay.obs.shape[1]) < replay.episode_lengths[:, None])[
            ..., None, None
        ],
        replay.obs,
        1e9,
    )
    beliefs = state.beliefs._replace(replay_buffer=replay._replace(obs=poisoned))
    settings = dataclasses.replace(small().beliefs, belief_minibatches=20)
    run = jax.jit(train_beliefs)
    a, b = (run(settings, x, jax.random.key(0)) for x in (state.beliefs, beliefs))
    assert not differs(a.decoder, b.decoder)
    assert differs(a.decoder, state.beliefs.decoder)


def test_filters_are_as_wide_as_they_are_told():
    size = TASK.obs_dim
    assert small().beliefs.filter_layer_sizes(TASK) == (size, *[2 * size] * 3)
    narrow = small(beliefs={"filter_hidden": 5, "filter_layers": 2}).beliefs
    assert narrow.filter_layer_sizes(TASK) == (size, 5, 2 * size)


def test_what_is_hardly_ever_there_does_not_blow_beliefs_up(state):
    def rare(moments, var=1e-12):
        return moments._replace(var=moments.var.at[..., 0].set(var))

    replay = state.beliefs.replay_buffer
    obs = replay.obs.at[..., 0].add(1.0)
    beliefs = state.beliefs._replace(
        shared_stats=rare(state.beliefs.shared_stats),
        per_agent_stats=rare(state.beliefs.per_agent_stats),
        replay_buffer=replay._replace(obs=obs),
    )
    settings = dataclasses.replace(small().beliefs, belief_minibatches=20)
    after = jax.jit(train_beliefs)(settings, beliefs, jax.random.key(0))
    memory = (after.vae_opt_state, after.filter_opt_state)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((after.encoder, memory)))
    assert np.isfinite(after.losses).all()
    # Five standard deviations are as rare as it gets.
    rarer = beliefs._replace(shared_stats=rare(beliefs.shared_stats, 1e-14))
    cut, rarely_cut = (encode(settings, each, obs) for each in (beliefs, rarer))
    np.testing.assert_array_equal(cut, rarely_cut)


def test_ablations_leave_their_networks_alone():
    smpe = small(
        beliefs={"filters": False}, novelty={"hashed": "mean"}, standard_critic=False
    )
    start = init(smpe, jax.random.key(0))
    assert moved(smpe, start) == {"actor", "filtered_judge", "encoder", "decoder"}


def test_without_bonus_and_filtered_critic_with_separate_actors():
    smpe = small(
        backbone={"shared_actor": False},
        novelty={"intrinsic": False},
        filtered_critic=False,
    )
    start = init(smpe, jax.random.key(0))
    after, metrics = step(smpe, start)
    assert largest(after.counts) == 0
    assert "train/bonus" not in metrics
    assert moved(smpe, start) == {"actor", "judge", "encoder", "decoder", "filter"}


def test_novelty_of_observations():
    smpe = small(novelty={"hashed": "observation"})
    start = init(smpe, jax.random.key(0))
    assert start.projection.shape == (3, TASK.obs_dim, 6)
    assert step(smpe, start)[1]["train/bonus"] > 0.0
