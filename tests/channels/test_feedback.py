"""The feedback link: each stage against NumPy, and ids."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syntony.channels import feedback as stages
from syntony.channels.feedback import FEEDBACK_TERMS, Feedback, feedback
from syntony.errors import InvalidInputError

LOSS = np.random.default_rng(0).exponential(size=4000).astype(np.float32)


def key() -> jax.Array:
    """The key that all tests use."""
    return jax.random.key(0)


@jax.jit
def _send(feedback: Feedback, key: jax.Array, loss: jax.Array):
    return feedback(key, loss)


def send(feedback: Feedback, loss: np.ndarray = LOSS) -> tuple[np.ndarray, np.ndarray]:
    """Received losses and their mask, with the same key in every call."""
    received, arrived = _send(feedback, key(), jnp.asarray(loss))
    return np.asarray(received), np.asarray(arrived)


def test_perfect_feedback_changes_nothing():
    received, arrived = send(Feedback())
    np.testing.assert_array_equal(received, LOSS)
    assert np.all(arrived)


def test_noise_is_relative_to_the_standard_deviation_of_the_losses():
    received, _ = send(Feedback(noise_std=0.5), 10.0 + 3.0 * LOSS)
    noise = np.asarray(received) - (10.0 + 3.0 * LOSS)
    assert np.std(noise) == pytest.approx(0.5 * 3.0 * np.std(LOSS), rel=0.05)
    assert abs(np.mean(noise)) < 5 * np.std(noise) / np.sqrt(LOSS.size)
    assert abs(np.corrcoef(noise, LOSS)[0, 1]) < 5 / np.sqrt(LOSS.size)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("clip", [0.5, 0.95, 1.0])
def test_quantization_equals_numpy(bits: int, clip: float):
    received, _ = send(Feedback(bits=bits, clip_quantile=clip))
    low, high = LOSS.min(), np.quantile(LOSS, clip)
    cells = np.linspace(low, high, 2**bits + 1)
    centers = (cells[:-1] + cells[1:]) / 2
    expected = centers[np.digitize(np.minimum(LOSS, high), cells[1:-1])]
    # Next to a cell border, rounding in float32 may give either cell.
    equal = np.isclose(received, expected, rtol=1e-4, atol=1e-5)
    assert np.mean(equal) > 0.999
    assert np.all(
        abs(received - np.minimum(LOSS, high)) < (cells[1] - cells[0]) * 0.5001
    )


def test_losses_are_normalized_to_zero_to_one():
    lowest, span = stages.loss_range(jnp.asarray(LOSS), 0.9)
    unit = np.asarray(stages.normalize(jnp.asarray(LOSS), lowest, span))
    assert (unit.min(), unit.max()) == (0.0, 1.0)
    assert np.mean(unit == 1.0) == pytest.approx(0.1, abs=2 / LOSS.size)
    quantile = np.quantile(LOSS, 0.9)
    expected = (LOSS - LOSS.min()) / (quantile - LOSS.min())
    np.testing.assert_allclose(unit, np.minimum(expected, 1.0), rtol=1e-4, atol=1e-6)


def test_one_bit_has_two_levels():
    received, _ = send(Feedback(bits=1))
    low, high = np.unique(received)
    span = LOSS.max() - LOSS.min()
    expected = LOSS.min() + span * np.array([0.25, 0.75])
    np.testing.assert_allclose([low, high], expected, rtol=1e-5)


def test_equal_losses_are_not_changed():
    received, _ = send(Feedback(bits=3), np.full(10, 1.5, np.float32))
    np.testing.assert_array_equal(received, 1.5)
    one, zero = jnp.float32(1.5), jnp.float32(0.0)
    np.testing.assert_array_equal(stages.normalize(jnp.full(10, 1.5), one, zero), 0.0)


@pytest.mark.parametrize("bits", [1, 5])
@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_bit_flips_are_independent(bits: int, probability: float):
    code = np.random.default_rng(1).integers(0, 2**bits, 4000).astype(np.int32)
    result = np.asarray(stages.flip_bits(key(), jnp.asarray(code), bits, probability))
    assert np.all((result >= 0) & (result < 2**bits))
    flipped = ((code ^ result)[:, None] >> np.arange(bits)) & 1
    spread = 5 * np.sqrt(probability * (1 - probability) / 4000)
    np.testing.assert_allclose(flipped.mean(0), probability, atol=spread + 1e-9)
    if bits > 1 and 0.0 < probability < 1.0:
        correlation = np.corrcoef(flipped.T) - np.eye(bits)
        assert np.max(abs(correlation)) < 5 / np.sqrt(4000)


def test_flips_of_one_bit_attenuate_its_mean():
    code = jnp.ones(4000, jnp.int32)
    mean = np.mean(stages.flip_bits(key(), code, 1, 0.1) - 0.5)
    assert mean == pytest.approx(0.5 * (1 - 2 * 0.1), abs=5 * 0.3 / np.sqrt(4000))


def test_erasures_are_known():
    received, arrived = send(Feedback(erasure_prob=0.3))
    assert 1 - np.mean(arrived) == pytest.approx(0.3, abs=5 * 0.46 / np.sqrt(4000))
    np.testing.assert_array_equal(received, np.where(arrived, LOSS, 0.0))
    assert not np.any(send(Feedback(erasure_prob=1.0))[1])


def test_all_stages_in_the_order_of_the_fields():
    all_stages = Feedback(
        noise_std=0.3, bits=2, clip_quantile=0.9, bit_flip_prob=0.2, erasure_prob=0.1
    )
    noise_key, flip_key, erasure_key = jax.random.split(key(), 3)
    noisy = np.asarray(stages.add_noise(noise_key, jnp.asarray(LOSS), 0.3))
    low, span = noisy.min(), np.quantile(noisy, 0.9) - noisy.min()
    cell = np.clip(np.floor((noisy - low) / span * 4), 0, 3).astype(np.int32)
    cell = np.asarray(stages.flip_bits(flip_key, jnp.asarray(cell), 2, 0.2))
    lost = np.asarray(jax.random.bernoulli(erasure_key, 0.1, LOSS.shape))
    received, arrived = send(all_stages)
    np.testing.assert_array_equal(arrived, ~lost)
    expected = np.where(lost, 0.0, low + span * (cell + 0.5) / 4)
    assert np.mean(np.isclose(received, expected, rtol=1e-4, atol=1e-5)) > 0.999


def test_a_call_does_not_apply_the_delay():
    received, _ = send(Feedback(delay_iterations=3))
    np.testing.assert_array_equal(received, LOSS)


def test_a_sweep_compiles_once():
    traced = []

    @jax.jit
    def mean(feedback: Feedback) -> jax.Array:
        traced.append(feedback.id)
        return jnp.mean(feedback(key(), jnp.asarray(LOSS))[0])

    for noise in (0.0, 0.5, 1.0):
        mean(Feedback(noise_std=noise, bits=1, bit_flip_prob=noise / 10))
    assert len(traced) == 1


@pytest.mark.parametrize(
    ("id", "config", "canonical"),
    [
        ("perfect", Feedback(), "perfect"),
        ("noisy", Feedback(noise_std=1.0), "noisy"),
        ("noisy?std=2", Feedback(noise_std=2.0), "noisy?std=2.0"),
        ("noisy?std=0", Feedback(), "perfect"),
        ("quantized?bits=4&clip_quantile=1", Feedback(bits=4), "quantized"),
        (
            "quantized?clip_quantile=0.95",
            Feedback(bits=4, clip_quantile=0.95),
            "quantized?clip_quantile=0.95",
        ),
        ("quantized?bits=1", Feedback(bits=1), "quantized?bits=1"),
        ("flipped", Feedback(bits=8, bit_flip_prob=0.1), "quantized?bits=8+flipped"),
        (
            "erased?probability=0.2",
            Feedback(erasure_prob=0.2),
            "erased?probability=0.2",
        ),
        (
            "delayed?iterations=3+noisy",
            Feedback(noise_std=1.0, delay_iterations=3),
            None,
        ),
        ("perfect+delayed", Feedback(delay_iterations=1), "delayed"),
    ],
)
def test_parse_id(id: str, config: Feedback, canonical: str | None):
    assert feedback(id) == config
    assert config.id == (canonical or "noisy+delayed?iterations=3")


def test_bit_flips_imply_quantization():
    assert Feedback(bit_flip_prob=0.2).bits == 8
    assert Feedback(bit_flip_prob=0.2, bits=1).bits == 1
    assert Feedback().bits == 0


@given(
    config=st.builds(
        Feedback,
        noise_std=st.floats(0.0, 1000.0),
        bits=st.integers(1, 16),
        clip_quantile=st.floats(0.01, 1.0),
        bit_flip_prob=st.floats(0.0, 1.0),
        erasure_prob=st.floats(0.0, 1.0),
        delay_iterations=st.integers(0, 1000),
    )
)
@settings(deadline=None)
def test_id_round_trip(config: Feedback):
    assert feedback(config.id) == config


@pytest.mark.parametrize("name", FEEDBACK_TERMS)
def test_every_term_alone_is_an_id(name: str):
    assert feedback(feedback(name).id) == feedback(name)
    expected = "quantized?bits=8+flipped" if name == "flipped" else name
    assert feedback(name).id == expected


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("noisi", "unknown feedback 'noisi'; did you mean 'noisy'?"),
        ("", "unknown feedback ''; valid: delayed, erased, flipped, noisy, perfect"),
        ("noisy+", "unknown feedback ''; valid"),
        ("noisy?sdt=1", "unknown parameter of noisy 'sdt'; did you mean 'std'?"),
        ("noisy?std=-1", "noise_std is -1.0; expected 0.0 to 1000.0"),
        ("noisy?std=nan", "std is 'nan'; expected a number, e.g. std=1.0"),
        (
            "noisy+delayed+noisy",
            "noisy is given twice in 'noisy+delayed+noisy'; expected once",
        ),
        ("perfect?std=1", "'std=1' sets nothing; there is no parameter of perfect"),
        ("quantized?bits=17", "bits is 17; expected 0 to 16, e.g. quantized?bits=16"),
        ("quantized?clip_quantile=0", "clip_quantile is 0.0; expected 0.01 to 1.0"),
        (
            "flipped?probability=2",
            "bit_flip_prob is 2.0; expected 0.0 to 1.0, e.g. quantized",
        ),
        ("erased?probability=1.5", "erasure_prob is 1.5; expected 0.0 to 1.0"),
        (
            "delayed?iterations=-1",
            "delay_iterations is -1; expected 0 to 1000, e.g. perfect",
        ),
        ("delayed?iterations=1.5", "iterations is '1.5'; expected a whole number"),
    ],
)
def test_an_invalid_id_is_reported(id: str, message: str):
    with pytest.raises(InvalidInputError, match="^" + re.escape(message)) as it:
        feedback(id)
    assert "\n" not in str(it.value)


def test_configs_have_the_same_limits():
    with pytest.raises(
        InvalidInputError, match=r"noise_std is nan; expected 0.0 to 1000.0"
    ):
        dataclasses.replace(Feedback(), noise_std=float("nan"))
