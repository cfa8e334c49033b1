"""Bounds against stored tables, closed forms, other quadratures and each other."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from syntony.equations import limits
from syntony.equations.spherical_caps import (
    cap_angle,
    cap_fraction,
    cone_escape_probability,
)
from syntony.errors import InvalidInputError
from syntony.systems.link.codes import uncoded

TABLES = Path(__file__).parents[1] / "tables"
AWGN = json.loads((TABLES / "link_bounds_awgn.json").read_text())
FADING = json.loads((TABLES / "link_bounds_rbf.json").read_text())
REALS = np.load(TABLES / "e8_256.npy")
E8 = REALS[:, 0::2] + 1j * REALS[:, 1::2]

BOUNDS = {
    "capacity_bits": limits.capacity,
    "shannon59": limits.shannon59,
    "shannon59_peak": limits.shannon59_peak,
    "metaconverse": limits.metaconverse,
    "normal_approx": limits.normal_approximation,
    "qpsk": limits.qpsk_bler,
}
# Error rates that decrease with the SNR and accept any M and N.
RATES = [
    limits.shannon59,
    limits.shannon59_peak,
    limits.metaconverse,
    limits.random_spherical_code_bound,
    limits.rayleigh_csi_bound,
]


def column(rows, name):
    return np.array([row[name] for row in rows], float)


@pytest.mark.parametrize("name", BOUNDS)
def test_awgn_table(name):
    rows = AWGN["rows"]
    got = BOUNDS[name](column(rows, "snr_db"), 256, 4)
    np.testing.assert_allclose(got, column(rows, name), rtol=1e-6)


def test_union_bound_of_the_stored_codebook():
    rows = AWGN["rows"]
    got = limits.union_bound(E8, column(rows, "snr_db"))
    np.testing.assert_allclose(got, column(rows, "e8_union"), rtol=1e-6)


@pytest.mark.parametrize(("name", "rate"), [("outage_R2", 2.0), ("outage_R1p6", 1.6)])
def test_outage_table(name, rate):
    got = limits.rayleigh_outage(column(FADING, "snr_db"), rate)
    np.testing.assert_allclose(got, column(FADING, name), rtol=1e-6)


@pytest.mark.parametrize(
    ("bound", "name", "uses"),
    [
        (limits.rayleigh_csi_bound, "csir_shannon59_N4", 4),
        (limits.rayleigh_csi_bound, "csir_shannon59_N5", 5),
        (limits.rayleigh_qpsk_bler, "csi_qpsk_N4", 4),
    ],
)
def test_fading_table(bound, name, uses):
    """The table's own quadrature is good to 5e-5: tighter checks follow below."""
    got = bound(column(FADING, "snr_db"), 256, uses)
    np.testing.assert_allclose(got, column(FADING, name), rtol=5e-5)


def test_random_spherical_code_table():
    """As for fading: this column's own error is 5e-5."""
    got = limits.random_spherical_code_bound(column(AWGN["rows"], "snr_db"), 256, 4)
    np.testing.assert_allclose(got, column(AWGN["rows"], "random_sphere"), rtol=5e-5)


def test_properties_of_the_stored_codebook():
    info = AWGN["info"]
    assert np.degrees(cap_angle(1 / 256, 8)) == pytest.approx(info["cone_angle_deg"])
    assert limits.min_distance(E8) ** 2 == pytest.approx(info["e8_dmin2"], rel=1e-9)
    assert limits.mean_energy(E8) == pytest.approx(1.0, rel=1e-12)
    low, high = limits.energy_range(E8)
    energies = np.sum(REALS**2, axis=1) / 4
    assert (low, high) == pytest.approx((energies.min(), energies.max()))


@pytest.mark.parametrize(("messages", "uses"), [(2, 1), (2, 4), (2, 30)])
def test_two_antipodal_codewords(messages, uses):
    """M = 2: the cone is a half-space, P = Q(√(nγ)), and no code does better."""
    snr_db = np.array([-20.0, 0.0, 5.0, 10.0])
    want = stats.norm.sf(np.sqrt(2 * uses * 10 ** (snr_db / 10)))
    np.testing.assert_allclose(limits.shannon59(snr_db, messages, uses), want, 1e-9)
    pair = np.stack([np.ones(uses), -np.ones(uses)]).astype(complex)
    np.testing.assert_allclose(limits.union_bound(pair, snr_db), want, rtol=1e-12)


