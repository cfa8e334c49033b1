"""Bit labels of a codebook: codewords that are confused easily differ in few bits.

A labeling does not change which messages are confused, only how many bits are then
wrong. The expected number of wrong bits is a sum over pairs of messages,

    Σ_ij w_ij · Hamming(label_i, label_j),

with w_ij the probability that j is decided where i was sent. It is minimized by the
binary switching algorithm: of all pairs of messages, the two whose exchange of labels
lowers the sum most exchange theirs, until no exchange lowers it.

Source: Zeger and Gersho, "Pseudo-Gray coding", IEEE Trans. Commun. 38 (1990);
    Schreckenbach et al., "Optimization of symbol mappings for bit-interleaved coded
    modulation with iterative decoding", IEEE Commun. Lett. 7 (2003).
"""

import numpy as np
from jaxtyping import Complex, Float, Int

from syntony.systems.link.codes import binary_labels, bits_per_message

MAX_LABELED_MESSAGES = 256
"""More messages keep the binary numbers: the search grows with their square."""
NUM_PLACEMENTS = 512
"""Labels that are placed in all starts of the search together."""
MIN_DISTANCE = 1e-30
"""Least squared distance that is divided by: codewords may be equal."""
ERROR_EXPONENT = 4.0
"""Negative log-probability of a confusion at the median distance to the nearest
codeword: a block error rate near 1e-2."""


def bit_labels(
    codebook: Complex[np.ndarray, "M C"], *, up_to_phase: bool = False
) -> Int[np.ndarray, "M K"] | None:
    """Labels of the messages of a codebook, most significant bit first.

    They depend on nothing but the arguments.

    Args:
        codebook: M codewords of C symbols.
        up_to_phase: whether the receiver does not know the phase of a block, as over
            a fading channel.

    Returns:
        K = log2 M bits of each message; None if M is no power of 2. Binary numbers
        where M is above `MAX_LABELED_MESSAGES`, or a symbol is not finite.
    """
    bits = bits_per_message(len(codebook))
    return (
        None if bits is None else binary_labels(bits)[_numbers(codebook, up_to_phase)]
    )


def label_numbers(
    codebook: Complex[np.ndarray, "M C"], *, up_to_phase: bool = False
) -> Int[np.ndarray, " M"]:
    """The labels of `bit_labels` as numbers; 0 to M − 1 if M is no power of 2."""
    if bits_per_message(len(codebook)) is None:
        return np.arange(len(codebook))
    return _numbers(codebook, up_to_phase)


def confusion_weights(
    codebook: Complex[np.ndarray, "M C"], *, up_to_phase: bool = False
) -> Float[np.ndarray, "M M"]:
    """Relative probability of each confusion, exp(−c · d²), by the distance d.

    c is such that a typical nearest pair has exp(−`ERROR_EXPONENT`). The distance to
    itself has the weight 0.

    Args:
        codebook: M codewords of C symbols.
        up_to_phase: whether d is the least distance over all phases of one codeword.
    """
    product: Complex[np.ndarray, "M M"] = codebook @ np.conj(codebook).T
    energy = np.sum(np.abs(codebook) ** 2, axis=1)
    overlap = np.abs(product) if up_to_phase else np.real(product)
    distances = np.maximum(energy[:, None] + energy - 2 * overlap, 0)
    np.fill_diagonal(distances, np.inf)
    typical = max(float(np.median(distances.min(axis=1))), MIN_DISTANCE)
    return np.exp(-ERROR_EXPONENT * distances / typical)


def expected_bit_errors(
    weights: Float[np.ndarray, "M M"], numbers: Int[np.ndarray, " M"]
) -> float:
    """Wrong bits of all confusions, weighted."""
    return float((weights * _hamming(numbers)).sum())


def _numbers(
    codebook: Complex[np.ndarray, "M C"], up_to_phase: bool
) -> Int[np.ndarray, " M"]:
    """The best labeling of several starts; of equal ones the binary numbers."""
    num_messages = len(codebook)
    best = np.arange(num_messages)
    if num_messages > MAX_LABELED_MESSAGES or not np.isfinite(codebook).all():
        return best
    weights = confusion_weights(np.asarray(codebook, complex), up_to_phase=up_to_phase)
    rng = np.random.default_rng(0)
    lowest = expected_bit_errors(weights, best) * (1 - 1e-9)
    for attempt in range(max(1, NUM_PLACEMENTS // num_messages)):
        start = rng.permutation(num_messages) if attempt else np.arange(num_messages)
        found = _switch_labels(weights, start)
        errors = expected_bit_errors(weights, found)
        if errors < lowest:
            best, lowest = found, errors * (1 - 1e-9)
    return best


def _switch_labels(
    weights: Float[np.ndarray, "M M"], numbers: Int[np.ndarray, " M"]
) -> Int[np.ndarray, " M"]:
    """Exchanges labels of two messages as long as that lowers the wrong bits."""
    numbers, hamming = numbers.copy(), _hamming(numbers).astype(float)
    # Wrong bits of message i if it had the label of message j.
    errors = weights @ hamming
    tolerance = 1e-9 * (weights * hamming).sum()
    for _ in range(len(numbers) ** 2):
        own = np.diag(errors)
        change = weights * hamming
        change *= 2
        change += errors
        change += errors.T
        change -= own
        change -= own[:, None]
        i, j = divmod(int(np.argmin(change)), len(numbers))
        if 2 * change[i, j] >= -tolerance:
            break
        errors += np.outer(weights[:, i] - weights[:, j], hamming[j] - hamming[i])
        numbers[[i, j]] = numbers[[j, i]]
        hamming[[i, j]] = hamming[[j, i]]
        hamming[:, [i, j]] = hamming[:, [j, i]]
        errors[:, [i, j]] = weights @ hamming[:, [i, j]]
    return numbers


def _hamming(numbers: Int[np.ndarray, " M"]) -> Int[np.ndarray, "M M"]:
    """Bits in which two labels differ."""
    return np.bitwise_count(numbers[:, None] ^ numbers).astype(int)
