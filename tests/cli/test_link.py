"""The commands on a link small enough to learn in a second."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import syntony
from syntony.cli import main

TRAIN = [
    *("train", "link", "--messages", "4", "--uses", "1", "--hidden", "16"),
    *("--batch", "64", "--steps", "60", "--eval-every", "30", "--out", "run"),
    *("--warm-up", "5", "--eval-episodes", "500", "--learning-rate", "0.01"),
]


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


def test_a_link_is_trained_evaluated_and_exported(capsys: pytest.CaptureFixture[str]):
    assert "syntony evaluate run" in said([*TRAIN, "--seeds", "2"], capsys)
    lines = syntony.load("run").metrics()
    assert {line["step"] for line in lines} == {0, 30, 60}
    assert all(0.0 <= line["eval/bler"] <= 1.0 for line in lines)

    words = ["evaluate", "run", "--snr-db", "0:6:3", "--blocks", "4096"]
    found = json.loads(said([*words, "--json"], capsys))
    assert [point["snr_db"] for point in found["points"]] == [0.0, 3.0, 6.0]
    assert {"QPSK"} == found["points"][0]["others"].keys()
    assert "by ML" in said(words, capsys)
    assert Path("run/figures/bler.png").stat().st_size > 10_000

    with Path("run/codebook.csv").open() as file:
        rows = [[float(x) for x in row] for row in csv.reader(file)]
    assert np.shape(rows) == (4, 2)
    assert np.mean(np.square(rows)) * 2 == pytest.approx(1.0, rel=1e-5)
    model = np.load("run/model.npz")
    np.testing.assert_allclose(model["seed0/codebook"].reshape(4, 2), rows, rtol=1e-6)
    np.testing.assert_array_equal(model["labels"], [[0, 0], [0, 1], [1, 0], [1, 1]])
    assert model["snr_db"] == 10.0


def test_a_loaded_link_transmits_and_receives(capsys: pytest.CaptureFixture[str]):
    said(TRAIN, capsys)
    link = syntony.load("run")
    x = link.transmit(np.array([[0, 1, 2], [3, 2, 1]]))
    assert x.shape == (2, 3, 1)
    assert x.dtype == np.complex64
    p = link.receive(x)
    assert p.shape == (2, 3, 4)
    np.testing.assert_allclose(p.sum(axis=-1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(p.argmax(axis=-1), [[0, 1, 2], [3, 2, 1]])
    with pytest.raises(syntony.InvalidInputError, match="expected 0 to 3"):
        link.transmit(np.array([4]))
    with pytest.raises(syntony.InvalidInputError, match="expected 1 channel uses"):
        link.receive(np.zeros((3, 2), np.complex64))


@pytest.mark.parametrize(
    ("snr_db", "expected"),
    [
        ("9:3:1", "holds no SNR"),
        ("0:9:0", "holds no SNR"),
        ("0:9:x", "expected LOW:HIGH:STEP"),
        ("0:9:1:2", "expected LOW:HIGH:STEP"),
        ("0:1000:1", "1001 SNRs; expected 200"),
        ("", "expected LOW:HIGH:STEP"),
    ],
)
def test_ranges_that_make_no_sense(
    snr_db: str, expected: str, capsys: pytest.CaptureFixture[str]
):
    said(TRAIN, capsys)
    assert main(["evaluate", "run", f"--snr-db={snr_db}"]) == 2
    assert expected in capsys.readouterr().err


def test_a_link_that_stopped_goes_on(capsys: pytest.CaptureFixture[str]):
    said(TRAIN, capsys)
    said(["resume", "run", "--steps", "90"], capsys)
    assert max(line["step"] for line in syntony.load("run").metrics()) == 90