def test_3psk_meets_the_bound():
    """M = 3, N = 1: the decision regions of 3PSK are the cones of the bound."""
    gamma = 10.0
    inside = integrate.dblquad(
        lambda q, i: np.exp(-((i - np.sqrt(gamma)) ** 2) - q**2) / np.pi,
        0,
        12,
        lambda i: -np.tan(np.pi / 3) * i,
        lambda i: np.tan(np.pi / 3) * i,
        epsabs=1e-13,
    )
    # The cone's half-angle is 60°: it lies in i > 0.
    assert limits.shannon59(10.0, 3, 1) == pytest.approx(1 - inside[0], rel=1e-8)


def panels(low, high, count):
    """Nodes and weights of a fine composite rule."""
    x, w = np.polynomial.legendre.leggauss(24)
    edges = np.linspace(low, high, count + 1)
    half = (high - low) / count / 2
    return ((edges[:-1] + half)[:, None] + half * x).ravel(), np.tile(half * w, count)


@pytest.mark.parametrize("dimensions", [2, 3, 8, 15, 60])
@pytest.mark.parametrize("angle", [0.05, 0.6, 0.78, 0.79, 1.2, 1.7, 2.5])
def test_cone_escape_probability_against_a_fine_quadrature(dimensions, angle):
    """Given r ~ χ_{n−1}, the point is outside if y < r cot θ, y ~ N(μ, 1)."""
    r, weight = panels(0.0, np.sqrt(dimensions) + 18.0, 400)
    density = stats.chi.pdf(r, dimensions - 1)
    for offset in (0.0, 1.0, 4.0, 9.0):
        want = np.sum(weight * density * stats.norm.cdf(r / np.tan(angle), offset))
        got = cone_escape_probability(offset, angle, dimensions)
        assert got == pytest.approx(want, rel=1e-9)


@given(st.floats(1e-12, 1 - 1e-9), st.integers(2, 300), st.integers(1, 200).map(float))
def test_cap_angle_inverts_cap_fraction(fraction, dimensions, bits):
    for value in (fraction, 2.0**-bits):
        angle = cap_angle(value, dimensions)
        assert cap_fraction(angle, dimensions) == pytest.approx(value, rel=1e-7)


def test_caps_of_the_circle_and_the_sphere():
    """In the plane Ω = θ/π; in space, the cap's height over the diameter."""
    angle = np.linspace(0.01, 3.1, 30)
    np.testing.assert_allclose(cap_fraction(angle, 2), angle / np.pi, rtol=1e-10)
    np.testing.assert_allclose(cap_fraction(angle, 3), np.sin(angle / 2) ** 2, 1e-9)


def test_published_values_of_the_hamming_code():
    """n = 7 real uses, M = 16: energy 1 per real use is γ = 2 R Eb/N0, R = 4/7."""
    want = {0: 0.1588, 2: 0.04994, 4: 0.007075, 6: 2.674e-4, 8: 1.166e-6}
    angle = cap_angle(1 / 16, 7)
    for ebn0_db, bound in want.items():
        gamma = 2 * 4 / 7 * 10 ** (ebn0_db / 10)
        got = cone_escape_probability(np.sqrt(7 * gamma), angle, 7)
        assert got == pytest.approx(bound, rel=1e-3)


def test_metaconverse_against_a_simulated_test():
    """P is the miss rate at a false alarm rate of 1/M under white noise."""
    rng = np.random.default_rng(0)
    n, gamma, blocks = 8, 10**0.4, 400_000
    y_code = rng.normal(size=(blocks, n)) + np.sqrt(gamma)
    y_noise = np.sqrt(1 + gamma) * rng.normal(size=(blocks, n))
    # The likelihood ratio of N(c, I) to N(0, (1 + γ) I).
    center = np.sqrt(gamma) * (1 + gamma) / gamma
    statistic = np.sum((y_noise - center) ** 2, axis=1)
    missed = np.sum((y_code - center) ** 2, axis=1) > np.quantile(statistic, 1 / 256)
    assert limits.metaconverse(4.0, 256, 4) == pytest.approx(missed.mean(), abs=0.012)


