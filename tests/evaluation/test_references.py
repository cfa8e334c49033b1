"""Classical references: the stored table, closed forms, and what is simulated."""

import json
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, Key

from syntony.channels.registry import channel
from syntony.equations import limits
from syntony.equations.signal import complex_to_pairs
from syntony.evaluation.references import (
    REFERENCE_BLOCK_ERRORS,
    TableKey,
    classical_rates,
    reference_table,
)
from syntony.systems.link import codes
from syntony.systems.link.link import Link

TABLES = Path(__file__).parents[1] / "tables"
AWGN = json.loads((TABLES / "link_bounds_awgn.json").read_text())["rows"]
FADING = {
    row["snr_db"]: row
    for row in json.loads((TABLES / "link_bounds_rbf.json").read_text())
}


def rates_at(snrs_db: list[float], id: str, uses: int = 4):
    """Rates of all classical codes of 256 messages, at most 10^6 blocks a point."""
    link = Link(channel=channel(id), uses=uses)
    channels = [link.channel.with_snr(snr_db) for snr_db in snrs_db]
    return classical_rates(link, channels, 100, 10**6)


def table_row(name: str, channel_name: str, snr_db: int):
    return reference_table()[TableKey(name, channel_name, 256, 4, float(snr_db))]


def test_the_table_has_20_000_errors_a_point():
    table = reference_table()
    assert all(row["errors"] >= 20_000 for row in table.values())
    e8 = {key.snr_db: row for key, row in table.items() if key.name == "E8"}
    assert e8.keys() == set(range(12))
    # 4,000 errors of an independent simulation.
    assert e8[10.0]["bler_low"] < 3.26e-4 < e8[10.0]["bler_high"]
    assert sum(key.channel == "rayleigh" for key in table) == 2 * 31


@pytest.mark.parametrize("snr_db", range(12))
def test_e8_lies_between_its_bounds(snr_db: int):
    row = table_row("E8", "awgn", snr_db)
    assert row["bler_low"] > limits.shannon59(float(snr_db), 256, 4)
    assert row["bler"] < limits.union_bound(codes.e8(256).codebook, float(snr_db))
    old, blocks = AWGN[snr_db]["e8_mc"], AWGN[snr_db]["e8_blocks"]
    error = np.sqrt(old * (1 / row["blocks"] + 1 / blocks))
    assert row["bler"] == pytest.approx(old, abs=3.5 * error)


@pytest.mark.parametrize(
    ("detector", "column"), [("noncoherent", "ncml"), ("estimated", "lmmse")]
)
def test_the_pilot_scheme_agrees_with_other_simulations(detector: str, column: str):
    name = f"pilot + 8PSK, 8PSK, QPSK, {detector}"
    for snr_db in range(0, 31, 2):
        row = table_row(name, "rayleigh", snr_db)
        old = FADING[snr_db][f"pilot_884_{column}_N4"]
        error = np.sqrt(old * (1 / row["blocks"] + 1 / 400_000))
        assert row["bler"] == pytest.approx(old, abs=3.5 * error)
        assert row["bler"] > limits.rayleigh_csi_bound(float(snr_db), 256, 4)


def test_rates_that_are_known_are_not_simulated():
    rates = rates_at([0.0, 10.0, 12.0], "awgn")
    assert rates.keys() == {"QPSK", "E8"}
    sources = [row["source"] for row in rates["E8"]]
    assert sources == ["table", "table", "union bound"]
    assert [row["source"] for row in rates["QPSK"]] == ["closed form"] * 3
    got = [row["bler"] for row in rates["QPSK"]]
    np.testing.assert_allclose(got, limits.qpsk_bler(np.array([0.0, 10, 12]), 256, 4))
    want = limits.union_bound(codes.e8(256).codebook, 12.0)
    assert rates["E8"][2]["bler"] == pytest.approx(want)


def test_other_rates_are_simulated_with_4_000_errors():
    """Among points that are not: the order of the points stays."""
    e8 = rates_at([3.0, 3.5, 4.0], "awgn")["E8"]
    assert [row["source"] for row in e8] == ["table", "simulation", "table"]
    assert e8[1]["errors"] == REFERENCE_BLOCK_ERRORS
    assert e8[0]["bler"] > e8[1]["bler"] > e8[2]["bler"]
    pilot = rates_at([20.0], "rayleigh", uses=5)
    for detector, column in (("noncoherent", "ncml"), ("estimated", "lmmse")):
        (row,) = pilot[f"pilot + QPSK, {detector}"]
        assert row["bler"] == pytest.approx(
            FADING[20][f"pilot_qpsk_{column}_N5"], rel=0.06
        )


