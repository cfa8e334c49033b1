"""Transmission between agents: power, links, and the scale of received blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.channels.awgn import AWGN
from syntony.channels.registry import channel
from syntony.equations.signal import mean_power
from syntony.errors import InvalidInputError
from syntony.systems.air.transmission import (
    init_channels,
    init_transmitters,
    noise_power_of,
    normalize_power,
    parse_graph,
    raw_symbols,
    scale_received,
    teammate_links,
    transmit_to_teammates,
    unit_level,
    update_mean_energy,
)
from syntony.systems.link.received_stats import ReceivedStats, update_received_stats

AGENTS, USES, OBS = 3, 2, 5


@pytest.fixture
def raw() -> jax.Array:
    keys = jax.random.split(jax.random.key(0))
    transmitters = init_transmitters(OBS, USES, 8, AGENTS, keys[0])
    return raw_symbols(transmitters, jax.random.normal(keys[1], (7, AGENTS, OBS)))


def test_every_block_has_the_energy_of_its_uses(raw: jax.Array):
    x = normalize_power("codeword", raw, jnp.ones(AGENTS))
    np.testing.assert_allclose(np.sum(np.square(x), axis=(-2, -1)), USES, rtol=1e-5)


def test_every_symbol_has_energy_one(raw: jax.Array):
    x = normalize_power("symbol", raw, jnp.ones(AGENTS))
    np.testing.assert_allclose(np.sum(np.square(x), axis=-1), 1.0, rtol=1e-5)


def test_the_mean_energy_of_each_agent_is_one(raw: jax.Array):
    energy = update_mean_energy(jnp.full(AGENTS, 9.0), raw, jnp.zeros(()))
    x = normalize_power("average", raw, energy)
    np.testing.assert_allclose(mean_power(x).mean(axis=0), 1.0, rtol=1e-5)
    # One block alone has the same symbols: nothing is a statistic of the batch.
    alone = normalize_power("average", raw[:1], energy)
    np.testing.assert_allclose(alone, x[:1], rtol=1e-6)


@pytest.mark.parametrize("constraint", ["codeword", "symbol", "average"])
def test_an_observation_of_zeros_has_symbols(constraint: str):
    transmitters = init_transmitters(OBS, USES, 8, AGENTS, jax.random.key(0))

    def energy(obs: jax.Array) -> jax.Array:
        raw = raw_symbols(transmitters, obs)
        return jnp.sum(normalize_power(constraint, raw, jnp.ones(AGENTS)) ** 2)

    value, grad = jax.value_and_grad(energy)(jnp.zeros((1, AGENTS, OBS)))
    assert np.isfinite(value)
    assert np.isfinite(grad).all()


def test_graphs():
    assert parse_graph("all", 3).tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    one_way = parse_graph("00/11", 2)
    assert one_way.tolist() == [[0, 0], [1, 0]]
    assert teammate_links(one_way).tolist() == [[0], [1]]
    assert teammate_links(parse_graph("011/001/110", 3)).tolist() == [
        [1, 1],
        [0, 1],
        [1, 1],
    ]


@pytest.mark.parametrize("graph", ["", "01", "01/1", "01/10/11", "ab/cd", "0/1"])
def test_other_graphs_are_refused(graph: str):
    with pytest.raises(InvalidInputError, match="expected all, or 2 rows of 2"):
        parse_graph(graph, 2)


def test_each_agent_receives_each_teammate():
    sent = jnp.arange(4 * AGENTS * USES * 2.0).reshape(4, AGENTS, USES, 2)
    silent = channel("awgn").with_snr(np.inf)
    _, y = transmit_to_teammates(silent, jax.random.key(0), (), sent)
    for agent, teammates in enumerate(([1, 2], [0, 2], [0, 1])):
        np.testing.assert_array_equal(y[:, agent], sent[:, teammates])


def test_every_link_has_its_own_noise_and_every_environment_its_own_fading():
    sent = jnp.ones((50, AGENTS, USES, 2))
    _, y = transmit_to_teammates(channel("awgn"), jax.random.key(0), (), sent)
    assert len(np.unique(y)) == y.size
    fading = channel("jakes?doppler=0.0001")
    states = init_channels(fading, jax.random.key(1), 50)
    after, y = transmit_to_teammates(fading, jax.random.key(0), states, sent)
    assert jax.tree.structure(after) == jax.tree.structure(states)
    # The slots of one environment share a gain that hardly moves.
    level = np.abs(np.asarray(y[..., 0, 0])).reshape(50, -1)
    assert level.std(axis=1).mean() < 0.7 * level.std()


def test_received_blocks_are_the_linear_estimate_of_what_was_sent():
    snr_db, stats = 3.0, ReceivedStats.init(USES)
    noise = noise_power_of(snr_db)
    key = jax.random.split(jax.random.key(0))
    sent = jax.random.normal(key[0], (40_000, 1, USES, 2)) / np.sqrt(2.0)
    y = AWGN(snr_db=snr_db)(key[1], sent[:, 0])[:, None]
    scaled = scale_received(stats, noise, y)
    np.testing.assert_allclose(scaled, y / (1.0 + 10 ** (-snr_db / 10)), rtol=1e-4)
    # No other factor has a smaller error.
    errors = [float(jnp.mean((sent - a * scaled) ** 2)) for a in (0.97, 1.0, 1.03)]
    assert np.argmin(errors) == 1


def test_received_blocks_vanish_with_the_signal():
    y = jax.random.normal(jax.random.key(0), (100, 1, USES, 2)) * 1e5
    scaled = scale_received(ReceivedStats.init(USES), noise_power_of(-100.0), y)
    assert np.abs(scaled).max() < 1e-4


def test_a_gain_of_the_channel_does_not_matter():
    key = jax.random.split(jax.random.key(0))
    y = jax.random.normal(key[0], (500, 1, USES, 2))
    noise = noise_power_of(0.0)

    def scaled(gain: float) -> jax.Array:
        level = unit_level(gain * y, noise)[:, 0]
        stats = update_received_stats(ReceivedStats.init(USES), level)
        return scale_received(stats, noise, gain * y)

    np.testing.assert_allclose(scaled(1e4), scaled(1.0), rtol=1e-3, atol=1e-4)