@pytest.mark.parametrize("snr_db", [0.0, 6.0, 12.0])
def test_random_spherical_code_against_a_planar_quadrature(snr_db):
    n, mu = 8, np.sqrt(8 * 10 ** (snr_db / 10))
    x, w = np.polynomial.legendre.leggauss(400)
    y, r = mu + 9 * x[:, None], 4.5 * (1 + x[None])
    weight = 9 * w[:, None] * stats.norm.pdf(y - mu) * 4.5 * w * stats.chi.pdf(r, n - 1)
    fraction = cap_fraction(np.arctan2(r, y), n)
    want = np.sum(weight * (1 - (1 - fraction) ** 255))
    assert limits.random_spherical_code_bound(snr_db, 256, 4) == pytest.approx(
        want, rel=1e-9
    )


def test_random_spherical_code_of_two_codewords():
    """M = 2: E[Q(√γ d/√2)] over the distance d of two random points of the sphere."""
    n, gamma = 4, 10**0.3

    def pair(angle):
        density = np.sin(angle) ** (n - 2) / special.beta((n - 1) / 2, 0.5)
        distance = 2 * np.sqrt(n / 2) * np.sin(angle / 2)
        return density * stats.norm.sf(np.sqrt(gamma / 2) * distance)

    want = integrate.quad(pair, 0, np.pi)[0]
    assert limits.random_spherical_code_bound(3.0, 2, 2) == pytest.approx(
        want, rel=1e-9
    )


@pytest.mark.parametrize("snr_db", [-10.0, 10.0, 40.0])
def test_rayleigh_qpsk_of_one_use_against_a_closed_form(snr_db):
    """N = 1, 1 − (1 − Q)²: closed forms of E[Q] and E[Q²] over Rayleigh fading.

    Source: Simon and Alouini, "Digital Communication over Fading Channels", chapter 5.
    """
    gamma = 10 ** (snr_db / 10)
    root = np.sqrt(gamma / (2 + gamma))
    mean = 1 / (2 + gamma) / (1 + root)  # ½(1 − root), without its cancellation
    square = 0.25 * (1 - root * 4 / np.pi * np.arctan(1 / root))
    want = 2 * mean - square
    assert limits.rayleigh_qpsk_bler(snr_db, 4, 1) == pytest.approx(want, rel=1e-9)


def test_rayleigh_csi_bound_against_a_fine_quadrature():
    snr_db, gamma = 20.0, 100.0

    amplitude, weight = panels(0.0, 1.2, 60)
    given_h = limits.shannon59(20 * np.log10(np.sqrt(gamma) * amplitude), 256, 4)
    want = np.sum(weight * 2 * amplitude * np.exp(-(amplitude**2)) * given_h)
    got = limits.rayleigh_csi_bound(snr_db, 256, 4)
    assert got == pytest.approx(want, rel=1e-9)


def test_normal_approximation_is_near_the_bounds_for_long_blocks():
    """At N = 500 it is near the lower and the upper bound."""
    snr_db = np.array([-1.0, -0.5, 0.0])
    low = limits.shannon59(snr_db, 2**400, 500)
    high = limits.random_spherical_code_bound(snr_db, 2**400, 500)
    middle = limits.normal_approximation(snr_db, 2**400, 500)
    assert np.all(low < high)
    np.testing.assert_allclose(np.log10(middle), np.log10(low), atol=0.5)
    np.testing.assert_allclose(np.log10(middle), np.log10(high), atol=0.5)


