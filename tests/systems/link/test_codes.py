"""Classical codes: their geometry, and their error rates against the literature."""

import json
from functools import partial
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from syntony.equations import detection, limits
from syntony.errors import InvalidInputError
from syntony.systems.link import codes

TABLES = Path(__file__).parents[2] / "tables"
AWGN = json.loads((TABLES / "link_bounds_awgn.json").read_text())
FADING = {
    row["snr_db"]: row
    for row in json.loads((TABLES / "link_bounds_rbf.json").read_text())
}


def complex_normal(rng, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2)


def pairs(z):
    return jnp.asarray(np.stack([np.real(z), np.imag(z)], axis=-1), jnp.float32)


def reals(z):
    return np.concatenate([np.real(z), np.imag(z)], axis=1)


def distance_after_rotation(code):
    """Distance of i times each codeword from the nearest codeword."""
    return cdist(reals(1j * code.codebook), reals(code.codebook)).min(axis=1)


def coherent(y, codebook, snr_db):
    del snr_db
    return detection.coherent_ml_metric(y, codebook)


@partial(jax.jit, static_argnames="detect")
def count_errors(y, codebook, snr_db, message, *, detect):
    metric = detect(y, codebook, snr_db)
    transmitted = jnp.take_along_axis(metric, message[:, None], axis=1)[:, 0]
    return jnp.sum(transmitted < jnp.max(metric, axis=1))


