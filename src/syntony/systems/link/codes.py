"""Codes that do not learn: what a learned link is measured against.

Each has mean energy 1 a complex use, as a link's own codebook. The detectors are those
of `equations/detection.py`.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float, Int

from syntony.errors import InvalidInputError

LatticePoints = Float[np.ndarray, "K 8"]


class Code(NamedTuple):
    """A codebook, and which bits each of its messages carries."""

    name: str
    codebook: Complex[np.ndarray, "M C"]
    labels: Int[np.ndarray, "M K"]
    """Bits, most significant first."""
    num_pilots: int = 0
    """How many uses, the first, are alike in all codewords."""


def classical_codes(messages: int, uses: int, fading: bool) -> list[Code]:
    """Returns the codes that carry as many messages in as many complex uses.

    Args:
        messages: M.
        uses: N.
        fading: whether the channel turns and scales each block by a gain that nobody
            knows. Then all codes but random ones need a pilot: without it a rotation
            of the QPSK codebook, say, is that codebook again.
    """
    bits = bits_per_message(messages)
    codes = []
    if fading and bits and _can_allocate_bits(bits, uses - 1):
        codes.append(uncoded(messages, uses, num_pilots=1))
    if not fading and bits and _can_allocate_bits(bits, uses):
        codes.append(uncoded(messages, uses))
    if not fading and (messages, uses) == (16, 7):
        codes.append(hamming())
    if not fading and uses == 4 and 2 <= messages <= MAX_E8_MESSAGES:
        codes.append(e8(messages))
    if 2 <= messages <= MAX_MESSAGES and uses >= 1:
        codes.append(random_sphere(messages, uses))
    return codes


def qpsk(uses: int) -> Code:
    """Returns uncoded QPSK, Gray labelled: 4^N messages, d²min = 2.

    A use carries two bits, (±1 ± i)/√2; a 0 is sent as +.
    """
    if not 1 <= uses <= 8:
        raise InvalidInputError(
            f"uses is {uses}; expected 1 to 8 for a QPSK codebook, e.g. 4"
        )
    return uncoded(4**uses, uses)


def uncoded(messages: int, uses: int, num_pilots: int = 0) -> Code:
    """Returns bits spread over the uses as evenly as they go, after the pilots.

    Of BPSK, QPSK, 8PSK, 16QAM, 64QAM, each Gray labelled and of mean energy 1, those
    of more bits first; a pilot is 1. With 256 messages in 4 uses, 1 of them a pilot:
    8PSK, 8PSK, QPSK.

    Raises:
        BadInput: the bits cannot be spread: `messages` is no power of 2, or a use would
            carry none, 5, or more than 6.
    """
    bits = messages.bit_length() - 1
    if messages != 2**bits or not _can_allocate_bits(bits, uses - num_pilots):
        raise InvalidInputError(
            f"{messages} messages cannot be spread over {uses - num_pilots} uses; expected "
            f"2 to the power of 1 to 4, or 6, bits a use, up to {MAX_MESSAGES}, e.g. 256 over 4"
        )
    share, more = divmod(bits, uses - num_pilots)
    alphabets = [_constellation(share + (i < more)) for i in range(uses - num_pilots)]
    labels = binary_labels(bits)
    columns, start = [np.ones(messages)] * num_pilots, 0
    for alphabet in alphabets:
        end = start + len(alphabet).bit_length() - 1
        columns.append(alphabet[_bits_to_index(labels[:, start:end])])
        start = end
    # One name for all uses if it is one.
    names = [_CONSTELLATION_NAMES[len(alphabet)] for alphabet in alphabets][
        : None if more else 1
    ]
    name = ("pilot + " if num_pilots else "") + ", ".join(names)
    return Code(name, np.stack(columns, axis=1).astype(complex), labels, num_pilots)


def hamming() -> Code:
    """Returns the (7, 4) Hamming code, a bit a use as ±1: 16 messages in 7 uses.

    Eb/N0 = Es/N0 · 7/4. Distances: d² = 4w for the weights w, of which 7 are 3, 7 are
    4 and 1 is 7.

    Source: Hamming, "Error detecting and error correcting codes" (1950).
    """
    labels = binary_labels(4)
    parity = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
    word = np.concatenate([labels, labels @ parity % 2], axis=1)
    return Code("Hamming (7,4), BPSK", (1.0 - 2.0 * word).astype(complex), labels)


def random_sphere(messages: int, uses: int, seed: int = 0) -> Code:
    """Returns codewords of equal energy drawn evenly, by NumPy's generator of `seed`.

    Its mean rate over all seeds is `limits.random_sphere`.
    """
    if not (2 <= messages <= MAX_MESSAGES and uses >= 1):
        raise InvalidInputError(
            f"{messages} messages in {uses} uses; expected 2 to {MAX_MESSAGES} messages in 1 "
            "use or more, e.g. 256 in 4"
        )
    draw = np.random.default_rng(seed).normal(size=(2, messages, uses))
    word = draw[0] + 1j * draw[1]
    word /= np.sqrt(np.mean(np.abs(word) ** 2, axis=1, keepdims=True))
    return Code("random sphere", word, _natural_binary_labels(messages))


@functools.cache
def e8(messages: int = 256) -> Code:
    """Returns those points of the lattice E8, in 4 uses, that cost the least energy.

    The points nearest to a centre, less their mean: of many centres the best. With 256
    messages d²min = 3.80996 at mean energy 4, 2.80 dB above QPSK; no centre is known
    to give more.

    Source: Conway and Sloane, "Sphere Packings, Lattices and Groups", chapter 4 (E8).
    """
    if not 2 <= messages <= MAX_E8_MESSAGES:
        raise InvalidInputError(
            f"messages is {messages}; expected 2 to {MAX_E8_MESSAGES}, e.g. 256"
        )
    # About that many points lie in a ball of this radius, wherever its centre; centres
    # are within 1 of the origin, and a fifth is to spare.
    radius = (24.0 * messages / math.pi**4) ** 0.125
    lattice = e8_lattice((radius + 1.2) ** 2)
    draw = np.random.default_rng(0)
    starts = draw.normal(size=(NUM_E8_CENTERS, 8))
    starts *= np.sqrt(draw.uniform(size=(NUM_E8_CENTERS, 1))) / np.linalg.norm(
        starts, axis=1, keepdims=True
    )
    found = [e8_subset(lattice, centre, messages) for centre in starts]
    best = min(found, key=lambda points: round(centered_energy(points), 9))
    points = (best - best.mean(axis=0)) * np.sqrt(4.0 / centered_energy(best))
    word = points[:, 0::2] + 1j * points[:, 1::2]
    # It is kept for the next caller.
    word.flags.writeable = False
    return Code("E8", word, _natural_binary_labels(messages))


def e8_lattice(max_squared_norm: float) -> LatticePoints:
    """Returns the points x of E8 with ‖x‖² ≤ `most`; the nearest neighbours have 2.

    All coordinates whole, or all half a unit off; their sum even.
    """
    found = []
    for off in (0.0, 0.5):
        axis = (
            np.arange(
                -math.ceil(max_squared_norm**0.5), math.ceil(max_squared_norm**0.5) + 1
            )
            + off
        )
        points, norm = np.zeros((1, 0)), np.zeros(1)
        for _ in range(8):
            longer = norm[:, None] + axis**2
            old, new = np.nonzero(longer <= max_squared_norm)
            points = np.concatenate([points[old], axis[new, None]], axis=1)
            norm = longer[old, new]
        found.append(points[points.sum(axis=1) % 2 == 0])
    return np.concatenate(found)


def e8_subset(
    lattice: LatticePoints, center: Float[np.ndarray, " 8"], messages: int
) -> Float[np.ndarray, "M 8"]:
    """Returns the points nearest to their own mean, sought from `centre` on.

    Each round takes those nearest to the mean of the last: their energy about their
    own mean cannot rise, and it stops when it does not fall.
    """
    norm = np.sum(lattice**2, axis=1)
    energy = np.inf
    while True:
        far = norm - 2.0 * lattice @ center
        near = np.sort(np.argpartition(far, messages - 1)[:messages])
        points = lattice[near]
        if centered_energy(points) > energy - 1e-9:
            return points
        energy, center = centered_energy(points), points.mean(axis=0)


def centered_energy(points: LatticePoints) -> float:
    """Returns the mean of ‖x − x̄‖²."""
    return float(np.mean(np.sum((points - points.mean(axis=0)) ** 2, axis=1)))


MAX_MESSAGES = 2**16
"""Messages of the largest codebook."""

MAX_E8_MESSAGES = 1024
NUM_E8_CENTERS = 24

_CONSTELLATION_NAMES = {2: "BPSK", 4: "QPSK", 8: "8PSK", 16: "16QAM", 64: "64QAM"}


def _can_allocate_bits(bits: int, uses: int) -> bool:
    """Says whether `uncoded` can spread the bits over the uses."""
    if uses < 1 or not uses <= bits <= MAX_MESSAGES.bit_length() - 1:
        return False
    return {2 ** (bits // uses), 2 ** -(-bits // uses)} <= _CONSTELLATION_NAMES.keys()


def _constellation(bits: int) -> Complex[np.ndarray, " K"]:
    """Returns the points of 2^bits, Gray labelled, at mean energy 1."""
    if bits in (1, 3):
        return np.exp(2j * np.pi * _gray_rank(bits) / 2**bits)
    levels = 2.0 ** (bits // 2) - 1 - 2.0 * _gray_rank(bits // 2)
    points = (levels[:, None] + 1j * levels[None]).ravel()
    return points / np.sqrt(np.mean(np.abs(points) ** 2))


def _gray_rank(bits: int) -> Int[np.ndarray, " K"]:
    """Returns each label's place in an order whose neighbours differ in one bit."""
    rank = np.arange(2**bits)
    return np.argsort(rank ^ (rank >> 1))


def bits_per_message(messages: int) -> int | None:
    """Returns how many bits label each message, if all labels are in use."""
    bits = messages.bit_length() - 1
    return bits if messages == 2**bits else None


def binary_labels(bits: int) -> Int[np.ndarray, "M K"]:
    """Returns the numbers of 2^bits messages, most significant bit first."""
    return np.arange(2**bits)[:, None] >> np.arange(bits)[::-1] & 1


def _natural_binary_labels(messages: int) -> Int[np.ndarray, "M K"]:
    """Returns the messages' numbers in binary, where nothing suggests other labels."""
    return binary_labels(max(1, (messages - 1).bit_length()))[:messages]


def _bits_to_index(labels: Int[np.ndarray, "M K"]) -> Int[np.ndarray, " M"]:
    return labels @ (1 << np.arange(labels.shape[1])[::-1])
