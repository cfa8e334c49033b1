"""Channels with memory against NumPy, and in chains."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from syntony.channels.chain import ChainWithMemory, chain
from syntony.channels.channel import (
    AnyChannel,
    ChannelWithMemory,
    init_channel,
    output_uses,
    transmit,
)
from syntony.channels.drift import Drift
from syntony.channels.identified import NoiselessChannel
from syntony.channels.isi import ISI
from syntony.channels.jakes import PATHS, Jakes
from syntony.channels.registry import channel, parse_channel
from syntony.config import pytree_dataclass
from syntony.equations.signal import complex_to_pairs, pairs_to_complex
from syntony.errors import InvalidInputError

INF = float("inf")
jitted_transmit = jax.jit(transmit)
X = np.random.default_rng(0).normal(size=(2, 60, 4)) / 2**0.5
X = X[0] + 1j * X[1]


def send(
    channel: AnyChannel, *batches: np.ndarray, state: Any = None
) -> tuple[Any, NDArray[np.complex128]]:
    """State after batches, and the received blocks of all."""
    state = init_channel(channel, jax.random.key(0)) if state is None else state
    received = []
    for number, x in enumerate(batches):
        key = jax.random.key(number + 1)
        sent = jnp.asarray(complex_to_pairs(x.astype(complex)))
        state, y = jitted_transmit(channel, key, state, sent)
        received.append(pairs_to_complex(y).astype(complex))
    return state, np.concatenate(received)


def test_isi_filters_the_stream_of_all_blocks():
    taps = np.array([0.85, 0.45, 0.25])
    taps /= np.linalg.norm(taps)
    # Also batches of a single use, shorter than the memory.
    singles = list(X[20:25].reshape(-1, 1, 1))
    _, y = send(ISI(snr_db=INF), X[:7], X[7:20])
    want = np.convolve(X[:20].ravel(), taps)[: X[:20].size]
    np.testing.assert_allclose(y.ravel(), want, atol=1e-6)
    _, y = send(ISI(snr_db=INF), *singles)
    want = np.convolve(X[20:25].ravel(), taps)[:20]
    np.testing.assert_allclose(y.ravel(), want, atol=1e-6)


def test_taps_of_isi_are_scaled_unless_told_otherwise():
    assert np.linalg.norm(ISI(taps="3,-4").impulse_response) == pytest.approx(1.0)
    assert ISI(taps="3,-4", normalize=False).impulse_response == (3.0, -4.0)
    _, y = send(ISI(taps="2", normalize=False, snr_db=INF), X)
    np.testing.assert_allclose(y, 2 * X, atol=1e-6)


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("isi?taps=1,x", "taps is '1,x'; expected numbers joined by commas, e.g. isi?"),
        ("isi?taps=", "taps is ''; expected numbers joined by commas"),
        ("isi?taps=0,0", "taps is '0,0'; expected a number that is not 0"),
        ("isi?taps=" + "1," * 64 + "1", "taps has 65 numbers; expected 1 to 64"),
        ("jakes?doppler=0.6", "doppler is 0.6; expected 0.0 to 0.5"),
        ("drift?period=1", "period is 1.0; expected 2.0 to"),
    ],
)
def test_invalid_parameters(id: str, message: str):
    with pytest.raises(InvalidInputError) as error:
        parse_channel(id)
    assert str(error.value).startswith(message)


def test_the_noise_of_isi_is_white():
    _, noise = send(ISI(snr_db=12.0), np.zeros((20_000, 2)))
    std = np.sqrt(10**-1.2 / 2)
    assert stats.kstest(noise.real.ravel(), stats.norm(0, std).cdf).pvalue > 1e-3
    stream = noise.ravel()
    assert abs(np.mean(stream[1:] * stream[:-1].conj())) < 5 * 10**-1.2 / 40_000**0.5


def test_drift_turns_by_one_step_a_batch():
    _, y = send(Drift(snr_db=INF), X[:1], X[1:2], X[2:9])
    phase = 2 * np.pi / 4000 * np.array([1, 2] + 7 * [3])
    np.testing.assert_allclose(y, X[:9] * np.exp(1j * phase[:, None]), atol=1e-6)


def test_drift_is_exact_after_a_hundred_million_batches():
    """A float32 that counts batches stops at 2^24, one that counts turns at less."""
    drift = Drift(snr_db=INF)
    batches = 123_456_789
    step = round(2**32 / 4000)
    start = jnp.uint32(step * batches % 2**32)
    state, y = send(drift, X[:1], state=start)
    turns = (batches + 1) / 4000
    # The step is rounded to 2^−32 turns.
    within = 2 * np.pi * batches * 2.0**-33
    error = np.angle(y / (X[:1] * np.exp(2j * np.pi * turns)))
    assert np.max(np.abs(error)) < within
    assert int(state) == step * (batches + 1) % 2**32


@pytest.mark.parametrize("doppler", [0.001, 0.03, 0.5])
def test_the_autocorrelation_of_jakes_fading_is_a_bessel_function(doppler: float):
    """Over time, in one realization, from batch to batch."""
    ones = np.ones((2500, 4))
    _, gain = send(Jakes(doppler=doppler, snr_db=INF), ones, ones, ones, ones)
    gain, lags = gain.ravel(), np.array([0, 1, 2, 5, 13, 40])
    lags = lags[2 * np.pi * doppler * lags < 0.75 * PATHS]
    measured = [np.mean(gain[lag:] * gain[: len(gain) - lag].conj()) for lag in lags]
    want = special.j0(2 * np.pi * doppler * lags)
    # Few cycles of fading have passed where it is slow.
    np.testing.assert_allclose(measured, want, atol=0.35 if doppler < 0.01 else 0.05)


def test_jakes_fading_over_realizations():
    """Mean power, fourth moment, and the autocorrelation from the last use on."""
    doppler, count = 0.05, 4000
    jakes = Jakes(doppler=doppler, snr_db=INF)
    ones = jnp.asarray(complex_to_pairs(np.ones((2, 3), complex)))

    def realization(key: jax.Array) -> jax.Array:
        init_key, first, second = jax.random.split(key, 3)
        state, before = jakes(first, jakes.init(init_key), ones)
        _, after = jakes(second, state, ones)
        return jnp.concatenate([before, after]).reshape(12, 2)

    keys = jax.random.split(jax.random.key(0), count)
    pairs = np.asarray(jax.jit(jax.vmap(realization))(keys))
    gain = pairs[..., 0] + 1j * pairs[..., 1]
    within = 5 / count**0.5
    assert np.mean(abs(gain) ** 2) == pytest.approx(1.0, abs=within)
    assert np.mean(abs(gain) ** 4) == pytest.approx(2 - 1 / PATHS, abs=3 * within)
    assert abs(np.mean(gain**2)) < within
    correlation = np.mean(gain * gain[:, 5:6].conj(), axis=0)
    want = special.j0(2 * np.pi * doppler * abs(np.arange(12) - 5))
    np.testing.assert_allclose(correlation, want, atol=within)


def test_jakes_phases_wrap_around():
    """After many uses the fading is that of the exact frequencies."""
    jakes = Jakes(doppler=0.123, snr_db=INF)
    state, _ = send(jakes, np.ones((1, 1)))
    step = np.asarray(jakes(jax.random.key(0), state, jnp.ones((1, 1, 2)))[0].phase)
    step = (step - np.asarray(state.phase)).astype(np.uint32)
    uses = 10**8
    later = state._replace(
        phase=jnp.asarray(np.asarray(state.phase) + step * np.uint32(uses))
    )
    _, y = send(jakes, np.ones((3, 4)), state=later)
    cycles = np.asarray(state.phase) / 2**32 + step / 2**32 * (
        uses + np.arange(1, 13)[:, None]
    )
    gain = np.sum(np.exp(2j * np.pi * cycles), axis=1) / PATHS**0.5
    np.testing.assert_allclose(y.ravel(), gain, atol=1e-4)


def test_a_chain_with_one_part_with_memory_has_memory():
    parsed = channel("amplifier+isi?snr_db=inf+drift?snr_db=inf")
    assert isinstance(parsed, ChainWithMemory)
    assert isinstance(parsed, ChannelWithMemory)
    assert not isinstance(channel("amplifier+awgn"), ChannelWithMemory)
    _, y = send(parsed, X[:3], X[3:6])
    amplifier, isi, drift = parsed.parts
    _, want = send(amplifier, X[:3], X[3:6])
    _, want = send(isi, want[:3], want[3:])
    _, want = send(drift, want[:3], want[3:])
    np.testing.assert_allclose(y, want, atol=1e-6)
    assert parsed.with_snr(3.0) == parsed


def test_states_of_a_chain_are_those_of_its_parts():
    parsed = parse_channel("phase+isi+jakes+awgn")
    states: Any = init_channel(parsed, jax.random.key(0))
    assert isinstance(states, tuple)
    assert [jax.tree.leaves(state) != [] for state in states] == [
        False,
        True,
        True,
        False,
    ]
    key, x = jax.random.key(0), jnp.ones((5, 4, 2))
    after, y = jitted_transmit(parsed, key, states, x)
    assert jax.tree.structure(after) == jax.tree.structure(states)
    assert y.shape == (5, 4, 2)


@pytree_dataclass
class TwoAntennas(NoiselessChannel):
    """Repeats each block: two receive antennas without noise."""

    NAME = "two_antennas"

    has_unknown_gain = False

    def output_uses(self, uses: int) -> int:
        return 2 * uses

    def __call__(self, key: jax.Array, x: jax.Array) -> jax.Array:
        del key
        return jnp.concatenate([x, x], axis=1)


@pytest.mark.parametrize("id", ["iq+awgn", "isi+awgn"])
def test_a_chain_may_lengthen_blocks(id: str):
    inner = parse_channel(id)
    assert output_uses(inner, 5) == 5
    longer = chain([TwoAntennas(), inner, TwoAntennas()])
    assert isinstance(longer, ChainWithMemory) == isinstance(inner, ChainWithMemory)
    assert output_uses(longer, 5) == 20
    _, y = send(longer, X[:3, :2])
    assert y.shape == (3, 8)
    np.testing.assert_array_equal(y[:, :4], y[:, 4:])
    # Noise is added once for each antenna.
    assert np.all(y[:, :2] != y[:, 2:4])
