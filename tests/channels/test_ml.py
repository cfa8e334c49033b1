"""ML metrics of chains: which are known, and that they are those of the law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from syntony.channels.channel import AnyChannel, transmit
from syntony.channels.ml import equivalent_channel, ml_metric
from syntony.channels.registry import parse_channel

RANDOM_PHASE = "phase?std=0.0&random_initial_phase=true"
COHERENT = {
    "awgn": 2.0,
    "amplifier+iq+awgn+awgn": 2.0,
    "multipath?fading=false+awgn": 2.0,
    "imdd": 1.0,
    "square_law": 1.0,
}
"""Channels whose metric is a log-likelihood times the noise power; of real noise, 1."""
KNOWN = [
    *COHERENT,
    "saleh+rayleigh+awgn",
    "rician?k_db=3.0",
    "quantizer+ofdm+awgn",
    f"{RANDOM_PHASE}+awgn",
    f"{RANDOM_PHASE}+rayleigh",
    f"{RANDOM_PHASE}+rician?k_db=3.0",
    "iq+multipath+awgn+awgn",
    "impulsive",
    "awgn?snr_db=12.0+awgn?snr_db=12.0+quantizer?bits=3",
]
FAST = ("amplifier+iq+awgn+awgn", "quantizer+ofdm+awgn", f"{RANDOM_PHASE}+awgn", "imdd")
UNKNOWN = [
    "phase+awgn",
    "cfo+awgn",
    "awgn+rayleigh",
    "awgn+amplifier+awgn",
    "multipath+rayleigh",
    "isi",
    "drift",
    "jakes",
    "isi+awgn",
]
BLOCKS, USES, MESSAGES = 4000, 4, 4


def codebook() -> jax.Array:
    """Codewords with different energies, phases and intensities."""
    x = np.random.default_rng(3).normal(size=(MESSAGES, USES, 2))
    return jnp.asarray(x / np.sqrt(np.mean(x**2) * 2), jnp.float32)


@pytest.mark.parametrize("id", UNKNOWN)
def test_unknown_metrics(id: str):
    assert ml_metric(parse_channel(id)) is None


@pytest.mark.parametrize(
    "id", [pytest.param(x, marks=[pytest.mark.slow] * (x not in FAST)) for x in KNOWN]
)
def test_posteriors_are_calibrated(id: str):
    """The mean posterior of each message is its frequency, wherever y is.

    The test functions are powers of the posteriors: those of another law than that of
    the channel would correlate with what was sent.
    """
    channel = parse_channel(id).with_snr(4.0)
    metric = ml_metric(channel)
    assert metric is not None

    @jax.jit
    def metrics(channel: AnyChannel, message: jax.Array) -> jax.Array:
        x = codebook()
        return metric(
            channel, transmit(channel, jax.random.key(0), (), x[message])[1], x
        )

    message = np.random.default_rng(0).integers(MESSAGES, size=BLOCKS)
    scale = COHERENT[id] * 10**0.4 if id in COHERENT else 1.0
    logits = scale * np.asarray(metrics(channel, jnp.asarray(message)), float)
    posterior = special.softmax(logits, axis=1)
    error = np.eye(MESSAGES)[message] - posterior
    # It says something, and is not certain.
    assert 0.4 < np.mean(np.max(posterior, axis=1)) < 0.999
    for power in (0, 1, 2, 4):
        terms = error * posterior**power
        within = 4.5 * np.std(terms, axis=0) / BLOCKS**0.5
        assert np.all(np.abs(np.mean(terms, axis=0)) <= within), power
    if "+quantizer" in id:
        return  # Codewords share levels.
    # Without noise there is no NaN, and no error.
    decided = metrics(channel.with_snr(float("inf")), jnp.asarray(message))
    np.testing.assert_array_equal(jnp.argmax(decided, axis=1), message)


@pytest.mark.parametrize(
    ("id", "equivalent"),
    [
        ("awgn+awgn", "awgn?snr_db=6.98970"),
        ("rayleigh+awgn", "rayleigh?snr_db=6.98970"),
        ("rayleigh?snr_db=inf+awgn", "rayleigh?snr_db=10.0"),
        ("phase?std=0.0&random_initial_phase=true+rayleigh", "rayleigh"),
        ("iq+awgn+awgn", "iq+awgn?snr_db=6.98970"),
        ("awgn+quantizer+awgn", "awgn+quantizer+awgn"),
        ("phase+rayleigh", "phase+rayleigh"),
        ("jakes", "jakes"),
    ],
)
def test_equivalent_channels(id: str, equivalent: str):
    assert equivalent_channel(parse_channel(id)).id.startswith(equivalent)
