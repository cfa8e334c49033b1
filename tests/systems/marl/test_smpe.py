"""SMPE²: which loss trains what, schedules, counts, masks, gradients of filters."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import syntony.systems.marl.smpe as module
from syntony.errors import InvalidInputError
from syntony.systems.marl.actor_critic import ActorCriticConfig, policy_loss
from syntony.systems.marl.replay_buffer import ReplayBuffer
from syntony.systems.marl.smpe import SMPE, ExplorationConfig, with_actions
from syntony.systems.marl.smpe_beliefs import (
    BeliefConfig,
    BeliefState,
    belief_loss,
    encode,
    filter_layer_sizes,
    train_beliefs,
)
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory

TASK = task("Foraging-5x5-3p-1f-coop?time_limit=6")
STILL = {"belief_lr": 0.0, "filter_lr": 0.0, "filter_critic_lr": 0.0}


def small(*, actor_critic=None, beliefs=None, exploration=None, **settings) -> SMPE:
    belief_config: dict[str, Any] = {
        "latent_dim": 4,
        "buffer_size": 8,
        "belief_minibatches": 1,
        "belief_minibatch_size": 8,
        "belief_update_interval": 1,
        "target_filter_interval": 10**6,
    }
    actor_critic_config: dict[str, Any] = {"num_envs": 4, "hidden": 8}
    exploration_config: dict[str, Any] = {"hash_bits": 6}
    return SMPE(
        task=TASK,
        actor_critic=ActorCriticConfig(**actor_critic_config | (actor_critic or {})),
        beliefs=BeliefConfig(**belief_config | (beliefs or {})),
        exploration=ExplorationConfig(**exploration_config | (exploration or {})),
        **settings,
    )


# Floats are traced: one compiled program serves all learning rates and weights.
compiled_step = jax.jit(lambda smpe, state: smpe.step(state))
init = jax.jit(lambda smpe, key: smpe.init(key))


def step(smpe: SMPE, state):
    """One training step from a state that several tests share."""
    return compiled_step(smpe, state._replace(key=jax.random.key(11)))


CRITICS = {"critic": "critic_state", "filtered_critic": "filtered_critic_state"}
NETWORKS = ("actor", *CRITICS, "encoder", "decoder", "filter")


def changed(smpe: SMPE, state) -> set[str]:
    """Names of the networks that one training step changed."""
    after, _ = step(smpe, state)

    def network(state, name):
        if name in ("encoder", "decoder", "filter"):
            return getattr(state.beliefs, name)
        if name in CRITICS:
            return getattr(state, CRITICS[name]).critic
        return state.actor

    return {
        name for name in NETWORKS if differs(network(state, name), network(after, name))
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
        ("critic_lr", {"critic", "filtered_critic"}),
        ("belief_lr", {"encoder", "decoder"}),
        ("filter_lr", {"filter"}),
        ("filter_critic_lr", {"filter"}),
    ],
)
def test_each_learning_rate_trains_its_own_networks_and_no_other(state, rate, networks):
    rates = dict.fromkeys(("actor_lr", "critic_lr"), 0.0)
    still = dict(STILL)
    (still if rate in still else rates)[rate] = 1e-3
    assert changed(small(actor_critic=rates, beliefs=still), state) == networks


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
    assert changed(small(actor_critic=rates, beliefs=beliefs), state) == networks


def test_the_actors_loss_does_not_reach_the_beliefs(state):
    smpe = small()
    episodes = collect(smpe, state)
    advantage = jnp.ones_like(episodes.reward)

    def loss(beliefs, actor):
        features = smpe.actor_inputs(state._replace(beliefs=beliefs), episodes.obs[:-1])
        return policy_loss(
            smpe.actor_critic, None, actor, features, advantage, episodes
        )[0]

    beliefs, actor = jax.grad(loss, argnums=(0, 1), allow_int=True)(
        state.beliefs, state.actor
    )
    assert largest(beliefs.encoder) == 0.0
    assert largest(actor) > 0.0


def largest(tree) -> float:
    return max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(tree))


def collect(smpe, state) -> Trajectory:
    return jax.jit(lambda s, k: smpe.collect_episodes(s, k, 4))(
        state, jax.random.key(8)
    )


def terminate(episodes: Trajectory, after: int, noise: float) -> Trajectory:
    """The same episodes, terminated after some steps, with noise after their end."""
    time = jnp.arange(episodes.valid.shape[0])
    after_end = time > after
    return episodes._replace(
        obs=episodes.obs.at[after + 2 :].add(noise),
        action=jnp.where(after_end[:, None, None], int(noise) % 6, episodes.action),
        reward=jnp.where(
            after_end[:, None, None], noise, jnp.ones_like(episodes.reward)
        ),
        terminated=jnp.broadcast_to((time == after)[:, None], episodes.valid.shape),
        truncated=jnp.zeros_like(episodes.truncated),
        valid=jnp.broadcast_to(~after_end[:, None], episodes.valid.shape),
        alive=episodes.alive & ~after_end[:, None, None],
    )


def test_masked_steps_change_nothing(state):
    smpe = small()

    @jax.jit
    def update(state, episodes):
        state, reward, bonus = smpe.augmented_reward(state, episodes, jax.random.key(1))
        state, losses = smpe.update_networks(state, episodes, reward)
        state = smpe.update_target_critics(state)
        schedule_steps = state.schedule_steps + episodes.num_steps
        beliefs = smpe.update_beliefs(
            state, episodes, schedule_steps, jax.random.key(2)
        ).beliefs
        buffer = beliefs.replay_buffer
        obs = jnp.where(stored(buffer), buffer.episodes.obs, 0.0)
        state = state._replace(beliefs=with_stored_obs(beliefs, obs))
        return state._replace(key=jax.random.key_data(state.key)), losses, bonus

    episodes = collect(smpe, state)
    quiet, loud = (
        update(state, terminate(episodes, 2, noise)) for noise in (0.0, 1001.0)
    )
    assert not differs(quiet, loud)
    assert differs(quiet, update(state, terminate(episodes, 3, 0.0)))


def stored(buffer: ReplayBuffer):
    """Whether an episode is stored that has this time step; broadcasts over obs."""
    time = jnp.arange(buffer.episodes.obs.shape[1])
    return (time < buffer.episode_lengths[:, None])[..., None, None]


def with_stored_obs(beliefs: BeliefState, obs) -> BeliefState:
    buffer = beliefs.replay_buffer
    buffer = dataclasses.replace(buffer, episodes=buffer.episodes._replace(obs=obs))
    return beliefs._replace(replay_buffer=buffer)


def test_counts_include_every_valid_step_once(state):
    """A step adds one code for each agent; padding adds none."""
    smpe = small()
    episodes = terminate(collect(smpe, state), 2, 0.0)
    after, _, _ = smpe.augmented_reward(state, episodes, jax.random.key(1))
    added = jnp.sum(after.counts - state.counts, axis=-1)
    np.testing.assert_array_equal(added, [4 * 3] * 3)
    np.testing.assert_array_equal(jnp.sum(state.counts, axis=-1), [state.env_steps] * 3)


def test_each_agent_gets_its_own_bonus(state):
    """The bonus is β / √n of the agent's own code, on top of the team's reward."""
    smpe = small(
        actor_critic={"normalize_rewards": False}, exploration={"hash_input": "mean"}
    )
    episodes = collect(smpe, state)
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


def test_the_filtered_critic_learns_and_its_target_network_follows(state):
    smpe = small(actor_critic={"critic_lr": 1e-2, "gamma": 0.9})
    episodes = collect(smpe, state)
    reward = jnp.ones_like(episodes.reward)

    @jax.jit
    def update(state):
        state, metrics = smpe.update_networks(state, episodes, reward)
        return smpe.update_target_critics(state), metrics

    first, metrics = update(state)
    tau = smpe.actor_critic.target_tau
    for name in CRITICS.values():
        old, new = getattr(state, name), getattr(first, name)
        for target, critic, got in zip(
            *map(jax.tree.leaves, (old.target_critic, new.critic, new.target_critic)),
            strict=True,
        ):
            want = (1 - tau) * np.asarray(target) + tau * np.asarray(critic)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)
    later, last = first, metrics
    for _ in range(60):
        later, last = update(later)
    for loss in ("train/critic_loss", "train/filtered_critic_loss"):
        assert last[loss] < 0.5 * metrics[loss]


def test_the_inputs_of_a_critic_of_actions_end_with_the_agents_own_action():
    inputs = jax.random.normal(jax.random.key(0), (3, 2, 2, 5))
    action = jnp.array([[[0, 2], [1, 1]], [[2, 2], [0, 1]]])
    out = np.asarray(with_actions(inputs, action, 3))
    np.testing.assert_array_equal(out[..., :5], inputs)
    np.testing.assert_array_equal(out[:2, ..., 5:], np.eye(3)[np.asarray(action)])
    assert not out[2, ..., 5:].any(), "no action follows the last step"


def test_a_critic_of_actions_explains_what_a_critic_of_states_cannot():
    """In the cue game every cue is worth the same, whatever a teammate observes.

    Of the variance 1/8 of the return with random actions, the agent's own correct name
    is one half: ¼ · ¼. An agent's action value explains this half.
    """

    def last_loss(values):
        smpe = SMPE(
            task=task("probe-cue?cues=2"),
            actor_critic=ActorCriticConfig(
                num_envs=400, hidden=32, critic_lr=1e-2, normalize_rewards=False
            ),
            beliefs=BeliefConfig(latent_dim=4),
            filtered_critic_values=values,
        )
        state = init(smpe, jax.random.key(0))
        episodes = jax.jit(lambda s, k: smpe.collect_episodes(s, k, 400))(
            state, jax.random.key(8)
        )
        reward = jnp.sum(episodes.reward, axis=-1, keepdims=True)
        reward = jnp.broadcast_to(reward, episodes.reward.shape)
        update = jax.jit(
            lambda state: smpe.update_filtered_critic(state, episodes, reward)
        )
        for _ in range(150):
            state, *_ = update(state)
        return float(update(state)[-1])

    assert last_loss("state") == pytest.approx(1 / 8, rel=0.15)
    assert last_loss("action") == pytest.approx(1 / 16, rel=0.15)


def test_a_critic_of_actions_gives_no_advantages():
    smpe = small(filtered_critic_values="action", standard_critic=False)
    with pytest.raises(InvalidInputError, match="expected 'state'"):
        smpe.check()


def test_the_filters_step_under_the_critic_scales_with_its_rate(state):
    def scale(rate):
        smpe = small(beliefs=STILL | {"filter_critic_lr": rate})
        after, _ = step(smpe, state)
        new, old = (jax.tree.leaves(s.beliefs.filter) for s in (after, state))
        return max(float(jnp.abs(a - b).max()) for a, b in zip(new, old, strict=True))

    assert scale(1e-2) == pytest.approx(10 * scale(1e-3), rel=1e-3)


def test_gradients_through_the_filter_are_finite_differences(state):
    """Both paths to φ^w: the filtered critic (γ = 0: a fixed target), and L_rec."""
    smpe = small(actor_critic={"gamma": 0.0})
    episodes = collect(smpe, state)
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
        scale = jax.tree.map(lambda g, norm=norm: 1e-2 * g / norm, grad)
        ahead = loss(jax.tree.map(jnp.add, filters, scale))
        back = loss(jax.tree.map(jnp.subtract, filters, scale))
        assert norm > 1e-4
        assert (ahead - back) / 2e-2 == pytest.approx(float(norm), rel=2e-2)


def test_training_phases_and_copies_are_scheduled_in_env_steps(state):
    """An iteration over several intervals has as many phases; the copy is hard."""
    smpe = small()
    episodes = collect(smpe, state)
    calls = []

    def count_call(config, beliefs, key, update_filters, filter_norm):
        del filter_norm
        assert update_filters
        calls.append((config, key))
        return beliefs

    def due(before: int, after: int, **intervals):
        smpe = small(beliefs=intervals)
        with pytest.MonkeyPatch.context() as patch, jax.disable_jit():
            patch.setattr(module, "train_beliefs", count_call)
            calls.clear()
            start = state._replace(schedule_steps=jnp.int32(before))
            beliefs = smpe.update_beliefs(
                start, episodes, jnp.int32(after), jax.random.key(0)
            ).beliefs
        return len(calls), not differs(beliefs.target_filter, beliefs.filter)

    assert due(0, 24, belief_update_interval=25, target_filter_interval=25) == (
        0,
        False,
    )
    assert due(24, 48, belief_update_interval=25, target_filter_interval=25) == (
        1,
        True,
    )
    assert due(48, 124, belief_update_interval=25, target_filter_interval=1000) == (
        3,
        False,
    )


def test_a_training_phase_reads_only_stored_steps(state):
    buffer = state.beliefs.replay_buffer
    poisoned = jnp.where(stored(buffer), buffer.episodes.obs, 1e9)
    beliefs = with_stored_obs(state.beliefs, poisoned)
    config = dataclasses.replace(small().beliefs, belief_minibatches=20)
    run = jax.jit(train_beliefs)
    a, b = (run(config, x, jax.random.key(0)) for x in (state.beliefs, beliefs))
    assert not differs(a.decoder, b.decoder)
    assert differs(a.decoder, state.beliefs.decoder)


def test_filter_layer_sizes():
    size = TASK.obs_dim
    assert filter_layer_sizes(small().beliefs, TASK) == (size, *[2 * size] * 3)
    narrow = small(beliefs={"filter_hidden": 5, "filter_layers": 2}).beliefs
    assert filter_layer_sizes(narrow, TASK) == (size, 5, 2 * size)


def test_rare_features_do_not_make_beliefs_diverge(state):
    def rare(stats, var=1e-12):
        return stats._replace(var=stats.var.at[..., 0].set(var))

    obs = state.beliefs.replay_buffer.episodes.obs.at[..., 0].add(1.0)
    beliefs = with_stored_obs(state.beliefs, obs)._replace(
        shared_stats=rare(state.beliefs.shared_stats),
        per_agent_stats=rare(state.beliefs.per_agent_stats),
    )
    config = dataclasses.replace(small().beliefs, belief_minibatches=20)
    after = jax.jit(train_beliefs)(config, beliefs, jax.random.key(0))
    opt_states = (after.vae_opt_state, after.filter_opt_state)
    arrays = jax.tree.leaves((after.encoder, opt_states))
    assert all(np.isfinite(x).all() for x in arrays)
    assert np.isfinite(after.losses).all()
    # Beyond five standard deviations observations are clipped: rarer makes no change.
    rarer = beliefs._replace(shared_stats=rare(beliefs.shared_stats, 1e-14))
    clipped, rarer_clipped = (encode(config, b, obs) for b in (beliefs, rarer))
    np.testing.assert_array_equal(clipped, rarer_clipped)


def test_ablations_do_not_train_their_networks():
    smpe = small(
        beliefs={"filters": False},
        exploration={"hash_input": "mean"},
        standard_critic=False,
    )
    start = init(smpe, jax.random.key(0))
    assert changed(smpe, start) == {"actor", "filtered_critic", "encoder", "decoder"}


@pytest.mark.slow
def test_without_bonus_and_filtered_critic_with_separate_actors():
    smpe = small(
        actor_critic={"shared_actor": False},
        exploration={"intrinsic_reward": False},
        filtered_critic=False,
    )
    start = init(smpe, jax.random.key(0))
    after, metrics = step(smpe, start)
    assert largest(after.counts) == 0
    assert "train/exploration_bonus" not in metrics
    assert changed(smpe, start) == {"actor", "critic", "encoder", "decoder", "filter"}


def test_hashes_of_observations():
    smpe = small(exploration={"hash_input": "observation"})
    start = init(smpe, jax.random.key(0))
    assert start.projection.shape == (3, TASK.obs_dim, 6)
    assert step(smpe, start)[1]["train/exploration_bonus"] > 0.0
