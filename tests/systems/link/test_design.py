"""Trials that choose an initial codebook and a receiver, and what they promise."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.channels.black_box import BlackBoxChannel
from syntony.channels.channel import output_uses
from syntony.equations.signal import complex_to_pairs
from syntony.systems.link import design
from syntony.systems.link.codes import classical_code
from syntony.systems.link.design import (
    AUTO,
    NETWORK,
    TRIED_RECEIVERS,
    Design,
    DesignTrial,
)
from syntony.systems.link.link import Link
from syntony.systems.link.received_stats import (
    ReceivedStats,
    normalize_received,
    update_received_stats,
    with_neighbors,
)
from syntony.systems.link.schedule import TrainingSchedule
from syntony.training.loop import train
from syntony.training.run import load

QUICK = TrainingSchedule(batch_size=64, receiver_warmup_iterations=1)
SIZES: Any = {"messages": 16, "uses": 2, "hidden": 32, "schedule": QUICK}


def one_bit(x):
    """One-bit converter without noise: its cells hold 16 codewords."""
    return np.sign(x.real) + 1j * np.sign(x.imag)


@pytest.mark.slow
def test_trials_find_the_code_of_a_one_bit_converter(monkeypatch):
    monkeypatch.setattr(design, "ROUNDS", ((30, 6), (30, 2), (20, 1)))
    monkeypatch.setattr(design, "IDLE_BATCHES", 40)
    link = Link(channel=BlackBoxChannel(function=one_bit), **SIZES)
    chosen, text = link.choose_settings(jax.random.key(0))
    code = classical_code(chosen.initial_codebook, 16, 2)
    assert len(np.unique(one_bit(code.codebook), axis=0)) == 16
    assert chosen.receiver in TRIED_RECEIVERS
    assert chosen.schedule.decay == "cosine"
    assert text.startswith(
        f"chosen by trials of 18 pairs: receiver {chosen.receiver}, "
    )
    assert not chosen.has_open_settings
    again, _ = link.choose_settings(jax.random.key(0))
    assert again == chosen


def test_a_channel_that_moves_is_found(monkeypatch):
    monkeypatch.setattr(design, "ROUNDS", ((60, 1),))
    phase = [0.0]

    def drift(x):
        phase[0] += 0.01
        return x * np.exp(1j * phase[0])

    settings: Any = SIZES | {"initial_codebook": "qpsk", "receiver": "quadratic"}
    moving = Link(channel=BlackBoxChannel(function=drift), **settings)
    chosen, text = moving.choose_settings(jax.random.key(0))
    assert chosen.schedule.decay == "constant"
    assert "the channel moves" in text


def test_only_open_settings_are_chosen():
    link = Link(**SIZES, receiver="mlp", initial_codebook=NETWORK)
    stored = {
        "receiver": "mixture",
        "initial_codebook": "qpsk",
        "schedule": {"decay": "constant", "batch_size": 3},
    }
    got = link.with_open_settings(stored)
    assert (got.receiver, got.initial_codebook) == ("mlp", NETWORK)
    assert got.schedule == dataclasses.replace(QUICK, decay="constant")
    got = Link(**SIZES).with_open_settings(stored)
    assert (got.receiver, got.initial_codebook) == ("mixture", "qpsk")
    assert Link(**SIZES).with_open_settings({}) == Link(**SIZES)


def test_a_channel_with_known_bounds_is_learned_from_a_new_network(monkeypatch):
    monkeypatch.setattr(design, "ROUNDS", ((2, 1),))
    chosen, _ = Link(**SIZES).choose_settings(jax.random.key(0))
    assert chosen.initial_codebook == NETWORK


def test_the_description_names_the_second_best():
    trials = [DesignTrial("qpsk", "mlp", 0.1), DesignTrial("pam4", "mixture", 0.25)]
    assert design.describe_design(Design(trials, channel_moves=False)) == (
        "chosen by trials of 2 pairs: receiver mlp, initial codebook qpsk (loss 0.1 "
        "nats; next mixture, pam4: 0.25, which counts 3 times)"
    )


@pytest.mark.slow
def test_choices_are_stored_and_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(design, "ROUNDS", ((2, 2), (2, 1)))
    monkeypatch.setattr(design, "IDLE_BATCHES", 20)
    generator = np.random.default_rng(0)
    noisy = BlackBoxChannel(function=lambda x: x + 0.1 * generator.normal(size=x.shape))
    link = Link(channel=noisy, **SIZES)
    options: Any = {"eval_every": 2, "eval_episodes": 20, "quiet": True}
    train(link, steps=2, out=tmp_path / "run", **options)
    stored: Any = load(tmp_path / "run", system=link).config.system
    assert AUTO not in (stored.receiver, stored.initial_codebook, stored.schedule.decay)
    monkeypatch.setattr(design, "run_trials", None)  # It would fail.
    train(link, steps=3, out=tmp_path / "run", **options)


@pytest.mark.parametrize("name", ["qpsk", "pam4", "pilot"])
def test_training_starts_from_the_codebook(name):
    link = Link(**SIZES, initial_codebook=name, receiver="mlp")
    link.check()
    want = complex_to_pairs(classical_code(name, 16, 2).codebook)
    state = link.init(jax.random.key(0))
    np.testing.assert_allclose(link.codewords(state), want, atol=1e-4)
    assert float(link.perturbation_variance(state)) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("name", "batch_size", "factor"),
    [("network", 48, 1.0), ("qpsk", 48, 0.2), ("qpsk", 480, 1.0), ("pam4", 24, 0.1)],
)
def test_a_code_is_learned_slowly_with_few_blocks_per_message(name, batch_size, factor):
    """The first step of Adam changes weights by the learning rate."""
    schedule = TrainingSchedule(batch_size=batch_size, decay="constant")
    settings = SIZES | {"schedule": schedule, "receiver": "mlp"}
    link = Link(**settings, initial_codebook=name)
    state = link.init(jax.random.key(0))
    grad = np.random.default_rng(0).normal(size=(16, 2, 2)).astype(np.float32)
    after = link.update_transmitter(state, jnp.array(grad))
    before: Any = state.transmitter
    moved: Any = after.transmitter
    change = jnp.abs(moved.out.bias - before.out.bias)
    assert float(change.max()) == pytest.approx(factor * 5e-4, rel=1e-2)


@pytest.mark.parametrize("gain", [1e-30, 1e-3, 1e4, 1e30])
def test_normalized_blocks_do_not_depend_on_the_gain(gain):
    y = np.random.default_rng(0).normal(size=(3, 400, 2, 2)).astype(np.float32) + 1
    stats = scaled = ReceivedStats.init(2)
    for batch in y:
        stats = update_received_stats(stats, jnp.array(batch))
        scaled = update_received_stats(scaled, jnp.float32(gain) * batch)
    want = normalize_received(stats, jnp.array(y[-1]))
    got = normalize_received(scaled, jnp.float32(gain) * y[-1])
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)
    blocks = y.reshape(-1, 2, 2)
    np.testing.assert_allclose(stats.mean, blocks.mean(0), atol=1e-5)
    power = ((blocks - blocks.mean(0)) ** 2).sum(-1).mean()
    assert float(stats.log_level) == pytest.approx(np.log(power) / 2, abs=5e-3)


@pytest.mark.parametrize("offset", [1.0, 1e2, 1e4])
def test_normalized_blocks_have_no_offset(offset):
    """But for the error of the mean of 1,200 blocks, and float32 at this offset."""
    y = np.random.default_rng(0).normal(size=(3, 400, 2, 2)).astype(np.float32)
    stats = ReceivedStats.init(2)
    for batch in y:
        stats = update_received_stats(stats, jnp.array(batch + offset))
    got = normalize_received(stats, jnp.array(y[-1] + offset))
    level = np.sqrt(np.mean(np.sum(y**2, axis=-1)))
    np.testing.assert_allclose(got, y[-1] / level, atol=0.05)


def test_one_outlier_does_not_move_the_statistics():
    y = jnp.array(np.random.default_rng(0).normal(size=(400, 2, 2)), jnp.float32)
    stats = update_received_stats(ReceivedStats.init(2), y)
    after = update_received_stats(stats, y.at[3, 1, 0].set(1e30))
    assert float(after.log_level) < 100.0
    np.testing.assert_array_equal(after.mean, stats.mean)


def test_blocks_without_a_mean_are_only_scaled():
    """A deep fade is smaller than what a mean differs from zero by chance."""
    rng = np.random.default_rng(0)
    stats = ReceivedStats.init(2)
    for batch in rng.normal(size=(300, 100, 2, 2)).astype(np.float32):
        stats = update_received_stats(stats, jnp.array(batch))
    assert np.abs(stats.mean).max() > 1e-3
    y = jnp.array(rng.normal(size=(50, 2, 2)) * 1e-6, jnp.float32)
    np.testing.assert_array_equal(
        normalize_received(stats, y), y * jnp.exp(-stats.log_level)
    )


def test_the_error_of_a_mean_is_that_of_its_batches():
    """Its variance over many runs, in units of r², is what the statistics say."""
    y = np.random.default_rng(0).normal(size=(150, 500, 16, 1, 2))
    start = jax.tree.map(lambda x: jnp.stack([x] * 500), ReceivedStats.init(1))
    update = jax.vmap(update_received_stats)
    stats, _ = jax.lax.scan(
        lambda stats, batch: (update(stats, batch), None), start, jnp.array(y, float)
    )
    mean = np.asarray(stats.mean[:, 0]) / np.exp(np.asarray(stats.log_level))[:, None]
    measured = np.mean(np.sum(mean**2, axis=-1))
    assert float(stats.mean_error[0]) == pytest.approx(measured, rel=0.15)


def test_neighbors_of_blocks_against_numpy():
    y = np.arange(20, dtype=np.float32).reshape(5, 2, 2)
    padded = np.concatenate([np.zeros((1, 2, 2)), y, np.zeros((1, 2, 2))])
    want = [np.concatenate(padded[i : i + 3]) for i in range(5)]
    np.testing.assert_array_equal(with_neighbors(jnp.array(y), 1), want)


@pytest.mark.slow
def test_what_a_block_leaves_behind_tells_nothing_of_the_next():
    """A channel that returns the previous block is one of 1 − 1/M."""
    last = [np.zeros((1, 2), np.complex64)]

    def late(x):
        y = np.concatenate([last[0], x[:-1]])
        last[0] = x[-1:]
        return y

    link = Link(
        channel=BlackBoxChannel(function=late),
        **SIZES,
        receiver="mlp",
        initial_codebook="qpsk",
    )
    state = link.init(jax.random.key(0))
    for _ in range(150):
        state, _ = link.step(state)
    bler = float(jnp.mean(link.evaluate(state, jax.random.key(1), 4000)["eval/bler"]))
    assert bler == pytest.approx(1 - 1 / 16, abs=4 * (1 / 16 / 4000) ** 0.5)
    assert output_uses(link.channel, 2) == 2
