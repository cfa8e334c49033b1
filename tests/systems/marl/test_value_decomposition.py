"""QMIX and VDN: the loss against NumPy, the replay, slow copies, exploration, masks."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.errors import InvalidInputError
from syntony.systems.marl.actor_critic import unroll
from syntony.systems.marl.qmix import QMIX
from syntony.systems.marl.replay_buffer import (
    EpisodeBatch,
    add_episodes,
    init_buffer,
    sample_episodes,
)
from syntony.systems.marl.value_decomposition import QLearningConfig, ValueDecomposition
from syntony.systems.marl.vdn import VDN
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory
from syntony.training.devices import fast_compile_options

TASK = task("probe-delay")
STEPS, ACTIONS = TASK.time_limit, TASK.num_actions


def small(
    kind: type[ValueDecomposition] = QMIX, **constants: Any
) -> ValueDecomposition:
    few: dict[str, Any] = {"environments": 4, "hidden": 8, "replay": 8, "batch": 4}
    few |= {"epsilon_anneal": 64, "mixer_width": 4, "hyper_width": 4}
    return kind(task=TASK, q_learning=QLearningConfig(**few | constants))


quick = partial(jax.jit, compiler_options=fast_compile_options())
init = quick(lambda system, key: system.init(key))
step = quick(lambda system, state: system.step(state))
descend = quick(lambda system, learner, batch: system.gradient_step(learner, batch))
loss = quick(lambda system, networks, slow, batch: system.loss(networks, slow, batch))


def differs(a, b) -> bool:
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any(not np.array_equal(x, y) for x, y in leaves)


@pytest.fixture(scope="module")
def batch() -> EpisodeBatch:
    """Three episodes: one cut by time, one that ended early, one cut early."""
    keys = jax.random.split(jax.random.key(1), 4)
    shape = (STEPS, 3)
    available = jax.random.bernoulli(keys[2], 0.6, (*shape, 2, ACTIONS))
    lengths, time = np.array([STEPS, 3, 5]), np.arange(STEPS)[:, None]
    return EpisodeBatch(
        obs=jax.random.normal(keys[0], (STEPS + 1, 3, 2, TASK.obs_dim)),
        action_mask=available.at[..., 0].set(True),
        action=jax.random.randint(keys[1], (*shape, 2), 0, ACTIONS),
        alive=jnp.ones((*shape, 2), bool),
        reward=jax.random.normal(keys[3], shape),
        terminated=jnp.asarray((time == lengths - 1) & (np.arange(3) == 1)),
        valid=jnp.asarray(time < lengths),
    )


# EPyMARL, commit cbc38c0, src/config/algs/{qmix,vdn}.yaml and default.yaml.
@pytest.mark.parametrize(("kind", "mixing"), [(QMIX, "monotonic"), (VDN, "sum")])
def test_the_defaults_are_epymarls(kind, mixing):
    found = kind(task=TASK)
    assert (found.mixing, found.last_action) == (mixing, False)
    assert found.q_learning == QLearningConfig(
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
        mixing_embed_dim=32,
        hypernet_embed_dim=64,
        # Ours: rounds of ten episodes, with EPyMARL's one descent an episode.
        num_envs=10,
        episodes_per_update=1,
    )


@pytest.mark.parametrize("kind", [QMIX, VDN])
def test_the_loss_as_numpy_has_it(kind, batch):
    """y = r + γ Q'_tot(argmax of Q among the available), nothing behind a terminal."""
    system = small(kind, gamma=0.9)
    networks = init(system, jax.random.key(0)).learner.networks
    slow = init(system, jax.random.key(1)).learner.networks
    worth, slow_worth = (
        np.asarray(unroll(agents, batch.obs, shared=True))
        for agents, _ in (networks, slow)
    )
    may = np.asarray(batch.available)
    may = np.concatenate([may[1:], may[-1:]])
    best = np.where(may, worth[1:], -np.inf).argmax(-1)
    state = batch.obs.reshape(STEPS + 1, 3, -1)

    def total(mixer, q, action, joint):
        taken = np.take_along_axis(q, np.asarray(action)[..., None], -1)[..., 0]
        return np.asarray(mixer(jnp.asarray(taken), joint))

    following = total(slow[1], slow_worth[1:], best, state[1:])
    target = batch.reward + 0.9 * following * ~np.asarray(batch.terminated)
    error = target - total(networks[1], worth[:-1], batch.action, state[:-1])
    want = (np.asarray(error) ** 2)[np.asarray(batch.valid)].mean()
    got = loss(system, networks, slow, batch)
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_what_lies_behind_an_end_changes_nothing(batch):
    system = small()
    learner = init(system, jax.random.key(0)).learner
    behind = ~np.asarray(batch.valid)
    seen = np.concatenate([np.zeros((1, 3), bool), behind])
    loud = batch._replace(
        obs=jnp.where(seen[..., None, None], 1e3, batch.obs),
        reward=jnp.where(behind, 1e3, batch.reward),
        action=jnp.where(behind[..., None], 1, batch.action),
    )
    # What a cut episode bootstraps from is its true last observation: it stays.
    ends = jnp.asarray([STEPS, 3, 5])
    last = batch.obs[ends, jnp.arange(3)]
    loud = loud._replace(obs=loud.obs.at[ends, jnp.arange(3)].set(last))
    quiet = descend(system, learner, batch)
    assert not differs(quiet.networks, descend(system, learner, loud).networks)
    assert differs(quiet.networks, learner.networks)


