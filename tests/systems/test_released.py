"""The released code's ways: what each switch does, by hand, and that all run."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.equations import novelty
from syntony.equations.moments import correlation
from syntony.systems.actor_critic import Backbone
from syntony.systems.beliefs import Beliefs, errors_about, parameter_norms
from syntony.systems.released import Released, bootstrap_at_last_step, padded
from syntony.systems.smpe import Novelty, Smpe
from syntony.tasks.ids import task
from syntony.tasks.rollout import Trajectory

TASK = task("Foraging-5x5-3p-1f-coop?time_limit=6")
SWITCHES = (
    "frozen_filtered_critic",
    "last_step_bootstrap",
    "padding",
    "sketch",
    "beliefs_first",
)


def smpe(*switches: str, **beliefs: Any) -> Smpe:
    few: dict[str, Any] = {"latent": 4, "replay": 8, "minibatches": 1, "minibatch": 8}
    few |= {"burst_every": 1} | beliefs
    return Smpe(
        task=TASK,
        backbone=Backbone(environments=4, hidden=8),
        beliefs=Beliefs(**few),
        novelty=Novelty(bits=6),
        released=Released(**dict.fromkeys(switches, True)),
    )


def episodes() -> Trajectory:
    """Three episodes of up to four steps: of one, ended early; two of four steps."""
    lengths = np.array([1, 4, 4])
    time = np.arange(4)[:, None]
    last = time == lengths - 1
    return Trajectory(
        state=(),
        obs=jnp.ones((5, 3, 2, 1)),
        available=jnp.ones((4, 3, 2, 2), bool),
        action=jnp.zeros((4, 3, 2), jnp.int32),
        log_prob=jnp.zeros((4, 3, 2)),
        reward=jnp.zeros((4, 3, 2)),
        terminated=jnp.array(last & [True, True, False]),
        truncated=jnp.array(last & [False, False, True]),
        mask=jnp.array(time < lengths),
    )


def test_only_the_longest_episodes_bootstrap():
    got = bootstrap_at_last_step(episodes())
    np.testing.assert_array_equal(got.truncated[-1], [False, True, True])
    np.testing.assert_array_equal(got.terminated[0], [True, False, False])
    assert int(jnp.sum(got.truncated | got.terminated)) == 3


def test_padding_is_zeros_that_count():
    got = padded(episodes())
    assert bool(jnp.all(got.mask))
    np.testing.assert_array_equal(got.obs[:, 0, 0, 0], [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(got.obs[:, 1, 0, 0], np.ones(5))


def test_the_sketch_by_hand():
    """Code 5 of 3 bits is + − +: 1 − 2 + 4 = 3; code 2 is −3, so p − 3."""
    starts = np.cumsum([0, 9931, 9953, 9959, 9961, 9979])
    got = novelty.sketch(jnp.array([5, 2]), 3)
    np.testing.assert_array_equal(got[0], starts + 3)
    np.testing.assert_array_equal(got[1], starts + np.array(novelty.PRIMES) - 3)
    assert sum(novelty.PRIMES) == novelty.SKETCH


def test_the_sketch_never_counts_too_little(key):
    codes = jax.random.randint(key, (50_000,), 0, 2**16)
    cells = novelty.sketch(codes, 16)
    table = novelty.count(
        jnp.zeros(novelty.SKETCH, jnp.int32), cells, jnp.ones_like(cells, bool)
    )
    counts = np.asarray(jnp.min(table[cells], axis=-1))
    exact = np.bincount(codes, minlength=2**16)[np.asarray(codes)]
    assert (counts >= exact).all()
    assert (counts > exact).any()


def test_parameter_norms_by_hand():
    tree = {"w": jnp.array([[3.0, 4.0], [0.0, 2.0]]), "b": jnp.array([[1.0], [5.0]])}
    assert float(parameter_norms(tree)) == pytest.approx(5 + 2 + 1 + 5, rel=1e-5)


def test_correlation_is_numpys(key):
    x, noise = jax.random.normal(key, (2, 40, 3))
    mask = jnp.arange(40)[:, None] < 30
    got = correlation(x, x + noise, mask)
    want = np.corrcoef(x[:30].ravel(), (x + noise)[:30].ravel())[0, 1]
    assert float(got) == pytest.approx(want, abs=1e-5)
    assert float(correlation(x, jnp.ones_like(x), mask)) == pytest.approx(0, abs=1e-5)


@pytest.fixture(scope="module")
def state():
    return jax.jit(smpe().init)(jax.random.key(3))


def test_errors_are_about_the_agent_and_not_its_own(state, key):
    """By loops over judges and their teammates, in index order."""
    obs = jax.random.normal(key, (7, 3, TASK.obs_size))
    got = errors_about(state.beliefs, obs)
    beliefs = state.beliefs
    mean, _ = beliefs.encode(obs)
    scale = np.sqrt(np.asarray(beliefs.each.var)) + 1e-8
    norm = (np.asarray(obs) - np.asarray(beliefs.each.mean)) / scale
    want = np.zeros((7, 3))
    for j in range(3):
        decoder = jax.tree.map(lambda x, j=j: x[j], beliefs.decoder)
        belief = np.asarray(decoder(mean[:, j])).reshape(7, 2, TASK.obs_size)
        for k, i in enumerate(i for i in range(3) if i != j):
            want[:, i] += ((norm[:, i] - belief[:, k]) ** 2).sum(-1) / 2
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_all_switches_together_learn_finite_numbers():
    team = smpe(*SWITCHES, norm_of="parameters", filter_floor=0.3)
    assert team.released == Released(**dict.fromkeys(SWITCHES, True))
    state = jax.jit(team.init)(jax.random.key(0))
    after, metrics = jax.jit(team.step)(state)
    assert all(bool(jnp.isfinite(m)) for m in metrics.values())
    same = jax.tree.map(
        np.array_equal, state.filtered_judge.critic, after.filtered_judge.critic
    )
    assert all(jax.tree.leaves(same))
    assert not np.array_equal(state.counts, after.counts)
