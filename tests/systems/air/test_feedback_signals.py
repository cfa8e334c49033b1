"""Numbers that receivers feed back, beside loops in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from syntony.systems.air.feedback_signals import (
    MAX_RATIO,
    TakenActions,
    action_losses,
    belief_errors,
    sum_over_receivers,
)
from syntony.systems.air.transmission import parse_graph
from syntony.systems.marl.smpe_beliefs import (
    BeliefConfig,
    decode,
    filter_weights,
    init_beliefs,
    normalize_obs,
)
from syntony.tasks.registry import task

BATCH, AGENTS, ACTIONS = 6, 3, 4


def test_action_signal():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(BATCH, AGENTS, ACTIONS)).astype(np.float32) * 3
    mask = np.ones((BATCH, AGENTS, ACTIONS), bool)
    mask[..., 3] = False
    action = rng.integers(0, 3, (BATCH, AGENTS))
    old = np.log(rng.uniform(0.05, 1.0, (BATCH, AGENTS))).astype(np.float32)
    advantage = rng.normal(size=(BATCH, AGENTS)).astype(np.float32)
    taken = TakenActions(*map(jnp.asarray, (mask, action, old, advantage)), hidden=())
    expected = np.zeros((BATCH, AGENTS))
    for b in range(BATCH):
        for i in range(AGENTS):
            e = np.exp(logits[b, i, :3])
            ratio = e[action[b, i]] / e.sum() / np.exp(old[b, i])
            expected[b, i] = -min(ratio, MAX_RATIO) * advantage[b, i]
    actual = action_losses(jnp.asarray(logits), taken)
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_belief_signal():
    foraging = task("Foraging-2s-5x5-3p-1f-coop")
    config = BeliefConfig(latent_dim=4)
    keys = jax.random.split(jax.random.key(0))
    state = init_beliefs(config, foraging, keys[0])
    obs = jax.random.normal(keys[1], (BATCH, AGENTS, foraging.obs_dim))
    # Without a received signal the beliefs are those of SMPE².
    errors = belief_errors(config, state, obs, None)
    own = normalize_obs(config, state.shared_stats, obs)
    w = np.asarray(filter_weights(config, state.filter, own))
    target = np.asarray(filter_weights(config, state.target_filter, own))
    scale = 1.0 / np.sqrt(np.asarray(state.per_agent_stats.var))
    mean, predicted = np.asarray(state.per_agent_stats.mean), decode(config, state, obs)
    length = foraging.obs_dim
    for b in range(BATCH):
        for i in range(AGENTS):
            others = [j for j in range(AGENTS) if j != i]
            for k, j in enumerate(others):
                part = slice(k * length, (k + 1) * length)
                seen = np.clip((np.asarray(obs[b, j]) - mean[j]) * scale[j], -5, 5)
                guess = (
                    np.asarray(predicted.prediction[b, i, part]) - mean[j]
                ) * scale[j]
                error = target[b, i, part] * seen - w[b, i, part] * guess
                np.testing.assert_allclose(errors[b, i, k], (error**2).sum(), rtol=1e-2)


def test_a_sender_gets_the_sum_of_its_receivers():
    rng = np.random.default_rng(0)
    links = parse_graph("011/001/110", AGENTS)
    loss = rng.normal(size=(BATCH, AGENTS, AGENTS - 1)).astype(np.float32)
    alive = rng.uniform(size=(BATCH, AGENTS)) < 0.7
    expected = np.zeros((BATCH, AGENTS))
    for b in range(BATCH):
        for i in range(AGENTS):
            for k, j in enumerate([j for j in range(AGENTS) if j != i]):
                if links[i, j] and alive[b, i]:
                    expected[b, j] += loss[b, i, k]
    actual = sum_over_receivers(jnp.asarray(loss), jnp.asarray(alive), links)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    # The same number about every teammate.
    actual = sum_over_receivers(jnp.asarray(loss[..., 0]), jnp.asarray(alive), links)
    same = np.broadcast_to(loss[..., :1], loss.shape)
    repeated = sum_over_receivers(jnp.asarray(same), jnp.asarray(alive), links)
    np.testing.assert_allclose(actual, repeated, rtol=1e-6)
