"""The path back, stage by stage against NumPy, and its ids there and back."""

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
    """Returns the one chance that everything here is left to."""
    return jax.random.key(0)


@jax.jit
def _send(feedback: Feedback, key: jax.Array, loss: jax.Array):
    return feedback(key, loss)


def send(feedback: Feedback, loss: np.ndarray = LOSS) -> tuple[np.ndarray, np.ndarray]:
    """Returns what arrives, and whether, under one and the same chance."""
    heard, arrived = _send(feedback, key(), jnp.asarray(loss))
    return np.asarray(heard), np.asarray(arrived)


def test_the_perfect_one_changes_nothing():
    heard, arrived = send(Feedback())
    np.testing.assert_array_equal(heard, LOSS)
    assert np.all(arrived)


def test_noise_is_measured_in_spreads_of_the_losses():
    heard, _ = send(Feedback(noise_std=0.5), 10.0 + 3.0 * LOSS)
    noise = np.asarray(heard) - (10.0 + 3.0 * LOSS)
    assert np.std(noise) == pytest.approx(0.5 * 3.0 * np.std(LOSS), rel=0.05)
    assert abs(np.mean(noise)) < 5 * np.std(noise) / np.sqrt(LOSS.size)
    assert abs(np.corrcoef(noise, LOSS)[0, 1]) < 5 / np.sqrt(LOSS.size)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("clip", [0.5, 0.95, 1.0])
def test_quantising_is_that_of_numpy(bits: int, clip: float):
    heard, _ = send(Feedback(bits=bits, clip_quantile=clip))
    low, high = LOSS.min(), np.quantile(LOSS, clip)
    cells = np.linspace(low, high, 2**bits + 1)
    middles = (cells[:-1] + cells[1:]) / 2
    want = middles[np.digitize(np.minimum(LOSS, high), cells[1:-1])]
    # On the border of two cells float32 may decide for either.
    alike = np.isclose(heard, want, rtol=1e-4, atol=1e-5)
    assert np.mean(alike) > 0.999
    assert np.all(abs(heard - np.minimum(LOSS, high)) < (cells[1] - cells[0]) * 0.5001)


def test_losses_are_brought_between_zero_and_one():
    lowest, span = stages.loss_range(jnp.asarray(LOSS), 0.9)
    unit = np.asarray(stages.normalize(jnp.asarray(LOSS), lowest, span))
    assert (unit.min(), unit.max()) == (0.0, 1.0)
    assert np.mean(unit == 1.0) == pytest.approx(0.1, abs=2 / LOSS.size)
    above = np.quantile(LOSS, 0.9)
    want = (LOSS - LOSS.min()) / (above - LOSS.min())
    np.testing.assert_allclose(unit, np.minimum(want, 1.0), rtol=1e-4, atol=1e-6)


def test_one_bit_says_one_of_two_things():
    heard, _ = send(Feedback(bits=1))
    low, high = np.unique(heard)
    span = LOSS.max() - LOSS.min()
    want = LOSS.min() + span * np.array([0.25, 0.75])
    np.testing.assert_allclose([low, high], want, rtol=1e-5)


def test_losses_all_alike_stay_as_they_are():
    heard, _ = send(Feedback(bits=3), np.full(10, 1.5, np.float32))
    np.testing.assert_array_equal(heard, 1.5)
    one, zero = jnp.float32(1.5), jnp.float32(0.0)
    np.testing.assert_array_equal(stages.normalize(jnp.full(10, 1.5), one, zero), 0.0)


@pytest.mark.parametrize("bits", [1, 5])
@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_each_bit_is_flipped_by_itself(bits: int, probability: float):
    code = np.random.default_rng(1).integers(0, 2**bits, 4000).astype(np.int32)
    got = np.asarray(stages.flip_bits(key(), jnp.asarray(code), bits, probability))
    assert np.all((got >= 0) & (got < 2**bits))
    flipped = ((code ^ got)[:, None] >> np.arange(bits)) & 1
    spread = 5 * np.sqrt(probability * (1 - probability) / 4000)
    np.testing.assert_allclose(flipped.mean(0), probability, atol=spread + 1e-9)
    if bits > 1 and 0.0 < probability < 1.0:
        correlation = np.corrcoef(flipped.T) - np.eye(bits)
        assert np.max(abs(correlation)) < 5 / np.sqrt(4000)


def test_flips_of_one_bit_shrink_the_signal():
    code = jnp.ones(4000, jnp.int32)
    mean = np.mean(stages.flip_bits(key(), code, 1, 0.1) - 0.5)
    assert mean == pytest.approx(0.5 * (1 - 2 * 0.1), abs=5 * 0.3 / np.sqrt(4000))


def test_what_is_erased_is_known_to_be():
    heard, arrived = send(Feedback(erasure_prob=0.3))
    assert 1 - np.mean(arrived) == pytest.approx(0.3, abs=5 * 0.46 / np.sqrt(4000))
    np.testing.assert_array_equal(heard, np.where(arrived, LOSS, 0.0))
    assert not np.any(send(Feedback(erasure_prob=1.0))[1])


