"""PPO with GAE as Yu et al. (2022) have it: preset, targets, chunks, minibatches."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.equations.running_stats import init_value_stats, update_value_stats
from syntony.errors import InvalidInputError
from syntony.presets.registry import preset
from syntony.systems.marl.actor_critic import (
    ActorCriticConfig,
    critic_values,
    masked_mean,
)
from syntony.systems.marl.ppo import (
    IPPO,
    MAPPO,
    PPO,
    GAEConfig,
    PPOConfig,
    minibatch_rows,
    take_chunks,
)
from syntony.systems.marl.team_actors import unroll
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory
from syntony.training.devices import fast_compile_options

TASK = task("probe-delay")
STEPS = TASK.time_limit
quick = partial(jax.jit, compiler_options=fast_compile_options())
init = quick(lambda system, key: system.init(key))
step = quick(lambda system, state: system.step(state))
collect = quick(lambda system, state, key: system.collect_episodes(state, key, 4))
make_chunks = quick(
    lambda system, state, episodes: system.make_chunks(state, episodes, episodes.reward)
)


def small(kind: Any = MAPPO, *, gae: Any = None, **constants: Any) -> Any:
    config: dict[str, Any] = {
        "num_envs": 4,
        "hidden": 8,
        "normalize_rewards": False,
        "actor": "layernorm_gru",
        "critic": "layernorm_gru",
    }
    targets: dict[str, Any] = {"targets": "gae", "chunk_length": 2}
    return kind(
        task=TASK,
        actor_critic=ActorCriticConfig(**config | constants),
        ppo=PPOConfig(ppo_epochs=2),
        gae=GAEConfig(**targets | (gae or {})),
    )


@pytest.fixture(scope="module")
def system() -> PPO:
    return small()


@pytest.fixture(scope="module")
def state(system) -> Any:
    return init(system, jax.random.key(0))


@pytest.fixture(scope="module")
def episodes(system, state) -> Trajectory:
    """Four episodes with rewards at every step; one of them ends after three."""
    trajectory = collect(system, state, jax.random.key(1))
    time, early = np.arange(STEPS)[:, None], np.arange(4) == 1
    valid = (time < 3) | ~early
    ended = np.where(early, time == 2, time == STEPS - 1)
    return trajectory._replace(
        reward=jax.random.normal(jax.random.key(2), trajectory.reward.shape),
        terminated=jnp.asarray(ended & early),
        truncated=jnp.asarray(ended & ~early),
        valid=jnp.asarray(valid),
        alive=jnp.broadcast_to(valid[..., None], trajectory.alive.shape),
    )


# marlbenchmark/on-policy, commit de66d7a: config.py, train_mpe_spread.sh and _comm.sh.
@pytest.mark.parametrize("name", ["mappo", "ippo"])
def test_the_preset_has_the_published_constants(name):
    system: Any = preset(name, "yu2022", task("SimpleSpread-3"))
    assert type(system) is {"mappo": MAPPO, "ippo": IPPO}[name]
    network = "layernorm_tanh_gru"
    assert system.actor_critic == ActorCriticConfig(
        num_envs=128,
        hidden=64,
        actor=network,
        critic=network,
        gamma=0.99,
        entropy_coef=0.01,
        adam_eps=1e-5,
        actor_lr=7e-4,
        critic_lr=7e-4,
        max_grad_norm=10.0,
        normalize_rewards=False,
    )
    assert system.ppo == PPOConfig(ppo_epochs=10, clip_eps=0.2)
    assert system.gae == GAEConfig(
        targets="gae",
        gae_lambda=0.95,
        num_minibatches=1,
        chunk_length=10,
        normalize_advantages=True,
        normalize_values=True,
        value_decay=0.99999,
        clip_values=True,
        huber_delta=10.0,
    )
    speaker: Any = preset(name, "yu2022", task("SpeakerListener"))
    assert speaker.ppo.ppo_epochs == 15
    assert not speaker.actor_critic.shared_actor
    assert speaker.actor_critic.critic == "layernorm_gru"


def test_targets_are_lambda_returns_in_units_of_the_rewards(system, state, episodes):
    """Against a loop, with values of mean 3 and standard deviation 2."""
    state = state._replace(
        value_stats=update_value_stats(
            init_value_stats(), jnp.array([1.0, 5.0]), jnp.ones(2, bool), decay=0.9
        )
    )
    inputs = system.critic_inputs(episodes)
    config, critic = system.actor_critic, state.critic_state.critic
    values = 2.0 * np.asarray(critic_values(config, critic, inputs, 2)) + 3.0
    _, target = system.advantages_and_targets(
        state.value_stats, (jnp.asarray(values) - 3.0) / 2.0, episodes, episodes.reward
    )
    for e, length in enumerate(np.asarray(episodes.valid).sum(0)):
        following = np.zeros(2) if e == 1 else values[length, e]
        for t in reversed(range(length)):
            reward = np.asarray(episodes.reward[t, e])
            # The λ-return: G_t = r + γ ((1 − λ) V(s') + λ G_{t+1}).
            last = t == length - 1
            bootstrap = (
                following if last else 0.05 * values[t + 1, e] + 0.95 * following
            )
            following = reward + 0.99 * bootstrap
            np.testing.assert_allclose(target[t, e], following, rtol=1e-4, atol=1e-4)


def test_chunks_are_the_episodes(system, state, episodes):
    """From their stored hidden states, actors and critics give the same outputs."""
    chunks = make_chunks(system, state, episodes)
    num_chunks = -(-STEPS // 2)
    assert chunks.steps.valid.shape == (2, num_chunks * 4)
    config = system.actor_critic
    whole = np.asarray(unroll(state.actor, episodes.obs[:-1], shared=True))
    parts = unroll(state.actor, chunks.steps.obs, chunks.actor_hidden, shared=True)
    critic = state.critic_state.critic
    value = critic_values(
        config, critic, chunks.steps.critic_input, 2, chunks.critic_hidden
    )
    np.testing.assert_allclose(value, chunks.steps.value, rtol=1e-4, atol=1e-5)
    for c in range(num_chunks * 4):
        first, e = 2 * (c // 4), c % 4
        for t in range(2):
            is_step = first + t < STEPS and bool(episodes.valid[first + t, e])
            assert bool(chunks.steps.valid[t, c]) == is_step
            if is_step:
                want = whole[first + t, e]
                np.testing.assert_allclose(parts[t, c], want, rtol=1e-4, atol=1e-5)


def test_advantages_are_normalized_over_living_agents(system, state, episodes):
    steps = make_chunks(system, state, episodes).steps
    advantage = np.asarray(steps.advantage)[np.asarray(steps.alive)]
    np.testing.assert_allclose(advantage.mean(), 0.0, atol=1e-5)
    np.testing.assert_allclose(advantage.std(), 1.0, rtol=1e-3)


def test_minibatches_are_disjoint_parts_of_all_chunks(system, state, episodes):
    chunks = make_chunks(system, state, episodes)
    rows = np.asarray(minibatch_rows(jax.random.key(0), chunks, 3))
    total = chunks.steps.valid.shape[1]
    assert rows.shape == (3, total // 3)
    assert len(set(rows.ravel().tolist())) == rows.size
    part = take_chunks(chunks, jnp.asarray(rows[1]))
    np.testing.assert_array_equal(part.steps.target, chunks.steps.target[:, rows[1]])


@pytest.mark.parametrize(
    ("kind", "shared"),
    [(MAPPO, True), pytest.param(IPPO, False, marks=pytest.mark.slow)],
)
def test_all_forms_train(kind, shared):
    """Own and shared networks, minibatches; nothing is left as it was."""
    system = small(
        kind,
        gae={"num_minibatches": 2},
        shared_actor=shared,
        shared_critic=shared,
        critic="layernorm_tanh_gru" if shared else "mlp",
    )
    system.check()
    state = init(system, jax.random.key(0))
    after, metrics = step(system, state)
    assert all(np.isfinite(x) for x in metrics.values())
    pairs = (state.actor, after.actor), (state.critic_state, after.critic_state)
    for before, now in pairs:
        leaves = zip(jax.tree.leaves(before), jax.tree.leaves(now), strict=True)
        assert any(not np.array_equal(a, b) for a, b in leaves)
    assert after.value_stats is not None
    # One update of the statistics for each gradient step: 2 epochs of 2 minibatches.
    np.testing.assert_allclose(after.value_stats.debiasing, 4e-5, rtol=1e-2)


def test_padding_changes_no_gradient(system, state, episodes):
    chunks = make_chunks(system, state, episodes)
    valid = chunks.steps.valid[..., None]
    loud = chunks.steps._replace(
        target=jnp.where(valid, chunks.steps.target, 1e3),
        value=jnp.where(valid, chunks.steps.value, 1e3),
    )
    grad = jax.grad(system.value_loss)
    critic = state.critic_state.critic
    quiet = grad(critic, chunks, chunks.steps.target)
    noisy = grad(critic, chunks._replace(steps=loud), loud.target)
    for a, b in zip(jax.tree.leaves(quiet), jax.tree.leaves(noisy), strict=True):
        np.testing.assert_array_equal(a, b)
    assert float(masked_mean(jnp.ones((2, 4, 2)), jnp.zeros((2, 4, 1), bool))) == 0.0


@pytest.mark.parametrize(
    ("gae", "words"),
    [
        ({"targets": "n_step", "gae_lambda": 0.9}, "gae_lambda has no effect"),
        ({"targets": "n_step", "num_minibatches": 2}, "num_minibatches has no effect"),
        ({"num_minibatches": 100}, "number of chunks of 2 steps"),
        ({"targets": "td"}, "targets"),
        ({"gae_lambda": 1.1}, "gae_lambda is 1.1"),
    ],
)
def test_invalid_settings_are_refused_by_name(gae, words):
    default: dict[str, Any] = (
        {} if gae.get("targets") == "n_step" else {"chunk_length": 2}
    )
    system = dataclasses.replace(
        small(), gae=GAEConfig(**{"targets": "gae"} | default | gae)
    )
    with pytest.raises(InvalidInputError, match=words):
        system.check()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "probe"), [("mappo", "remember"), ("ippo", "delay")])
def test_the_preset_solves_the_probe(name, probe):
    """With 16 environments in place of 128, as its episodes are short."""
    system: Any = preset(name, "yu2022", task(f"probe-{probe}"))
    config = dataclasses.replace(system.actor_critic, num_envs=16, hidden=32)
    system = dataclasses.replace(system, actor_critic=config)

    def train() -> Any:
        state = system.init(jax.random.key(0))
        state, _ = jax.lax.scan(lambda s, _: system.step(s), state, length=200)
        return system.evaluate(state, jax.random.key(1), 100)

    scores = jax.jit(train, compiler_options=fast_compile_options())()
    returns = np.asarray(scores["eval/return_mean_greedy"])
    assert returns.mean() > 0.97 * system.task.optimal_return
