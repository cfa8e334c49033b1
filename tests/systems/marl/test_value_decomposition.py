"""QMIX and VDN: loss against NumPy, replay buffer, target networks, ε-greedy, masks."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.errors import InvalidInputError
from syntony.systems.marl.replay_buffer import (
    ReplayBuffer,
    add_episodes,
    init_buffer,
    sample_episodes,
)
from syntony.systems.marl.team_actors import unroll
from syntony.systems.marl.value_decomposition import (
    QMIX,
    VDN,
    EpisodeBatch,
    MixerConfig,
    QLearningConfig,
    ValueDecomposition,
    stored_episode,
    to_batch,
)
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory
from syntony.training.devices import fast_compile_options

TASK = task("probe-delay")
STEPS, ACTIONS = TASK.time_limit, TASK.num_actions


def small(algorithm: Any = QMIX, **constants: Any) -> ValueDecomposition:
    config: dict[str, Any] = {
        "num_envs": 4,
        "hidden": 8,
        "buffer_size": 8,
        "batch_size": 4,
        "epsilon_anneal_steps": 64,
    }
    settings: dict[str, Any] = {"q_learning": QLearningConfig(**config | constants)}
    if algorithm is QMIX:
        settings["mixer"] = MixerConfig(mixing_embed_dim=4, hypernet_embed_dim=4)
    return algorithm(task=TASK, **settings)


quick = partial(jax.jit, compiler_options=fast_compile_options())
init = quick(lambda system, key: system.init(key))
step = quick(lambda system, state: system.step(state))
gradient_step = quick(
    lambda system, learner, batch: system.gradient_step(learner, batch, VALID)
)
td_loss = quick(
    lambda system, networks, targets, batch: system.td_loss(
        networks, targets, batch, VALID
    )
)
LENGTHS = np.array([STEPS, 3, 5])
VALID = jnp.asarray(np.arange(STEPS)[:, None] < LENGTHS)
"""Three episodes: one truncated by time, one terminated early, one truncated early."""


def differs(a, b) -> bool:
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any(not np.array_equal(x, y) for x, y in leaves)


@pytest.fixture(scope="module")
def batch() -> EpisodeBatch:
    keys = jax.random.split(jax.random.key(1), 4)
    shape = (STEPS, 3)
    available = jax.random.bernoulli(keys[2], 0.6, (*shape, 2, ACTIONS))
    time = np.arange(STEPS)[:, None]
    return EpisodeBatch(
        obs=jax.random.normal(keys[0], (STEPS + 1, 3, 2, TASK.obs_dim)),
        global_state=None,
        action_mask=available.at[..., 0].set(True),
        action=jax.random.randint(keys[1], (*shape, 2), 0, ACTIONS),
        alive=jnp.ones((*shape, 2), bool),
        reward=jax.random.normal(keys[3], shape),
        terminated=jnp.asarray((time == LENGTHS - 1) & (np.arange(3) == 1)),
    )


# EPyMARL, commit cbc38c0, src/config/algs/{qmix,vdn}.yaml and default.yaml.
@pytest.mark.parametrize("algorithm", [QMIX, VDN])
def test_the_defaults_are_epymarls(algorithm):
    system = algorithm(task=TASK)
    assert not system.last_action
    if algorithm is QMIX:
        assert system.mixer == MixerConfig(mixing_embed_dim=32, hypernet_embed_dim=64)
    assert system.q_learning == QLearningConfig(
        hidden=64,
        shared_actor=True,
        gamma=0.99,
        learning_rate=5e-4,
        max_grad_norm=10.0,
        normalize_rewards=True,
        epsilon_start=1.0,
        epsilon_end=0.05,
        epsilon_anneal_steps=50_000,
        evaluation_epsilon=0.0,
        buffer_size=5_000,
        batch_size=32,
        target_update="hard",
        target_update_interval=200,
        # Ours: ten episodes at a time, with EPyMARL's one gradient step for each.
        num_envs=10,
        episodes_per_update=1,
    )


@pytest.mark.parametrize("kind", [QMIX, VDN])
def test_the_loss_equals_numpys(kind, batch):
    """y = r + γ Q'_tot(argmax of Q among available actions), r alone at a terminal."""
    system = small(kind, gamma=0.9)
    networks = init(system, jax.random.key(0)).learner.networks
    targets = init(system, jax.random.key(1)).learner.networks
    q_values, target_q_values = (
        np.asarray(unroll(agents, batch.obs, shared=True))
        for agents, _ in (networks, targets)
    )
    mask = np.asarray(batch.action_mask)
    mask = np.concatenate([mask[1:], mask[-1:]])
    best = np.where(mask, q_values[1:], -np.inf).argmax(-1)
    state = batch.obs.reshape(STEPS + 1, 3, -1)

    def total(mixer, q, action, joint):
        taken = np.take_along_axis(q, np.asarray(action)[..., None], -1)[..., 0]
        return np.asarray(mixer(jnp.asarray(taken), joint))

    following = total(targets[1], target_q_values[1:], best, state[1:])
    target = batch.reward + 0.9 * following * ~np.asarray(batch.terminated)
    error = target - total(networks[1], q_values[:-1], batch.action, state[:-1])
    want = (np.asarray(error) ** 2)[np.asarray(VALID)].mean()
    got = td_loss(system, networks, targets, batch)
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_padding_changes_nothing(batch):
    system = small()
    learner = init(system, jax.random.key(0)).learner
    after_end = ~np.asarray(VALID)
    seen = np.concatenate([np.zeros((1, 3), bool), after_end])
    loud = batch._replace(
        obs=jnp.where(seen[..., None, None], 1e3, batch.obs),
        reward=jnp.where(after_end, 1e3, batch.reward),
        action=jnp.where(after_end[..., None], 1, batch.action),
    )
    # A truncated episode bootstraps from its true last observation: it stays.
    ends = jnp.asarray([STEPS, 3, 5])
    last = batch.obs[ends, jnp.arange(3)]
    loud = loud._replace(obs=loud.obs.at[ends, jnp.arange(3)].set(last))
    quiet = gradient_step(system, learner, batch)
    assert not differs(quiet.networks, gradient_step(system, learner, loud).networks)
    assert differs(quiet.networks, learner.networks)