@pytest.mark.parametrize("kind", [QMIX, VDN])
def test_who_has_finished_adds_nothing(kind, batch):
    """What it might see or do changes no loss; that it still plays does."""
    system = small(kind)
    start = system.init(jax.random.key(0)).learner
    gone = batch._replace(alive=batch.alive.at[2:, 0, 1].set(False))
    noisy = gone._replace(
        action=gone.action.at[2:, 0, 1].set(1 - gone.action[2:, 0, 1])
    )
    before, after, there = (
        loss(system, start.networks, start.target_networks, each)
        for each in (gone, noisy, batch)
    )
    np.testing.assert_allclose(before, after, rtol=1e-6)
    assert before != there


def test_both_agents_and_mixer_learn_and_the_slow_copy_jumps(batch):
    system = small(slow_every=2)
    learner = start = init(system, jax.random.key(0)).learner
    for descents in range(1, 5):
        before, learner = learner, descend(system, learner, batch)
        for old, new in zip(before.networks, learner.networks, strict=True):
            assert differs(old, new)
        followed = learner.networks if descents % 2 == 0 else before.target_networks
        assert not differs(learner.target_networks, followed)
    assert differs(learner.target_networks, start.target_networks)


def test_the_slow_copy_may_follow(batch):
    system = small(slow="soft", polyak=0.25)
    start = init(system, jax.random.key(0)).learner
    learner = descend(system, start, batch)
    pairs = (learner.target_networks, start.target_networks, learner.networks)
    for got, slow, fast in zip(*map(jax.tree.leaves, pairs), strict=True):
        np.testing.assert_allclose(got, 0.75 * slow + 0.25 * fast, rtol=1e-5)


def lived(episodes: int, mark: float) -> Trajectory:
    """Returns episodes that say in their observations when they were lived."""
    shape = (STEPS, episodes)
    return Trajectory(
        state=(),
        obs=jnp.full((STEPS + 1, episodes, 2, TASK.obs_dim), mark),
        action_mask=jnp.ones((*shape, 2, ACTIONS), bool),
        action=jnp.zeros((*shape, 2), jnp.int32),
        log_prob=jnp.zeros((*shape, 2)),
        reward=jnp.full((*shape, 2), mark),
        terminated=jnp.zeros(shape, bool),
        truncated=jnp.zeros(shape, bool),
        valid=jnp.broadcast_to(jnp.arange(STEPS)[:, None] < mark, shape),
        alive=jnp.ones((*shape, 2), bool),
    )


def test_the_oldest_is_forgotten_and_nothing_is_drawn_twice():
    replay = init_buffer(TASK, 5, "float16")
    for mark in (1.0, 2.0, 3.0):
        replay = add_episodes(replay, lived(2, mark))
        drawn = sample_episodes(replay, jax.random.key(int(mark)), 2)
        # Reward of the team: both agents'.
        np.testing.assert_allclose(drawn.reward[0], 2 * drawn.obs[0, :, 0, 0])
        np.testing.assert_allclose(drawn.valid.sum(0), drawn.obs[0, :, 0, 0])
    # Six came, five fit: one of the first two is gone.
    assert sorted(np.asarray(replay.obs)[:, 0, 0, 0]) == [1, 2, 2, 3, 3]
    everything = sample_episodes(replay, jax.random.key(0), 5)
    assert sorted(np.asarray(everything.obs)[0, :, 0, 0]) == [1, 2, 2, 3, 3]
    assert everything.obs.dtype == jnp.float32
    assert int(replay.size) == 5


def test_every_remembered_episode_is_drawn_alike():
    replay = init_buffer(TASK, 6, "float32")
    for mark in (1.0, 2.0, 3.0, 4.0):
        replay = add_episodes(replay, lived(1, mark))
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = jax.vmap(lambda key: sample_episodes(replay, key, 2).obs[0, :, 0, 0])(keys)
    counts = np.bincount(np.asarray(drawn, int).ravel(), minlength=5)
    assert counts[0] == 0
    # Each of four is among two of them half of the time.
    assert np.all(np.abs(counts[1:] - 2000) <= 4 * np.sqrt(4000 * 0.25))


def test_it_lives_explores_less_and_learns_once_enough_is_remembered():
    system = small(batch=6)
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
def test_actions_are_the_best_but_for_epsilon(epsilon):
    system = small(environments=64)
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


def test_a_team_is_measured_without_exploration():
    """Untrained at ε = 1, the team still does one and the same thing in the bandit."""
    system = dataclasses.replace(small(), task=task("probe-bandit"))
    state = init(system, jax.random.key(0))
    found = quick(lambda state, key: system.evaluate(state, key, 50))(
        state, jax.random.key(1)
    )
    assert float(state.epsilon) == 1.0
    assert np.ptp(found["eval/return_mean"]) == 0.0


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"replay": 3}, "replay is 3; expected at least batch and environments, 4"),
        ({"episodes_per_descent": 3}, "is 3; expected a divisor of environments"),
        ({"epsilon_end": 1.5}, "epsilon_end is 1.5; expected 0 to 1"),
        ({"precision": "double"}, "unknown precision 'double'"),
        ({"batch": 0}, "batch is 0; expected at least 1"),
    ],
)
def test_nonsense_is_refused_by_name(constants, message):
    with pytest.raises(InvalidInputError, match=message):
        small(**constants).check()
