"""Classical codes, to compare learned codebooks with: QPSK, Hamming, E8, pilots.

Each has mean energy 1 per complex channel use, as the codebook of a link has. Their
detectors are in `equations/detection.py`. A link can transmit with one of them, too:
`classical_code` makes it from the name of a fixed transmitter.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float, Int

from syntony.errors import InvalidInputError, unknown_name_error

LatticePoints = Float[np.ndarray, "K 8"]


class Code(NamedTuple):
    """Codebook of M messages over C channel uses, and the bits of each message."""

    name: str
    codebook: Complex[np.ndarray, "M C"]
    labels: Int[np.ndarray, "M K"]
    """K bits of each message, most significant first."""
    num_pilots: int = 0
    """First channel uses that are the same in all codewords."""
    constellation_sizes: tuple[int, ...] = ()
    """Points of the constellation of each use, of uncoded PSK and square QAM."""


def classical_codes(messages: int, uses: int, fading: bool) -> list[Code]:
    """Classical codes with this number of messages and channel uses.

    Args:
        messages: M.
        uses: C complex channel uses.
        fading: whether the channel multiplies each block by an unknown complex gain.
            Then all codes but random ones need a pilot: the codebook of QPSK, e.g., is
            invariant to rotations by 90°.
    """
    bits = bits_per_message(messages)
    codes: list[Code] = []
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


def classical_code(name: str, messages: int, uses: int) -> Code:
    """Code of a fixed transmitter, by its name.

    Args:
        name: one of `CLASSICAL_TRANSMITTERS`.
        messages: M.
        uses: C.

    Raises:
        InvalidInputError: there is no such code of this size, or no such name.
    """
    if name not in CLASSICAL_TRANSMITTERS:
        raise unknown_name_error("transmitter", name, CLASSICAL_TRANSMITTERS)
    if name in _SYMBOLS:
        return symbol_code(name, messages, uses)
    try:
        return CLASSICAL_TRANSMITTERS[name](messages, uses)
    except InvalidInputError as error:
        raise InvalidInputError(f"transmitter is {name!r}: {error}") from None


def classical_starts(
    messages: int, uses: int
) -> list[tuple[str, Complex[np.ndarray, "M C"]]]:
    """Names and codebooks of all fixed transmitters of this size, each code once.

    Args:
        messages: M.
        uses: C.
    """
    starts: list[tuple[str, Complex[np.ndarray, "M C"]]] = []
    for name in CLASSICAL_TRANSMITTERS:
        try:
            codebook = classical_code(name, messages, uses).codebook
        except InvalidInputError:
            continue
        if not any(np.allclose(codebook, other) for _, other in starts):
            starts.append((name, codebook))
    return starts


def symbol_code(name: str, messages: int, uses: int) -> Code:
    """One symbol per channel use, or one symbol that is sent in all of them.

    Messages are labeled by the Gray labels of their symbols. Where a symbol is sent
    more than once, each use may map messages to symbols in another order: two messages
    that are neighbors in one use are then far apart in another.

    Args:
        name: name of the constellation: qpsk, psk8, qam16, pam4 or ask4.
        messages: M = q^C for a constellation of q symbols, or M = q.
        uses: C.

    Raises:
        InvalidInputError: M is neither.
    """
    label, axes = _SYMBOLS[name]
    size = math.prod(map(len, axes))
    labels = _natural_binary_labels(messages)
    if messages == size and 2 <= uses <= MAX_MESSAGES:
        times = {2: "twice"}.get(uses, f"{uses} times")
        codebook = _product_of_axes([_repeat_symbols(axis, uses) for axis in axes])
        return Code(f"{label} sent {times}", codebook, labels)
    if uses < 1 or messages != size ** min(uses, MAX_MESSAGES.bit_length()):
        raise InvalidInputError(_symbol_size_error(name, size, messages, uses))
    points = _product_of_axes([axis[:, None] for axis in axes])[:, 0]
    index = np.arange(messages)[:, None] // size ** np.arange(uses)[::-1] % size
    return Code(label, points[index], labels)


def _symbol_size_error(name: str, size: int, messages: int, uses: int) -> str:
    fitting = f"{size}"
    if uses >= 2 and size**uses <= MAX_MESSAGES:
        fitting += f" or {size**uses:,}"
    right_uses = next((c for c in range(1, 17) if size**c == messages), None)
    other = "" if right_uses is None else f", or uses of {right_uses}"
    return (
        f"transmitter is {name!r}, messages is {messages} and uses is {uses}; expected "
        f"messages of {fitting}{other}"
    )


def _repeat_symbols(
    points: Complex[np.ndarray, " K"], uses: int
) -> Complex[np.ndarray, "K C"]:
    """Codewords that send a symbol C times, in a new order each time if that is better.

    The order of a use follows from that of the use before by the same permutation, of
    all permutations the one with the largest minimum distance; none if none is better.
    """
    distance = np.abs(points[:, None] - points) ** 2
    pairs = np.triu_indices(len(points), 1)
    permutations = np.array(list(itertools.permutations(range(len(points)))))
    orders = [np.broadcast_to(np.arange(len(points)), permutations.shape)]
    # Later uses repeat these orders: all symbols have met in all ways by then.
    for _ in range(min(uses, len(points)) - 1):
        orders.append(np.take_along_axis(permutations, orders[-1], axis=1))
    pair_distance = np.stack(
        [distance[order[:, pairs[0]], order[:, pairs[1]]] for order in orders]
    )
    # Rounded, so that of equal permutations the first, the identity, is taken.
    best = np.argmax(pair_distance.sum(axis=0).min(axis=1).round(9))
    mapped = points[np.stack([order[best] for order in orders], axis=1)]
    return mapped[:, np.arange(uses) % len(orders)]


def _product_of_axes(
    axes: list[Complex[np.ndarray, "K C"]],
) -> Complex[np.ndarray, "M C"]:
    """All sums of one codeword of each list, those of the last list next to another."""
    result = np.zeros((1, axes[0].shape[1]), complex)
    for codewords in axes:
        result = (result[:, None] + codewords).reshape(-1, codewords.shape[1])
    return result


def _e8_in_four_uses(messages: int, uses: int) -> Code:
    if uses != 4:
        raise InvalidInputError(f"uses is {uses}; expected 4")
    return e8(messages)


def comb_pilots(messages: int, uses: int) -> Code:
    """Pilots in every second use from the first, and uncoded bits in the others.

    Over OFDM with as many pilots as channel taps a receiver can estimate the gain of
    every carrier.

    Args:
        messages: M, as in `uncoded`.
        uses: C, at least 2.
    """
    if uses < 2:
        raise InvalidInputError(f"uses is {uses}; expected at least 2 with pilots")
    data = uncoded(messages, uses // 2)
    codebook = np.ones((messages, uses), complex)
    codebook[:, 1::2] = data.codebook
    return Code(f"comb pilots + {data.name}", codebook, data.labels)


def qpsk(uses: int) -> Code:
    """Uncoded QPSK with Gray labels: 4^C messages, d²min = 2.

    A channel use carries two bits, (±1 ± i)/√2; a 0 is sent as +.

    Args:
        uses: C, 1 to 8.
    """
    if not 1 <= uses <= 8:
        raise InvalidInputError(
            f"uses is {uses}; expected 1 to 8 for a QPSK codebook, e.g. 4"
        )
    return uncoded(4**uses, uses)


def uncoded(messages: int, uses: int, num_pilots: int = 0) -> Code:
    """Uncoded bits, distributed over the channel uses as evenly as possible.

    The constellations are BPSK, QPSK, 8PSK, 16QAM and 64QAM, each with Gray labels and
    mean energy 1, those of more bits first. Pilots are 1, and come before them. For 256
    messages in 4 uses, 1 of them a pilot: 8PSK, 8PSK, QPSK.

    Args:
        messages: M.
        uses: C, pilots included.
        num_pilots: pilots among the uses.

    Raises:
        InvalidInputError: the bits cannot be distributed: `messages` is no power of 2,
            or a use would carry 0, 5, or more than 6 bits.
    """
    bits = messages.bit_length() - 1
    if messages != 2**bits or not _can_allocate_bits(bits, uses - num_pilots):
        raise InvalidInputError(
            f"{messages} messages cannot be distributed over {uses - num_pilots} uses; "
            "expected 2 to the power of 1 to 4, or 6, bits per use, up to "
            f"{MAX_MESSAGES}, e.g. 256 over 4"
        )
    bits_per_use, extra_bits = divmod(bits, uses - num_pilots)
    constellations = [
        _constellation(bits_per_use + (i < extra_bits))
        for i in range(uses - num_pilots)
    ]
    labels = binary_labels(bits)
    columns, start = [np.ones(messages)] * num_pilots, 0
    for constellation in constellations:
        end = start + len(constellation).bit_length() - 1
        columns.append(constellation[_bits_to_index(labels[:, start:end])])
        start = end
    names = [_CONSTELLATION_NAMES[len(points)] for points in constellations]
    # Without extra bits all uses have the same constellation.
    name = ", ".join(names if extra_bits else names[:1])
    name = ("pilot + " if num_pilots else "") + name
    codebook = np.stack(columns, axis=1).astype(complex)
    if num_pilots:
        return Code(name, codebook, labels, num_pilots)
    sizes = tuple(len(points) for points in constellations)
    return Code(name, codebook, labels, constellation_sizes=sizes)


def hamming() -> Code:
    """The (7, 4) Hamming code over BPSK: 16 messages in 7 channel uses.

    Eb/N0 = Es/N0 · 7/4. Distances: d² = 4 w for the weights w of codewords; 7 have
    w = 3, 7 have w = 4 and 1 has w = 7.

    Source: Hamming, "Error detecting and error correcting codes" (1950).
    """
    labels = binary_labels(4)
    parity = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
    codewords = np.concatenate([labels, labels @ parity % 2], axis=1)
    return Code("Hamming (7,4), BPSK", (1.0 - 2.0 * codewords).astype(complex), labels)


def random_sphere(messages: int, uses: int, seed: int = 0) -> Code:
    """Random codewords, uniform on the sphere of energy 1 per channel use.

    Their mean block error rate over all seeds is
    `limits.random_spherical_code_bound`.

    Args:
        messages: M.
        uses: C.
        seed: of NumPy's generator.
    """
    if not (2 <= messages <= MAX_MESSAGES and uses >= 1):
        raise InvalidInputError(
            f"{messages} messages in {uses} uses; expected 2 to {MAX_MESSAGES} "
            "messages in at least 1 use, e.g. 256 in 4"
        )
    real, imaginary = np.random.default_rng(seed).normal(size=(2, messages, uses))
    codebook = real + 1j * imaginary
    codebook /= np.sqrt(np.mean(np.abs(codebook) ** 2, axis=1, keepdims=True))
    return Code("random sphere", codebook, _natural_binary_labels(messages))


@functools.cache
def e8(messages: int = 256) -> Code:
    """Points of the lattice E8 with the least energy, in 4 channel uses.

    They are the points nearest to a center, minus their mean; the best of 24 centers.
    With 256 messages d²min = 3.80996 at mean energy 4, 2.80 dB above QPSK; no center is
    known to give more.

    Args:
        messages: M, 2 to 1,024.

    Source: Conway and Sloane, "Sphere Packings, Lattices and Groups", chapter 4 (E8).
    """
    if not 2 <= messages <= MAX_E8_MESSAGES:
        raise InvalidInputError(
            f"messages is {messages}; expected 2 to {MAX_E8_MESSAGES}, e.g. 256"
        )
    # A ball of this radius holds about `messages` points, whatever its center. Centers
    # are within 1 of the origin; a margin of 0.2 is added.
    radius = (24.0 * messages / math.pi**4) ** 0.125
    lattice = e8_lattice((radius + 1.2) ** 2)
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(NUM_E8_CENTERS, 8))
    centers *= np.sqrt(generator.uniform(size=(NUM_E8_CENTERS, 1))) / np.linalg.norm(
        centers, axis=1, keepdims=True
    )
    subsets = [e8_subset(lattice, center, messages) for center in centers]
    best = min(subsets, key=lambda points: round(centered_energy(points), 9))
    points = (best - best.mean(axis=0)) * np.sqrt(4.0 / centered_energy(best))
    codebook = points[:, 0::2] + 1j * points[:, 1::2]
    # All callers share the cached array.
    codebook.flags.writeable = False
    return Code("E8", codebook, _natural_binary_labels(messages))


def e8_lattice(max_squared_norm: float) -> LatticePoints:
    """Points x of E8 with ‖x‖² ≤ `max_squared_norm`; d²min = 2.

    Their coordinates are all integers, or all integers plus ½, with an even sum.
    """
    limit: int = math.ceil(max_squared_norm**0.5)
    cosets: list[LatticePoints] = []
    for offset in (0.0, 0.5):
        values = np.arange(-limit, limit + 1) + offset
        points, squared_norm = np.zeros((1, 0)), np.zeros(1)
        for _ in range(8):
            extended = squared_norm[:, None] + values**2
            row, column = np.nonzero(extended <= max_squared_norm)
            points = np.concatenate([points[row], values[column, None]], axis=1)
            squared_norm = extended[row, column]
        cosets.append(points[points.sum(axis=1) % 2 == 0])
    return np.concatenate(cosets)


def e8_subset(
    lattice: LatticePoints, center: Float[np.ndarray, " 8"], messages: int
) -> Float[np.ndarray, "M 8"]:
    """Points nearest to their own mean, in a search that starts at `center`.

    Each iteration takes the points nearest to the previous points' mean, by which their
    energy about their own mean cannot increase; it ends when the energy is constant.
    """
    squared_norm = np.sum(lattice**2, axis=1)
    energy = np.inf
    while True:
        # The squared distance to the center, less the center's squared norm.
        distance = squared_norm - 2.0 * lattice @ center
        nearest = np.sort(np.argpartition(distance, messages - 1)[:messages])
        points = lattice[nearest]
        if centered_energy(points) > energy - 1e-9:
            return points
        energy, center = centered_energy(points), points.mean(axis=0)


def centered_energy(points: LatticePoints) -> float:
    """Mean of ‖x − x̄‖² over all points."""
    return float(np.sum(np.square(points - points.mean(axis=0)), axis=1).mean())


MAX_MESSAGES = 2**16
"""Messages of a codebook, at most."""

MAX_E8_MESSAGES = 1024
"""Messages of an E8 codebook, at most."""

NUM_E8_CENTERS = 24
"""Random centers, of which an E8 codebook takes the best."""

_CONSTELLATION_NAMES = {2: "BPSK", 4: "QPSK", 8: "8PSK", 16: "16QAM", 64: "64QAM"}


def _can_allocate_bits(bits: int, uses: int) -> bool:
    """Whether `uncoded` can distribute the bits over the channel uses."""
    if uses < 1 or not uses <= bits <= MAX_MESSAGES.bit_length() - 1:
        return False
    return {2 ** (bits // uses), 2 ** -(-bits // uses)} <= _CONSTELLATION_NAMES.keys()


def _constellation(bits: int) -> Complex[np.ndarray, " K"]:
    """Constellation of 2^bits points with mean energy 1, indexed by Gray labels."""
    if bits in (1, 3):
        return np.exp(2j * np.pi * _gray_rank(bits) / 2**bits)
    levels = 2.0 ** (bits // 2) - 1 - 2.0 * _gray_rank(bits // 2)
    points = (levels[:, None] + 1j * levels[None]).ravel()
    return points / np.sqrt(np.mean(np.abs(points) ** 2))


def _gray_rank(bits: int) -> Int[np.ndarray, " K"]:
    """Position of each label in an order in which neighbors differ in one bit."""
    rank = np.arange(1 << bits)
    return np.argsort(rank ^ (rank >> 1))


def bits_per_message(messages: int) -> int | None:
    """Bits of a message, log2 M; None if M is no power of 2."""
    bits = messages.bit_length() - 1
    return bits if messages == 2**bits else None


def binary_labels(bits: int) -> Int[np.ndarray, "M K"]:
    """Binary numbers of 2^bits messages, most significant bit first."""
    return np.arange(1 << bits)[:, None] >> np.arange(bits)[::-1] & 1


def _natural_binary_labels(messages: int) -> Int[np.ndarray, "M K"]:
    """Binary numbers of any number of messages, most significant bit first."""
    return binary_labels(max(1, (messages - 1).bit_length()))[:messages]


def _bits_to_index(labels: Int[np.ndarray, "M K"]) -> Int[np.ndarray, " M"]:
    bits: int = labels.shape[1]
    return labels @ (1 << np.arange(bits)[::-1])


_LEVELS = _gray_rank(2)
_SYMBOLS: dict[str, tuple[str, list[Complex[np.ndarray, " K"]]]] = {
    "qpsk": ("QPSK", [_constellation(2)]),
    "psk8": ("8PSK", [_constellation(3)]),
    "qam16": (
        "16QAM",
        [(3 - 2 * _LEVELS) * unit / np.sqrt(10) for unit in (1 + 0j, 1j)],
    ),
    "pam4": ("4-PAM", [_LEVELS * 6 / 7 - 1.0 + 0j]),
    "ask4": ("4-ASK", [np.sqrt(_LEVELS * 2 / 3) + 0j]),
}
"""Name and axes of the constellations of `symbol_code`; a symbol is a sum over axes.

The levels of 4-PAM are 0, d, 2d, 3d above a bias of −1, for intensity modulation; those
of 4-ASK are the square roots of 0, e, 2e, 3e, for a detector of |x|².
"""

CLASSICAL_TRANSMITTERS: dict[str, Callable[[int, int], Code]] = {
    **{name: functools.partial(symbol_code, name) for name in _SYMBOLS},
    "e8": _e8_in_four_uses,
    "pilot": functools.partial(uncoded, num_pilots=1),
    "comb": comb_pilots,
    "uncoded": uncoded,
    "random": random_sphere,
}
"""Codes of fixed transmitters of M messages in C uses, by name, the simplest first."""