@pytest.mark.parametrize("kind", [QMIX, VDN])
def test_finished_agents_add_nothing(kind, batch):
    """Their actions change no loss; that they are alive does."""
    system = small(kind)
    start = system.init(jax.random.key(0)).learner
    gone = batch._replace(alive=batch.alive.at[2:, 0, 1].set(False))
    noisy = gone._replace(
        action=gone.action.at[2:, 0, 1].set(1 - gone.action[2:, 0, 1])
    )
    before, after, there = (
        td_loss(system, start.networks, start.target_networks, each)
        for each in (gone, noisy, batch)
    )
    np.testing.assert_allclose(before, after, rtol=1e-6)
    assert before != there


def test_agents_and_mixer_are_trained_and_target_networks_copied(batch):
    system = small(target_update_interval=2)
    learner = start = init(system, jax.random.key(0)).learner
    for num_updates in range(1, 5):
        before, learner = learner, gradient_step(system, learner, batch)
        for old, new in zip(before.networks, learner.networks, strict=True):
            assert differs(old, new)
        followed = learner.networks if num_updates % 2 == 0 else before.target_networks
        assert not differs(learner.target_networks, followed)
    assert differs(learner.target_networks, start.target_networks)


def test_target_networks_may_follow_softly(batch):
    system = small(target_update="soft", target_tau=0.25)
    start = init(system, jax.random.key(0)).learner
    learner = gradient_step(system, start, batch)
    pairs = (learner.target_networks, start.target_networks, learner.networks)
    for got, target, network in zip(*map(jax.tree.leaves, pairs), strict=True):
        np.testing.assert_allclose(got, 0.75 * target + 0.25 * network, rtol=1e-5)


def marked(episodes: int, mark: float) -> Trajectory:
    """Episodes of `mark` steps whose observations and rewards are the mark."""
    shape = (STEPS, episodes)
    return Trajectory(
        state=(),
        obs=jnp.full((STEPS + 1, episodes, 2, TASK.obs_dim), mark),
        global_state=jnp.zeros((STEPS + 1, episodes, 0)),
        action_mask=jnp.ones((*shape, 2, ACTIONS), bool),
        action=jnp.zeros((*shape, 2), jnp.int32),
        log_prob=jnp.zeros((*shape, 2)),
        reward=jnp.full((*shape, 2), mark),
        terminated=jnp.zeros(shape, bool),
        truncated=jnp.zeros(shape, bool),
        valid=jnp.broadcast_to(jnp.arange(STEPS)[:, None] < mark, shape),
        alive=jnp.ones((*shape, 2), bool),
    )


def empty_buffer(capacity: int, obs_dtype: Any) -> ReplayBuffer:
    return init_buffer(stored_episode(TASK, obs_dtype), capacity=capacity)