def test_all_at_once_in_the_order_of_the_record():
    one = Feedback(
        noise_std=0.3, bits=2, clip_quantile=0.9, bit_flip_prob=0.2, erasure_prob=0.1
    )
    noise_key, flip_key, erasure_key = jax.random.split(key(), 3)
    noisy = np.asarray(stages.add_noise(noise_key, jnp.asarray(LOSS), 0.3))
    low, span = noisy.min(), np.quantile(noisy, 0.9) - noisy.min()
    cell = np.clip(np.floor((noisy - low) / span * 4), 0, 3).astype(np.int32)
    cell = np.asarray(stages.flip_bits(flip_key, jnp.asarray(cell), 2, 0.2))
    lost = np.asarray(jax.random.bernoulli(erasure_key, 0.1, LOSS.shape))
    heard, arrived = send(one)
    np.testing.assert_array_equal(arrived, ~lost)
    want = np.where(lost, 0.0, low + span * (cell + 0.5) / 4)
    assert np.mean(np.isclose(heard, want, rtol=1e-4, atol=1e-5)) > 0.999


def test_lateness_is_the_learners_business():
    heard, _ = send(Feedback(delay_iterations=3))
    np.testing.assert_array_equal(heard, LOSS)


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
    ("id", "record", "canonical"),
    [
        ("perfect", Feedback(), "perfect"),
        ("noisy", Feedback(noise_std=1.0), "noisy"),
        ("noisy?std=2", Feedback(noise_std=2.0), "noisy?std=2.0"),
        ("noisy?std=0", Feedback(), "perfect"),
        ("quantised?bits=4&clip=1", Feedback(bits=4), "quantised"),
        (
            "quantised?clip=0.95",
            Feedback(bits=4, clip_quantile=0.95),
            "quantised?clip=0.95",
        ),
        ("quantised?bits=1", Feedback(bits=1), "quantised?bits=1"),
        ("flipped", Feedback(bits=8, bit_flip_prob=0.1), "quantised?bits=8+flipped"),
        (
            "erased?probability=0.2",
            Feedback(erasure_prob=0.2),
            "erased?probability=0.2",
        ),
        ("late?iterations=3+noisy", Feedback(noise_std=1.0, delay_iterations=3), None),
        ("perfect+late", Feedback(delay_iterations=1), "late"),
    ],
)
def test_ids_become_records(id: str, record: Feedback, canonical: str | None):
    assert feedback(id) == record
    assert record.id == (canonical or "noisy+late?iterations=3")


def test_flips_need_bits():
    assert Feedback(bit_flip_prob=0.2).bits == 8
    assert Feedback(bit_flip_prob=0.2, bits=1).bits == 1
    assert Feedback().bits == 0


@given(
    record=st.builds(
        Feedback,
        noise=st.floats(0.0, 1000.0),
        bits=st.integers(1, 16),
        clip=st.floats(0.01, 1.0),
        flips=st.floats(0.0, 1.0),
        erasures=st.floats(0.0, 1.0),
        delay=st.integers(0, 1000),
    )
)
@settings(deadline=None)
def test_ids_there_and_back(record: Feedback):
    assert feedback(record.id) == record


@pytest.mark.parametrize("name", FEEDBACK_TERMS)
def test_every_term_can_stand_alone(name: str):
    assert feedback(feedback(name).id) == feedback(name)


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("noisi", "unknown feedback 'noisi'; did you mean 'noisy'?"),
        ("", "unknown feedback ''; valid: erased, flipped, late, noisy, perfect"),
        ("noisy+", "unknown feedback ''; valid"),
        ("noisy?sdt=1", "unknown parameter of noisy 'sdt'; did you mean 'std'?"),
        ("noisy?std=-1", "noise is -1.0; expected 0.0 to 1000.0"),
        ("noisy?std=nan", "std is 'nan'; expected a number, e.g. std=1.0"),
        ("noisy+late+noisy", "noisy is given twice in 'noisy+late+noisy'; expected on"),
        ("perfect?std=1", "'std=1' sets nothing; there is no parameter of perfect"),
        ("quantised?bits=17", "bits is 17; expected 0 to 16, e.g. quantised?bits=16"),
        ("quantised?clip=0", "clip is 0.0; expected 0.01 to 1.0"),
        ("flipped?probability=2", "flips is 2.0; expected 0.0 to 1.0, e.g. quantised"),
        ("erased?probability=1.5", "erasures is 1.5; expected 0.0 to 1.0"),
        ("late?iterations=-1", "delay is -1; expected 0 to 1000, e.g. perfect"),
        ("late?iterations=1.5", "iterations is '1.5'; expected a whole number"),
    ],
)
def test_what_is_wrong_is_said(id: str, message: str):
    with pytest.raises(InvalidInputError, match="^" + re.escape(message)) as it:
        feedback(id)
    assert "\n" not in str(it.value)


def test_settings_are_held_to_the_same_limits():
    with pytest.raises(
        InvalidInputError, match=r"noise is nan; expected 0.0 to 1000.0"
    ):
        dataclasses.replace(Feedback(), noise=float("nan"))