@settings(max_examples=25)
@given(
    st.sampled_from(RATES),
    st.floats(-30, 25),
    st.floats(0.01, 5),
    st.integers(2, 5000),
    st.integers(1, 12),
)
def test_rates_decrease_with_snr_and_increase_with_messages(
    rate, snr_db, step, messages, uses
):
    value = rate(snr_db, messages, uses)
    assert 0 <= rate(snr_db + step, messages, uses) <= value * (1 + 1e-9)
    assert value * (1 - 1e-9) <= rate(snr_db, messages + 1, uses) <= 1


@settings(max_examples=25)
@given(st.floats(-20, 20), st.integers(2, 5000), st.integers(1, 12))
def test_order_of_the_bounds(snr_db, messages, uses):
    equal = limits.shannon59(snr_db, messages, uses)
    assert limits.metaconverse(snr_db, messages, uses) <= equal * (1 + 1e-6)
    assert limits.shannon59_peak(snr_db, messages, uses) <= equal * (1 + 1e-9)
    assert equal <= limits.random_spherical_code_bound(snr_db, messages, uses) * (
        1 + 1e-9
    )


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(1, 5), st.floats(-5, 15))
def test_any_codebook_lies_between_its_bounds(seed, messages, uses, snr_db):
    rng = np.random.default_rng(seed)
    codebook = rng.normal(size=(messages, uses)) + 1j * rng.normal(
        size=(messages, uses)
    )
    upper = limits.union_bound(codebook, snr_db) * (1 + 1e-9)
    assert limits.codebook_lower_bound(codebook, snr_db) <= upper
    codebook /= np.sqrt(np.mean(np.abs(codebook) ** 2, axis=1, keepdims=True))
    upper = limits.union_bound(codebook, snr_db) * (1 + 1e-9)
    assert limits.shannon59(snr_db, messages, uses) <= upper


def test_codebook_lower_bound_uses_the_maximum_energy():
    """Energy 2 instead of 1 is 3.01 dB more."""
    codebook = np.exp(2j * np.pi * np.arange(8) / 8)[:, None]
    got = limits.codebook_lower_bound(np.sqrt(2) * codebook, 5.0)
    want = limits.shannon59_peak(5.0 + 10 * np.log10(2), 8, 1)
    assert got == pytest.approx(want, rel=1e-9)


def test_limits_of_low_and_high_snr():
    for rate in RATES:
        assert rate(-100.0, 256, 4) == pytest.approx(1 - 1 / 256, rel=1e-4)
    assert limits.shannon59(100.0, 256, 4) == 0.0
    assert limits.qpsk_bler(-100.0, 256, 4) == pytest.approx(1 - 1 / 256, rel=1e-4)


def test_relative_error_of_small_rates():
    """At high SNR the rate of QPSK is 2N Q(√γ), down to 10^-100 and less."""
    for snr_db in (20.0, 26.0):
        tail = stats.norm.sf(np.sqrt(10 ** (snr_db / 10)))
        assert limits.qpsk_bler(snr_db, 256, 4) == pytest.approx(8 * tail, rel=1e-9)
    # The slope of ln P tends to −n sin²θ / 2 in γ.
    low, high = limits.shannon59(np.array([24.0, 24.1]), 256, 4)
    slope = np.log(high / low) / (10**2.41 - 10**2.4)
    assert slope == pytest.approx(-4 * np.sin(cap_angle(1 / 256, 8)) ** 2, rel=0.05)


