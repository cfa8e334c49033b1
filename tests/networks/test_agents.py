"""Networks of a team, stacked and one by one."""

import jax
import jax.numpy as jnp
import numpy as np

from syntony.networks.actors import GRUActor
from syntony.networks.agents import (
    Encoder,
    Filter,
    agent_ids,
    apply_per_agent,
    init_per_agent,
    other_agents_obs,
)


def test_apply_per_agent_against_single_networks(key):
    encoders = init_per_agent(lambda k: Encoder(4, 6, key=k), 3, jax.random.key(1))
    obs = jax.random.normal(key, (5, 2, 3, 4))
    mean, log_var = apply_per_agent(encoders, obs)
    for i in range(3):
        single = jax.tree.map(lambda p, i=i: p[i], encoders)
        want_mean, want_log_var = single(obs[:, :, i])
        np.testing.assert_allclose(mean[:, :, i], want_mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(log_var[:, :, i], want_log_var, rtol=1e-5, atol=1e-6)
    assert not np.allclose(
        mean[:, :, 0], apply_per_agent(encoders, obs[:, :, ::-1])[0][:, :, 0]
    )


def test_unrolled_actor_against_single_steps(key):
    actors = init_per_agent(lambda k: GRUActor(6, 8, 5, key=k), 2, jax.random.key(1))
    x, ids = jax.random.normal(key, (6, 3, 2, 4)), agent_ids(2)
    unrolled = jax.vmap(GRUActor.unroll, (0, -2, -2), -2)(actors, x, ids)
    h = jnp.zeros((3, 2, 8))
    for t in range(6):
        logits, h = apply_per_agent(actors, x[t], ids, h)
        np.testing.assert_allclose(unrolled[t], logits, rtol=1e-4, atol=1e-5)


def test_filter_weights_are_between_zero_and_one(key):
    obs = 100.0 * jax.random.normal(key, (50, 4))
    filters = Filter(4, 7, 7, 9, key=jax.random.key(1))
    shapes = [linear.weight.shape for linear in filters.mlp.layers]
    assert shapes == [(4, 7), (7, 7), (7, 9)]
    w = filters(obs)
    assert w.shape == (50, 9)
    assert np.all((w >= 0) & (w <= 1))


def test_other_agents_obs_in_index_order():
    obs = jnp.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    want = [[[3, 4, 5, 6], [1, 2, 5, 6], [1, 2, 3, 4]]]
    np.testing.assert_array_equal(other_agents_obs(obs), want)


def test_agent_ids_are_one_hot():
    np.testing.assert_array_equal(agent_ids(3), np.eye(3))