def block_errors(code, snr_db, blocks, *, detect, fading=False, seed=0):
    """Number of block errors among `blocks`."""
    rng, codebook = np.random.default_rng(seed), pairs(code.codebook)
    errors = 0
    for _ in range(blocks // 10_000):
        message = rng.integers(len(codebook), size=10_000)
        y = code.codebook[message]
        if fading:
            y = complex_normal(rng, 10_000, 1) * y
        y = y + 10 ** (-snr_db / 20) * complex_normal(rng, *y.shape)
        errors += int(count_errors(pairs(y), codebook, snr_db, message, detect=detect))
    return errors


def standard_error(rate, *blocks):
    """Standard error of the difference of two estimates of a rate."""
    return np.sqrt(rate * (1 - rate) * sum(1 / b for b in blocks))


SIZES = [
    (256, 4, False),
    (256, 4, True),
    (256, 5, True),
    (16, 7, False),
    (16, 1, False),
    (2, 1, False),
    (64, 2, False),
    (17, 4, False),
    (2, 2, True),
    (4096, 6, False),
]


@pytest.mark.parametrize(("messages", "uses", "fading"), SIZES)
def test_classical_codes_are_normalized_and_distinct(messages, uses, fading):
    result = codes.classical_codes(messages, uses, fading)
    assert result
    assert len({code.name for code in result}) == len(result)
    for code in result:
        assert code.codebook.shape == (messages, uses)
        assert limits.mean_energy(code.codebook) == pytest.approx(1.0, rel=1e-9)
        assert limits.min_distance(code.codebook) > 1e-6
        assert len(np.unique(code.labels, axis=0)) == messages
        assert set(np.unique(code.labels)) == {0, 1}
        assert 2 ** (code.labels.shape[1] - 1) < messages <= 2 ** code.labels.shape[1]
        assert np.ptp(code.codebook[:, : code.num_pilots], axis=0) == pytest.approx(0)


def test_classical_codes_by_size():
    def names(*args):
        return [code.name for code in codes.classical_codes(*args)]

    assert names(256, 4, False) == ["QPSK", "E8", "random sphere"]
    assert names(256, 4, True) == ["pilot + 8PSK, 8PSK, QPSK", "random sphere"]
    assert names(256, 5, True) == ["pilot + QPSK", "random sphere"]
    assert names(16, 7, False) == ["Hamming (7,4), BPSK", "random sphere"]
    assert names(100, 3, False) == ["random sphere"]


FITTING = {
    (256, 4): "qpsk pam4 ask4 e8 pilot comb random",
    (16, 2): "qpsk qam16 pam4 ask4 pilot random",
    (64, 2): "psk8 pilot random",
    (2, 1): "uncoded random",
    (100, 3): "random",
}
"""Names of fixed transmitters by M and C; pilot and comb are one code in 2 uses."""


@pytest.mark.parametrize("size", FITTING)
def test_fixed_transmitters_by_size(size):
    starts = codes.classical_starts(*size)
    assert [name for name, _ in starts] == FITTING[size].split()
    for name, codebook in starts:
        assert codebook.shape == size
        assert limits.mean_energy(codebook) == pytest.approx(1.0, rel=1e-9)
        assert limits.min_distance(codebook) > 1e-6
        np.testing.assert_array_equal(
            codes.classical_code(name, *size).codebook, codebook
        )


def test_every_size_has_a_fixed_transmitter_and_no_code_twice():
    for messages in range(2, 40):
        for uses in (1, 2, 3):
            starts = codes.classical_starts(messages, uses)
            assert starts[-1][0] == "random"
            flat = [codebook.ravel() for _, codebook in starts]
            assert len(flat) == 1 or pdist(reals(np.stack(flat))).min() > 1e-6


def test_levels_of_one_real_dimension_by_hand():
    d = 6 / 7
    pam = np.sort(np.real(codes.classical_code("pam4", 4, 1).codebook).ravel())
    np.testing.assert_allclose(pam, [-1, d - 1, 2 * d - 1, 3 * d - 1], rtol=1e-12)
    ask = np.sort(np.real(codes.classical_code("ask4", 4, 1).codebook).ravel())
    np.testing.assert_allclose(ask**2, [0, 2 / 3, 4 / 3, 2], atol=1e-12)


# M, C, and d²min of the codebook. Of 16QAM a symbol twice as it is has 0.8; in another
# order of the levels, 5 / 2 times as much. 8PSK in steps of 1 and then of 3: 4.
REPEATED = {
    "qam16": (16, 2, 2.0, "16QAM sent twice"),
    "psk8": (8, 2, 4.0, "8PSK sent twice"),
    "qpsk": (4, 3, 8.0, "QPSK sent 3 times"),
    "pam4": (4, 2, 5 * (6 / 7) ** 2, "4-PAM sent twice"),
}


@pytest.mark.parametrize("name", REPEATED)
def test_repeated_symbols_are_sent_in_another_order(name):
    messages, uses, want, label = REPEATED[name]
    code = codes.classical_code(name, messages, uses)
    assert code.name == label
    assert limits.min_distance(code.codebook) ** 2 == pytest.approx(want)
    once = np.sort_complex(codes.classical_code(name, messages, 1).codebook[:, 0])
    for use in range(uses):
        symbols = np.sort_complex(code.codebook[:, use].round(9))
        np.testing.assert_allclose(symbols, np.sort_complex(once.round(9)), atol=1e-8)


def test_products_of_symbols_have_gray_labels():
    code = codes.classical_code("psk8", 64, 2)
    distance = cdist(reals(code.codebook), reals(code.codebook))
    bits = np.sum(code.labels[:, None] != code.labels[None], axis=-1)
    near = (distance > 0) & (distance < limits.min_distance(code.codebook) + 1e-9)
    np.testing.assert_array_equal(bits[near], 1)


def test_qpsk_by_hand():
    code = codes.qpsk(2)
    # Message 6 is 01 10: (+1 − i)/√2, then (−1 + i)/√2.
    np.testing.assert_array_equal(code.labels[6], [0, 1, 1, 0])
    want = np.array([1 - 1j, -1 + 1j]) / np.sqrt(2)
    np.testing.assert_allclose(code.codebook[6], want, rtol=1e-12)


@pytest.mark.parametrize("messages", [2, 4, 8, 16, 64])
def test_neighbors_differ_in_one_bit(messages):
    code = codes.uncoded(messages, 1)
    distance = cdist(reals(code.codebook), reals(code.codebook))
    bits = np.sum(code.labels[:, None] != code.labels[None], axis=-1)
    nearest = limits.min_distance(code.codebook)
    near = (distance > 0) & (distance < nearest * (1 + 1e-9))
    np.testing.assert_array_equal(bits[near], 1)


def test_constellations_have_their_known_distances():
    """d² of PSK is 4 sin²(π/K), of square QAM 6/(K − 1)."""
    for messages, want in {
        2: 4.0,
        4: 2.0,
        8: 4 * np.sin(np.pi / 8) ** 2,
        16: 6 / 15,
        64: 6 / 63,
    }.items():
        got = limits.min_distance(codes.uncoded(messages, 1).codebook) ** 2
        assert got == pytest.approx(want, rel=1e-9)


def test_qpsk_has_its_error_rate():
    code, blocks = codes.qpsk(4), 40_000
    for snr_db in (2.0, 8.0):
        errors = block_errors(code, snr_db, blocks, detect=coherent)
        want = limits.qpsk_bler(snr_db, 256, 4)
        assert errors / blocks == pytest.approx(
            want, abs=3.5 * standard_error(want, blocks)
        )


def test_hamming_is_the_perfect_code():
    code = codes.hamming()
    bits = (np.real(code.codebook) < 0).astype(int)
    weights = np.bincount(bits.sum(axis=1), minlength=8)
    np.testing.assert_array_equal(weights, [1, 0, 0, 7, 7, 0, 0, 1])
    sums = (bits[:, None] ^ bits[None]).reshape(-1, 7)
    assert {tuple(bit) for bit in sums} == {tuple(bit) for bit in bits}
    np.testing.assert_array_equal(bits[:, :4], code.labels)


# Eb/N0 in dB: union bound, ML by simulation. Es/N0 is lower by 10 log₁₀(7/4).
HAMMING = {0: (0.3404, 0.1805), 4: (0.01415, 0.01186), 5: (3.975e-3, 3.50e-3)}


@pytest.mark.parametrize("ebn0_db", HAMMING)
def test_hamming_union_bound(ebn0_db):
    snr_db = ebn0_db - 10 * np.log10(7 / 4)
    got = limits.union_bound(codes.hamming().codebook, snr_db)
    energy = 4 / 7 * 10 ** (ebn0_db / 10)
    want = sum(
        count * stats.norm.sf(np.sqrt(2 * weight * energy))
        for weight, count in {3: 7, 4: 7, 7: 1}.items()
    )
    assert got == pytest.approx(want, rel=1e-9)
    assert got == pytest.approx(HAMMING[ebn0_db][0], rel=1e-3)


@pytest.mark.parametrize("ebn0_db", [0, 4])
def test_hamming_has_its_known_error_rate(ebn0_db):
    snr_db, blocks = ebn0_db - 10 * np.log10(7 / 4), 100_000
    errors = block_errors(codes.hamming(), snr_db, blocks, detect=coherent)
    want = HAMMING[ebn0_db][1]
    # The table's own error is that of some thousands of errors, and its last digit.
    within = 3 * standard_error(want, blocks, blocks)
    assert errors / blocks == pytest.approx(want, abs=within)


def test_e8_lattice_has_its_theta_series():
    """1 + 240 Σ σ₃(n) q^{2n}: 240 nearest neighbors, the kissing number."""
    points = codes.e8_lattice(8.0)
    norms, counts = np.unique(np.sum(points**2, axis=1), return_counts=True)
    np.testing.assert_array_equal(norms, [0, 2, 4, 6, 8])
    cubes = [sum(d**3 for d in range(1, n + 1) if n % d == 0) for n in range(1, 5)]
    np.testing.assert_array_equal(counts, [1, *(240 * cube for cube in cubes)])
    # A lattice: sums of neighbors are points.
    shell = points[np.sum(points**2, axis=1) == 2]
    assert {tuple(x) for x in shell[:40] + shell[100]} <= {tuple(x) for x in points}


def test_e8_is_the_best_known_packing():
    code = codes.e8(256)
    codewords = reals(code.codebook)
    np.testing.assert_allclose(codewords.mean(axis=0), 0.0, atol=1e-12)
    assert limits.min_distance(code.codebook) ** 2 >= AWGN["info"]["e8_dmin2"] - 1e-9
    want = np.sort(pdist(np.load(TABLES / "e8_256.npy")))
    np.testing.assert_allclose(np.sort(pdist(codewords)), want, rtol=1e-9)


def test_no_other_center_has_less_energy():
    """Compared: a lattice point, holes of both kinds, and 100 random centers."""
    lattice = codes.e8_lattice(8.0)
    rng = np.random.default_rng(7)
    deep, shallow = np.eye(8)[0], np.array([5.0, 1, 1, 1, 1, 1, 1, 1]) / 6
    special = [np.zeros(8), deep, shallow, deep / 2, shallow / 2]
    random = rng.normal(size=(100, 8))
    random *= rng.uniform(0.02, 1, size=(100, 1)) / np.linalg.norm(
        random, axis=1, keepdims=True
    )
    least = min(
        codes.centered_energy(codes.e8_subset(lattice, center, 256))
        for center in [*special, *random]
    )
    assert least >= 8 / limits.min_distance(codes.e8(256).codebook) ** 2 - 1e-9


def test_e8_of_few_messages_are_known_packings():
    """2: opposite points. 16: the vertices of a deep hole, ±8 axes, d² = 8."""
    pair = codes.e8(2).codebook
    np.testing.assert_allclose(pair[0], -pair[1], atol=1e-12)
    assert limits.min_distance(pair) ** 2 == pytest.approx(16.0)
    distances = pdist(reals(codes.e8(16).codebook)) ** 2
    values, counts = np.unique(np.round(distances, 4), return_counts=True)
    np.testing.assert_array_equal(values, [8, 16])
    np.testing.assert_array_equal(counts, [16 * 14 / 2, 8])


def test_e8_has_its_known_error_rate():
    code, blocks = codes.e8(256), 40_000
    for snr_db in (0, 6):
        errors = block_errors(code, float(snr_db), blocks, detect=coherent)
        row = AWGN["rows"][snr_db]
        within = 3 * standard_error(row["e8_mc"], blocks, row["e8_blocks"])
        assert errors / blocks == pytest.approx(row["e8_mc"], abs=within)


@pytest.mark.parametrize("uses", [4, 5])
@pytest.mark.parametrize("detector", ["lmmse", "ncml"])
def test_pilot_schemes_have_their_known_error_rates(uses, detector):
    detect = {
        "lmmse": detection.pilot_aided_ml_metric,
        "ncml": detection.noncoherent_ml_metric,
    }[detector]
    code, blocks = codes.uncoded(256, uses, num_pilots=1), 40_000
    name = {4: "pilot_884", 5: "pilot_qpsk"}[uses] + f"_{detector}_N{uses}"
    for snr_db in (10, 20):
        errors = block_errors(
            code,
            float(snr_db),
            blocks,
            detect=detect,
            fading=True,
            seed=snr_db + uses,
        )
        want = FADING[snr_db][name]
        within = 3.5 * standard_error(want, blocks, 400_000)
        assert errors / blocks == pytest.approx(want, abs=within)
        assert errors / blocks > limits.rayleigh_csi_bound(snr_db, 256, uses)


def test_mean_error_rate_of_random_codes():
    """The mean over seeds, against the exact mean over the ensemble."""
    snr_db, blocks = 3.0, 10_000
    rates = [
        block_errors(
            codes.random_sphere(16, 2, seed=seed),
            snr_db,
            blocks,
            detect=coherent,
            seed=seed,
        )
        / blocks
        for seed in range(20)
    ]
    error = np.std(rates) / np.sqrt(len(rates))
    want = limits.random_spherical_code_bound(snr_db, 16, 2)
    assert np.mean(rates) == pytest.approx(want, abs=3.5 * error)
    energies = limits.energy_range(codes.random_sphere(16, 2).codebook)
    assert energies == pytest.approx((1.0, 1.0))


def test_with_a_pilot_no_rotation_of_a_codeword_is_a_codeword():
    """Without one i times a QPSK codeword is one: the phase is ambiguous."""
    plain, pilot = codes.qpsk(4), codes.uncoded(256, 5, num_pilots=1)
    np.testing.assert_allclose(distance_after_rotation(plain), 0.0, atol=1e-6)
    assert distance_after_rotation(pilot).min() > 1.0


def test_more_messages_have_a_smaller_distance():
    distance = [limits.min_distance(codes.e8(m).codebook) for m in (16, 64, 256)]
    assert all(more < fewer for fewer, more in pairwise(distance))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: codes.qpsk(0), "uses is 0"),
        (lambda: codes.uncoded(100, 4), "100 messages"),
        (lambda: codes.uncoded(16, 7), "16 messages"),
        (lambda: codes.uncoded(2**5, 1), "32 messages"),
        (lambda: codes.uncoded(16, 1, num_pilots=1), "0 uses"),
        (lambda: codes.e8(1), "messages is 1"),
        (lambda: codes.random_sphere(1, 4), "1 messages"),
        (lambda: codes.classical_code("qpsk", 256, 3), "of 4 or 64, or uses of 4"),
        (lambda: codes.classical_code("qam16", 64, 1), "expected messages of 16"),
        (lambda: codes.classical_code("e8", 256, 5), "'e8': uses is 5"),
        (lambda: codes.classical_code("pilot", 256, 1), "'pilot': 256 messages"),
        (lambda: codes.classical_code("comb", 4, 1), "'comb': uses is 1"),
    ],
)
def test_invalid_input_is_rejected_in_one_line(call, message):
    with pytest.raises(InvalidInputError, match=message) as error:
        call()
    assert "expected" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_transmitter_has_a_near_name():
    with pytest.raises(InvalidInputError, match="did you mean 'qpsk'"):
        codes.classical_code("qspk", 256, 4)