def test_results_have_the_shape_of_the_snr():
    for bound in (
        *BOUNDS.values(),
        limits.random_spherical_code_bound,
        limits.rayleigh_qpsk_bler,
    ):
        scalar = bound(7, 256, 4)
        assert type(scalar) is float
        array = bound(np.array([[7, 3, 0]]), 256, 4)
        assert array.shape == (1, 3)
        assert array[0, 0] == pytest.approx(scalar, rel=1e-12)
    assert type(limits.union_bound(E8, 7.0)) is float
    assert limits.union_bound(E8, np.array([[7.0, 8.0]])).shape == (1, 2)
    assert type(limits.rayleigh_outage(7.0, 2)) is float


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: limits.shannon59(3.0, 1, 4), "messages is 1; expected"),
        (lambda: limits.shannon59(3.0, 256, 0), "uses is 0; expected"),
        (lambda: limits.capacity(np.nan, 256, 4), "snr_db is nan; expected"),
        (lambda: limits.capacity(np.array([1, np.inf]), 256, 4), "snr_db is array"),
        (lambda: limits.metaconverse(3.0, 2**401, 4), "at most"),
        (lambda: limits.qpsk_bler(3.0, 255, 4), "256 messages, not 255"),
        (lambda: limits.rayleigh_qpsk_bler(3.0, 16, 4), "256 messages, not 16"),
        (lambda: limits.union_bound(E8[:1], 3.0), "shape"),
        (lambda: limits.union_bound(E8[0], 3.0), "shape"),
        (lambda: limits.min_distance(E8 * np.inf), "not finite"),
        (lambda: limits.rayleigh_outage(3.0, 0.0), "rate is 0.0"),
    ],
)
def test_invalid_input_raises_a_message_of_one_line(call, message):
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(InvalidInputError, match=message) as error,
    ):
        call()
    assert "expected" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [2, 4, 8, 16, 64])
@pytest.mark.parametrize("snr_db", [0.0, 9.0])
def test_uncoded_symbols_have_their_error_rate(size, snr_db):
    """Against decisions for the nearest point, in NumPy."""
    rng, blocks = np.random.default_rng(size), 40_000
    points = uncoded(size, 1).codebook[:, 0]
    message = rng.integers(size, size=blocks)
    noise = rng.normal(size=(2, blocks)) * np.sqrt(0.5 * 10 ** (-snr_db / 10))
    y = points[message] + noise[0] + 1j * noise[1]
    nearest = np.argmin(np.abs(y[:, None] - points), axis=1)
    want = limits.uncoded_bler(snr_db, [size])
    error = np.sqrt(want * (1 - want) / blocks)
    assert np.mean(nearest != message) == pytest.approx(want, abs=3.5 * error)


def test_uncoded_symbols_of_several_uses():
    snr_db = np.array([-3.0, 6.0, 14.0])
    got = limits.uncoded_bler(snr_db, [4] * 4)
    np.testing.assert_allclose(got, limits.qpsk_bler(snr_db, 256, 4), rtol=1e-12)
    one = [limits.uncoded_bler(snr_db, [size]) for size in (2, 8, 16)]
    want = 1 - (1 - one[0]) * (1 - one[1]) * (1 - one[2])
    np.testing.assert_allclose(limits.uncoded_bler(snr_db, [2, 8, 16]), want, rtol=1e-9)


HINTED = {-5.0: (0.7290, 0.7236), 0.0: (0.8253, 0.8151), 10.0: (0.9990, 0.9989)}
"""Success with K = 4 in one use and a hint of 0.7, from another program: the bound, and
QPSK with MAP."""


@pytest.mark.parametrize("snr_db", HINTED)
def test_table_with_a_hint(snr_db):
    got = [
        1.0 - rate(snr_db, 4, 1, 0.7)
        for rate in (limits.hinted_shannon59, limits.hinted_qpsk_bler)
    ]
    np.testing.assert_allclose(got, HINTED[snr_db], atol=6e-5)


def test_a_hint_that_tells_nothing_changes_nothing():
    for snr_db, messages, uses in ((-5.0, 4, 1), (0.0, 16, 2), (3.0, 256, 4)):
        nothing = 1.0 / messages
        arguments = snr_db, messages, uses
        for hinted, plain in (
            (limits.hinted_shannon59, limits.shannon59),
            (limits.hinted_qpsk_bler, limits.qpsk_bler),
        ):
            np.testing.assert_allclose(
                hinted(*arguments, nothing), plain(*arguments), atol=1e-5
            )


@pytest.mark.parametrize("hint", [0.0, 0.1, 0.25, 0.5, 0.7, 0.95, 1.0])
def test_without_a_channel_the_hint_decides(hint):
    guess = limits.hint_bler(4, hint)
    # Of a uniform message m and its hint, one of 4 x 4 pairs each, the best guess.
    joint = np.where(np.eye(4) == 1, hint, (1 - hint) / 3) / 4
    np.testing.assert_allclose(guess, 1 - joint.max(0).sum())
    for rate in (limits.hinted_shannon59, limits.hinted_qpsk_bler):
        np.testing.assert_allclose(rate(-90.0, 4, 1, hint), guess, atol=1e-4)


