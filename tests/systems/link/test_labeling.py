"""Bit labels: the best ones of small codebooks, Gray labels, and lower bit errors."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.channels.registry import channel
from syntony.equations import limits
from syntony.equations.signal import complex_to_pairs
from syntony.evaluation import bler
from syntony.systems.link import codes, labeling


def hamming(a, b):
    return (a[:, None] != b[None]).sum(axis=-1)


def wrong_bits(weights, labels):
    return (weights * hamming(labels, labels)).sum()


def shuffled(codebook, seed=1):
    return np.random.default_rng(seed).permutation(codebook)


@pytest.mark.parametrize(("messages", "seed"), [(4, 0), (4, 1), (8, 0), (8, 1), (8, 2)])
def test_labels_of_small_codebooks_are_the_best_of_all(messages: int, seed: int):
    rng = np.random.default_rng(seed)
    codebook = rng.normal(size=(messages, 1)) + 1j * rng.normal(size=(messages, 1))
    weights = labeling.confusion_weights(codebook)
    numbers = codes.binary_labels(messages.bit_length() - 1)
    # All labelings but for an exchange of ones and zeros, which changes nothing.
    all_orders = itertools.permutations(range(1, messages))
    best = min(wrong_bits(weights, numbers[[0, *order]]) for order in all_orders)
    labels = labeling.bit_labels(codebook)
    assert labels is not None
    assert wrong_bits(weights, labels) == pytest.approx(best, rel=1e-6)
    assert sorted(map(tuple, labels)) == sorted(map(tuple, numbers)), "each label once"


@pytest.mark.parametrize(("messages", "uses"), [(4, 1), (16, 2), (16, 1)])
def test_shuffled_qpsk_and_16qam_get_gray_labels(messages: int, uses: int):
    codebook = shuffled(codes.uncoded(messages, uses).codebook)
    labels = labeling.bit_labels(codebook)
    distances = np.linalg.norm(codebook[:, None] - codebook, axis=-1)
    nearest = np.isclose(distances, distances[distances > 0].min())
    assert (hamming(labels, labels)[nearest] == 1).all()


@pytest.mark.parametrize(("messages", "uses"), [(4, 1), (16, 1), (256, 4)])
def test_gray_labels_are_kept(messages: int, uses: int):
    labels = labeling.bit_labels(codes.uncoded(messages, uses).codebook)
    np.testing.assert_array_equal(labels, codes.uncoded(messages, uses).labels)


def test_a_rotated_codeword_is_near_where_the_phase_is_not_known():
    a, b = np.array([1.0, 1.0]), np.array([1.0, -1.0])
    codebook = np.array([a, b, 1j * a + 0.2 * b, 1j * b + 0.2 * a])
    known = labeling.confusion_weights(codebook)
    unknown = labeling.confusion_weights(codebook, up_to_phase=True)
    assert unknown[0, 2] > 100 * unknown[0, 1]
    assert known[0, 2] < known[0, 3]
    labels = labeling.bit_labels(codebook, up_to_phase=True)
    assert hamming(labels, labels)[0, 2] == 1


@pytest.mark.parametrize("messages", [3, 12])
def test_other_numbers_of_messages_have_no_labels(messages: int):
    codebook = np.exp(2j * np.pi * np.arange(messages) / messages)[:, None]
    assert labeling.bit_labels(codebook) is None
    np.testing.assert_array_equal(labeling.label_numbers(codebook), np.arange(messages))


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, np.inf])
def test_degenerate_codebooks_have_binary_numbers(value: float):
    labels = labeling.bit_labels(np.full((8, 1), value, complex))
    np.testing.assert_array_equal(labels, codes.binary_labels(3))


def test_large_codebooks_have_binary_numbers():
    codebook = codes.random_sphere(512, 2).codebook
    np.testing.assert_array_equal(labeling.bit_labels(codebook), codes.binary_labels(9))


@pytest.mark.parametrize(("messages", "uses", "snr_db"), [(16, 1, 14.0), (64, 3, 6.0)])
def test_bler_stays_and_ber_falls(messages: int, uses: int, snr_db: float):
    codebook = shuffled(codes.uncoded(messages, uses).codebook)
    numbers = labeling.label_numbers(codebook)
    over = channel(f"awgn?snr_db={snr_db}")
    detector = bler.ml_detector(over)
    pairs = jnp.asarray(complex_to_pairs(codebook))
    assert detector is not None

    def simulate(label_numbers):
        batch = partial(
            bler.simulate_batch, pairs, [detector], label_numbers=label_numbers
        )
        return bler.simulate_bler(batch, [over], jax.random.key(0))[0]

    binary, labeled = simulate(None), simulate(numbers)
    assert (binary.blocks, *binary.block_errors) == (
        labeled.blocks,
        *labeled.block_errors,
    )
    # A wrong block has about half of its bits wrong without them, and one with them.
    assert labeled.bit_errors < 0.7 * binary.bit_errors
    bler_now = labeled.block_errors[0] / labeled.blocks
    exact = limits.uncoded_bler(snr_db, (round(messages ** (1 / uses)),) * uses)
    assert bler_now == pytest.approx(exact, rel=0.15)
