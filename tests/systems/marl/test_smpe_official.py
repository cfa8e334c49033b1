"""The released code's differences: what each switch does, and that all run."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.equations import novelty
from syntony.equations.running_stats import normalize, pearson_correlation
from syntony.networks.agents import apply_per_agent
from syntony.systems.marl.actor_critic import (
    ActorCriticConfig,
    critic_values,
    init_critic,
    joint_state,
    value_loss,
)
from syntony.systems.marl.smpe import ExplorationConfig
from syntony.systems.marl.smpe_beliefs import (
    BeliefConfig,
    encode,
    normalize_obs,
    teammate_prediction_error,
)
from syntony.systems.marl.smpe_official import (
    OfficialQuirks,
    SMPEOfficial,
    bootstrap_at_last_step,
    parameter_norm,
    unmask_padding,
)
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory

TASK = task("Foraging-5x5-3p-1f-coop?time_limit=6")
SWITCHES = tuple(field.name for field in dataclasses.fields(OfficialQuirks))


def smpe(*switches: str, **beliefs: Any) -> SMPEOfficial:
    config: dict[str, Any] = {
        "latent_dim": 4,
        "buffer_size": 8,
        "belief_minibatches": 1,
        "belief_minibatch_size": 8,
        "belief_update_interval": 1,
    }
    return SMPEOfficial(
        task=TASK,
        actor_critic=ActorCriticConfig(num_envs=4, hidden=8),
        beliefs=BeliefConfig(**config | beliefs),
        exploration=ExplorationConfig(hash_bits=6),
        quirks=OfficialQuirks(**dict.fromkeys(switches, True)),
    )


def episodes() -> Trajectory:
    """Three episodes of up to four steps: of one, ended early; two of four steps."""
    lengths = np.array([1, 4, 4])
    time = np.arange(4)[:, None]
    last = time == lengths - 1
    return Trajectory(
        state=(),
        obs=jnp.ones((5, 3, 2, 1)),
        global_state=jnp.zeros((5, 3, 0)),
        action_mask=jnp.ones((4, 3, 2, 2), bool),
        action=jnp.zeros((4, 3, 2), jnp.int32),
        log_prob=jnp.zeros((4, 3, 2)),
        reward=jnp.zeros((4, 3, 2)),
        terminated=jnp.array(last & [True, True, False]),
        truncated=jnp.array(last & [False, False, True]),
        valid=jnp.array(time < lengths),
        alive=jnp.repeat(jnp.array(time < lengths)[..., None], 2, axis=-1),
    )


def test_targets_bootstrap_where_the_released_code_does(key):
    """Against its loops over steps: V of padding where an episode ended just before."""
    config = ActorCriticConfig(hidden=8, gamma=0.9, n_step=2)
    key, obs_key, reward_key = jax.random.split(key, 3)
    critic_state = init_critic(config, task("probe-bandit"), 2, key)
    trajectory = episodes()._replace(obs=jax.random.normal(obs_key, (5, 3, 2, 1)))
    trajectory = bootstrap_at_last_step(trajectory)
    reward = jax.random.normal(reward_key, (4, 3, 2))
    state = joint_state(trajectory.obs)
    values_at = np.asarray(critic_values(config, critic_state.target_critic, state, 2))
    want = np.zeros((4, 3, 2))
    for e, length in enumerate([1, 4, 4]):
        mask = np.arange(4) < length
        for t in range(4):
            for ahead in range(3):
                now = t + ahead
                if now >= 4:
                    break
                if ahead == 2:
                    want[t, e] += 0.9**ahead * values_at[now, e] * mask[now]
                    continue
                want[t, e] += 0.9**ahead * np.asarray(reward)[now, e] * mask[now]
                if now == 3:
                    want[t, e] += 0.9 ** (ahead + 1) * values_at[4, e]
    _, advantage = value_loss(
        config,
        critic_state.critic,
        critic_state.target_critic,
        state,
        reward,
        trajectory,
    )
    got = np.asarray(advantage) + values_at[:-1]
    mask = np.asarray(trajectory.valid)
    np.testing.assert_allclose(got[mask], want[mask], rtol=1e-4, atol=1e-5)
    assert not trajectory.terminated.any()
    # After an end agents observe zeros.
    np.testing.assert_array_equal(trajectory.obs[2:, 0], 0.0)


@pytest.mark.slow
def test_padded_steps_are_counted():
    for switches, steps in (
        ([], 1 + 4 + 4),
        (["count_padded_steps"], 3 * TASK.time_limit),
    ):
        team = smpe(*switches)
        state = team.init(jax.random.key(0))
        trajectory = jax.jit(team.collect_episodes, static_argnums=2)(
            state, jax.random.key(1), 3
        )
        lengths = jnp.array([1, 4, 4])
        mask = jnp.arange(TASK.time_limit)[:, None] < lengths
        trajectory = trajectory._replace(
            valid=mask, alive=trajectory.alive & mask[..., None]
        )
        after, _ = jax.jit(team.update)(state, trajectory, jax.random.key(2))
        assert int(after.schedule_steps) == steps


def test_a_frozen_critics_target_network_is_the_standard_critic():
    state = smpe("frozen_filtered_critic").init(jax.random.key(0))
    trees = state.filtered_critic_state.target_critic, state.critic_state.critic
    for got, want in zip(*map(jax.tree.leaves, trees), strict=True):
        np.testing.assert_array_equal(got, want)


def changed(before: Any, after: Any) -> bool:
    pairs = zip(*map(jax.tree.leaves, (before, after)), strict=True)
    return not all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("shared", [False, True])
def test_filters_may_share_one_optimizer_state(shared: bool):
    team = smpe(*(["shared_filter_optimizer"] if shared else []))
    state = team.init(jax.random.key(0))
    trajectory = jax.jit(team.collect_episodes, static_argnums=2)(
        state, jax.random.key(1), 3
    )
    reward = jnp.ones_like(trajectory.reward)
    after, _ = jax.jit(team.update_policy)(state, trajectory, reward)
    old, new = state.beliefs, after.beliefs
    assert changed(old.filter_opt_state, new.filter_opt_state) == shared
    assert changed(old.filter_critic_opt_state, new.filter_critic_opt_state) != shared


def test_every_second_training_phase_trains_the_filters():
    team = smpe(belief_update_interval=100, filter_update_interval=2)
    state = team.init(jax.random.key(0))
    trajectory = jax.jit(team.collect_episodes, static_argnums=2)(
        state, jax.random.key(1), 3
    )
    update = jax.jit(team.smpe.update_beliefs)
    once = update(state, trajectory, jnp.array(100), jax.random.key(2))
    twice = update(once, trajectory, jnp.array(200), jax.random.key(2))
    assert changed(state.beliefs.encoder, once.beliefs.encoder)
    assert not changed(state.beliefs.filter, once.beliefs.filter)
    assert changed(once.beliefs.filter, twice.beliefs.filter)


def test_inputs_and_log_variances_may_be_unbounded(state, key):
    """As in the paper: rare observations are not clipped."""
    obs = 50.0 * jax.random.normal(key, (7, 3, TASK.obs_dim))
    free = dataclasses.replace(smpe().beliefs, obs_clip=0.0, soft_clip_log_var=False)
    moments = state.beliefs.shared_stats
    assert float(jnp.max(normalize_obs(smpe().beliefs, moments, obs))) == 5.0
    np.testing.assert_allclose(
        normalize_obs(free, moments, obs), normalize(moments, obs), rtol=1e-6
    )
    own = normalize(moments, obs)
    got = encode(free, state.beliefs, obs)
    want = apply_per_agent(state.beliefs.encoder, own)
    np.testing.assert_allclose(got[1], want[1], rtol=1e-5)


def test_padding_is_zeros_that_are_valid():
    got = unmask_padding(episodes())
    assert bool(jnp.all(got.valid))
    np.testing.assert_array_equal(got.obs[:, 0, 0, 0], [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(got.obs[:, 1, 0, 0], np.ones(5))


def test_the_sketch_by_hand():
    """Code 5 of 3 bits is + − +: 1 − 2 + 4 = 3; code 2 is −3, so p − 3."""
    starts = np.cumsum([0, 9931, 9953, 9959, 9961, 9979])
    got = novelty.count_min_sketch_cells(jnp.array([5, 2]), 3)
    np.testing.assert_array_equal(got[0], starts + 3)
    np.testing.assert_array_equal(
        got[1], starts + np.array(novelty.SKETCH_TABLE_SIZES) - 3
    )
    assert sum(novelty.SKETCH_TABLE_SIZES) == novelty.SKETCH_SIZE


def test_the_sketch_never_underestimates_a_count(key):
    codes = jax.random.randint(key, (50_000,), 0, 2**16)
    cells = novelty.count_min_sketch_cells(codes, 16)
    table = novelty.update_counts(
        jnp.zeros(novelty.SKETCH_SIZE, jnp.int32), cells, jnp.ones_like(cells, bool)
    )
    counts = np.asarray(jnp.min(table[cells], axis=-1))
    exact = np.bincount(codes, minlength=2**16)[np.asarray(codes)]
    assert (counts >= exact).all()
    assert (counts > exact).any()


def test_parameter_norm_by_hand():
    tree: Any = {
        "w": jnp.array([[3.0, 4.0], [0.0, 2.0]]),
        "b": jnp.array([[1.0], [5.0]]),
    }
    # Batch of 5 samples of 2 agents.
    got = parameter_norm(tree, jnp.zeros((5, 2, 3)), jnp.ones((5, 2), bool))
    assert float(got) == pytest.approx((5 + 2 + 1 + 5) / 10, rel=1e-5)


def test_correlation_is_numpys(key):
    x, noise = jax.random.normal(key, (2, 40, 3))
    mask = jnp.arange(40)[:, None] < 30
    got = pearson_correlation(x, x + noise, mask)
    want = np.corrcoef(x[:30].ravel(), (x + noise)[:30].ravel())[0, 1]
    assert float(got) == pytest.approx(want, abs=1e-5)
    assert float(pearson_correlation(x, jnp.ones_like(x), mask)) == pytest.approx(
        0, abs=1e-5
    )


@pytest.fixture(scope="module")
def state():
    return jax.jit(smpe().init)(jax.random.key(3))


def test_prediction_errors_are_about_the_agent_by_its_teammates(state, key):
    """Against loops over observers and their teammates, in index order."""
    obs = jax.random.normal(key, (7, 3, TASK.obs_dim))
    settings, beliefs = smpe().beliefs, state.beliefs
    got = teammate_prediction_error(settings, beliefs, obs, jnp.ones((7, 3), bool))
    mean, _ = encode(settings, beliefs, obs)
    scale = np.sqrt(np.asarray(beliefs.per_agent_stats.var)) + 1e-8
    norm = (np.asarray(obs) - np.asarray(beliefs.per_agent_stats.mean)) / scale
    want = alone = np.zeros((7, 3))
    for j in range(3):
        decoder = jax.tree.map(lambda x, j=j: x[j], beliefs.decoder)
        belief = np.asarray(decoder(mean[:, j])).reshape(7, 2, TASK.obs_dim)
        for k, i in enumerate(i for i in range(3) if i != j):
            want[:, i] += ((norm[:, i] - belief[:, k]) ** 2).sum(-1) / 2
            if j == 0:
                alone = want.copy()
    np.testing.assert_allclose(got, want, rtol=1e-4)
    # Of the first alone, where the others have finished.
    gone = jnp.zeros((7, 3), bool).at[:, 0].set(True)
    got = teammate_prediction_error(settings, beliefs, obs, gone)
    np.testing.assert_allclose(got[:, 1:], 2 * alone[:, 1:], rtol=1e-4)


@pytest.mark.slow
def test_all_switches_together_train_with_finite_numbers():
    team = smpe(*SWITCHES, min_filter_weight=0.3)
    assert team.quirks == OfficialQuirks(**dict.fromkeys(SWITCHES, True))
    state = jax.jit(team.init)(jax.random.key(0))
    after, metrics = jax.jit(team.step)(state)
    assert all(bool(jnp.isfinite(m)) for m in metrics.values())
    same = jax.tree.map(
        np.array_equal,
        state.filtered_critic_state.critic,
        after.filtered_critic_state.critic,
    )
    assert all(jax.tree.leaves(same))
    assert not np.array_equal(state.counts, after.counts)