def hinted_success(snr_db, codebook, hint):
    """Success with MAP over one complex use: the integral of the largest posterior."""
    grid = np.linspace(-8.0, 8.0, 601)
    received = np.stack(np.meshgrid(grid, grid), axis=-1)[:, :, None]
    # Noise of variance 1 per real dimension, energy 2γ.
    points = codebook * np.sqrt(2.0 * 10.0 ** (snr_db / 10.0))
    density = np.exp(-0.5 * np.sum((received - points) ** 2, -1)) / (2 * np.pi)
    area = (grid[1] - grid[0]) ** 2
    total = 0.0
    for hinted in range(len(points)):
        other = (1.0 - hint) / (len(points) - 1)
        prior = np.where(np.arange(len(points)) == hinted, hint, other) / len(points)
        total += np.max(prior * density, axis=-1).sum() * area
    return total


def ring(size, offset=0.0):
    angle = 2 * np.pi * np.arange(size) / size + offset
    return np.stack([np.cos(angle), np.sin(angle)], -1)


@pytest.mark.parametrize("hint", [0.1, 0.7])
def test_qpsk_with_a_hint_equals_the_integral_over_the_plane(hint):
    expected = hinted_success(2.0, ring(4, np.pi / 4), hint)
    got = 1.0 - limits.hinted_qpsk_bler(2.0, 4, 1, hint)
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("hint", [0.2, 0.7])
def test_no_ring_code_is_better_than_the_bound_with_a_hint(hint):
    """Regular and irregular codes of equal energy, of three messages."""
    rng = np.random.default_rng(0)
    codes = [ring(3), *(ring(3) @ rng.normal(size=(2, 2)) for _ in range(3))]
    bound = 1.0 - limits.hinted_shannon59(0.0, 3, 1, hint)
    for code in codes:
        code = code / np.linalg.norm(code, axis=-1, keepdims=True)
        assert hinted_success(0.0, code, hint) < bound + 1e-4
    # Three cones of 120° tile the plane: without a hint the bound is reached.
    even = hinted_success(0.0, ring(3), 1 / 3)
    np.testing.assert_allclose(
        1.0 - limits.hinted_shannon59(0.0, 3, 1, 1 / 3), even, atol=1e-4
    )


@pytest.mark.parametrize("hint", [0.02, 0.5])
def test_qpsk_of_two_uses_with_a_hint_equals_simulation(hint):
    blocks, messages = 100_000, 16
    rng = np.random.default_rng(1)
    bits = 1 - 2 * ((np.arange(messages)[:, None] >> np.arange(4)) & 1)
    sent = rng.integers(messages, size=blocks)
    other = (sent + rng.integers(1, messages, size=blocks)) % messages
    hinted = np.where(rng.random(blocks) < hint, sent, other)
    metric = (bits[sent] + rng.normal(size=(blocks, 4))) @ bits.T
    log_prior = np.full((blocks, messages), np.log((1 - hint) / (messages - 1)))
    log_prior[np.arange(blocks), hinted] = np.log(hint)
    wrong = (metric + log_prior).argmax(1) != sent
    expected = limits.hinted_qpsk_bler(0.0, messages, 2, hint)
    assert abs(wrong.mean() - expected) < 4 * np.sqrt(expected / blocks)


@pytest.mark.parametrize("hint", [-0.1, 1.1, float("nan")])
def test_an_invalid_hint_is_reported(hint):
    for call in (
        lambda: limits.hint_bler(4, hint),
        lambda: limits.hinted_shannon59(0.0, 4, 1, hint),
        lambda: limits.hinted_qpsk_bler(0.0, 4, 1, hint),
    ):
        with pytest.raises(InvalidInputError, match=r"hint is .*; expected the prob"):
            call()