def add(buffer: ReplayBuffer, trajectory: Trajectory) -> ReplayBuffer:
    batch = to_batch(trajectory, trajectory.reward.sum(-1), "float32")
    return add_episodes(buffer, batch, trajectory.valid)


def test_the_oldest_episode_is_replaced_and_none_is_drawn_twice():
    buffer = empty_buffer(5, "float16")
    for mark in (1.0, 2.0, 3.0):
        buffer = add(buffer, marked(2, mark))
        drawn, valid = sample_episodes(buffer, jax.random.key(int(mark)), 2)
        # Reward of the team: both agents'.
        np.testing.assert_allclose(drawn.reward[0], 2 * drawn.obs[0, :, 0, 0])
        np.testing.assert_allclose(valid.sum(0), drawn.obs[0, :, 0, 0])
    # Six were added, five fit: one of the first two is gone.
    assert sorted(np.asarray(buffer.episodes.obs)[:, 0, 0, 0]) == [1, 2, 2, 3, 3]
    everything, _ = sample_episodes(buffer, jax.random.key(0), 5)
    assert sorted(np.asarray(everything.obs)[0, :, 0, 0]) == [1, 2, 2, 3, 3]
    assert everything.obs.dtype == jnp.float16
    assert int(buffer.num_episodes) == 5


def test_stored_episodes_are_drawn_uniformly():
    buffer = empty_buffer(6, "float32")
    for mark in (1.0, 2.0, 3.0, 4.0):
        buffer = add(buffer, marked(1, mark))
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = jax.vmap(lambda key: sample_episodes(buffer, key, 2)[0].obs[0, :, 0, 0])(
        keys
    )
    counts = np.bincount(np.asarray(drawn, int).ravel(), minlength=5)
    assert counts[0] == 0
    # Each of four is among two of them half of the time.
    assert np.all(np.abs(counts[1:] - 2000) <= 4 * np.sqrt(4000 * 0.25))


def test_training_starts_once_enough_episodes_are_stored():
    system = small(batch_size=6)
    state = init(system, jax.random.key(0))
    first, metrics = step(system, state)
    # 4 of 6 episodes are there; 32 of 64 steps of annealing are over.
    assert not differs(first.learner, state.learner)
    assert metrics["train/epsilon"] == 1.0
    np.testing.assert_allclose(first.epsilon, 1.0 - 0.95 * 0.5, rtol=1e-6)
    second, metrics = step(system, first)
    assert differs(second.learner.networks, first.learner.networks)
    assert int(second.learner.num_updates) == 4
    assert metrics["train/td_loss"] > 0.0
    np.testing.assert_allclose(second.epsilon, 0.05, rtol=1e-6)


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_actions_are_epsilon_greedy(epsilon):
    system = small(num_envs=64)
    state = init(system, jax.random.key(0))._replace(epsilon=jnp.float32(epsilon))
    episodes = quick(lambda state, key: system.collect_episodes(state, key, 64))(
        state, jax.random.key(1)
    )
    agents, _ = state.learner.networks
    best = unroll(agents, episodes.obs[:-1], shared=True).argmax(-1)
    share, n = float((best == episodes.action).mean()), best.size
    # Of three actions, a random one is the best one third of the time.
    want = 1.0 - epsilon * 2 / 3
    assert abs(share - want) <= 4 * np.sqrt(want * (1 - want) / n)


def test_evaluations_do_not_explore():
    """Untrained at ε = 1, the team always takes the same actions in the bandit."""
    small_system: Any = small()
    system = dataclasses.replace(small_system, task=task("probe-bandit"))
    state = init(system, jax.random.key(0))
    found = quick(lambda state, key: system.evaluate(state, key, 50))(
        state, jax.random.key(1)
    )
    assert float(state.epsilon) == 1.0
    assert np.ptp(found["eval/return_mean"]) == 0.0


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"buffer_size": 3}, "is 3; expected at least batch_size and num_envs, 4"),
        ({"episodes_per_update": 3}, "is 3; expected a divisor of num_envs"),
        ({"epsilon_end": 1.5}, "epsilon_end is 1.5; expected 0 to 1"),
        ({"obs_dtype": "float64"}, "unknown obs_dtype 'float64'"),
        ({"batch_size": 0}, "batch_size is 0; expected at least 1"),
    ],
)
def test_invalid_constants_are_refused_by_name(constants, message):
    with pytest.raises(InvalidInputError, match=message):
        small(**constants).check()