@pytest.mark.parametrize("id", ["ofdm", "amplifier+ofdm", "multipath+awgn"])
def test_a_pilot_estimates_no_gain_where_a_block_has_several(id: str):
    link = Link(messages=16, uses=3, channel=channel(id))
    rates = classical_rates(link, [link.channel], 100, 4096)
    assert "pilot + QPSK, noncoherent" in rates
    assert not any("estimated" in name for name in rates)


@pytest.mark.parametrize("parts", ["+quantizer?bits=1", "+awgn+quantizer?bits=2"])
def test_rates_over_parts_in_series_are_not_those_of_the_first(parts: str):
    """Neither its closed form nor its table: they are simulated over the chain."""
    link = Link(messages=16, uses=2, channel=channel(f"awgn?snr_db=6.0{parts}"))
    (row,) = classical_rates(link, [link.channel], 100, 10**4)["QPSK"]
    assert row["source"] == "simulation"


def test_two_noises_have_the_rates_of_their_sum():
    link = Link(messages=16, uses=2, channel=channel("awgn?snr_db=13+awgn?snr_db=13"))
    (row,) = classical_rates(link, [link.channel], 100, 10**4)["QPSK"]
    assert row["source"] == "closed form"
    snr_db = 13 - 10 * np.log10(2)
    assert row["bler"] == pytest.approx(limits.qpsk_bler(snr_db, 16, 2))


def test_channels_without_ml_detection_have_no_such_rates():
    assert rates_at([6.0], "awgn+phase") == {}


@jax.tree_util.register_static
@dataclass(frozen=True)
class Intensity:
    """Light of the intensity max(Re x + 1, 0), and real noise."""

    id: str = "intensity"
    snr_db: float | None = None
    differentiable: bool = True
    is_black_box: bool = False
    has_unknown_gain: bool = False

    def check(self) -> None: ...

    def with_snr(self, snr_db: Float[Array, ""] | float) -> "Intensity":
        del snr_db
        return self

    def intensity(self, x: Array) -> Array:
        return jnp.maximum(x[..., 0] + 1.0, 0.0)

    def __call__(self, key: Key[Array, ""], x: Array) -> Array:
        received = self.intensity(x) + 0.15 * jax.random.normal(key, x.shape[:-1])
        return jnp.stack([received, jnp.zeros_like(received)], axis=-1)

    def ml_metric(self, y: Array, codebook: Array) -> Array:
        received = self.intensity(codebook)
        return -jnp.sum((y[:, None, :, 0] - received) ** 2, axis=-1)


def test_the_best_code_of_all_is_shown_over_another_channel():
    """Over an intensity channel QPSK loses half of its bits; 4-PAM is made for it."""
    link = Link(channel=Intensity(), messages=16, uses=2)
    rates = classical_rates(link, [link.channel], 100, 200_000)
    assert rates.keys() == {"QPSK", "4-PAM"}
    # Exact: an inner level errs to both sides, an outer one to one.
    tail = 0.5 * jax.scipy.special.erfc(3 / 7 / 0.15 / jnp.sqrt(2.0))
    want = 1.0 - (1.0 - 1.5 * float(tail)) ** 2
    (row,) = rates["4-PAM"]
    error = np.sqrt(want / row["blocks"])
    assert row["bler"] == pytest.approx(want, abs=3.5 * error)
    assert rates["QPSK"][0]["bler"] > 0.4


def test_codebooks_of_the_table_are_those_of_the_names():
    """E8 on other blocks: a wrong codebook or scale would show at once."""
    codebook = complex_to_pairs(codes.e8(256).codebook).reshape(256, 8)
    rng = np.random.default_rng(1)
    message = rng.integers(256, size=40_000)
    noise = rng.normal(size=(40_000, 8)) * np.sqrt(0.5 * 10**-0.6)
    y = codebook[message] + noise
    metric = y @ codebook.T - 0.5 * np.sum(codebook**2, axis=1)
    rate = np.mean(np.argmax(metric, axis=1) != message)
    want = table_row("E8", "awgn", 6)["bler"]
    assert rate == pytest.approx(want, abs=3.5 * np.sqrt(want / 40_000))
