"""Commands on a link small enough to train in a second."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import syntony
from syntony.cli import main

TRAIN = [
    *("train", "link", "--messages", "4", "--uses", "1", "--hidden", "16"),
    *("--batch-size", "64", "--steps", "60", "--eval-every", "30", "--out", "run"),
    *(
        "--receiver-warmup-iterations",
        "5",
        "--eval-episodes",
        "500",
        "--learning-rate",
        "0.01",
    ),
]


def output_of(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(argv) == 0
    return capsys.readouterr().out


def test_a_link_is_trained_evaluated_and_exported(capsys: pytest.CaptureFixture[str]):
    assert "syntony evaluate run" in output_of([*TRAIN, "--seeds", "2"], capsys)
    rows = syntony.load("run").metrics()
    assert {row["step"] for row in rows} == {0, 30, 60}
    assert all(0.0 <= row["eval/bler"] <= 1.0 for row in rows)

    argv = ["evaluate", "run", "--snr-db", "0:6:3", "--max-blocks", "4096"]
    results = json.loads(output_of([*argv, "--json"], capsys))
    assert [point["snr_db"] for point in results["points"]] == [0.0, 3.0, 6.0]
    assert {"QPSK"} == results["points"][0]["baselines"].keys()
    table = output_of(argv, capsys)
    assert "by ML" in table
    assert "/ ML" in table
    assert "QPSK: closed form" in table
    assert all(point["ml_ratio"] > 0.9 for point in results["points"])
    assert Path("run/figures/bler.png").stat().st_size > 10_000

    with Path("run/codebook.csv").open() as file:
        codebook = [[float(x) for x in row] for row in csv.reader(file)]
    assert np.shape(codebook) == (4, 2)
    assert np.mean(np.square(codebook)) * 2 == pytest.approx(1.0, rel=1e-5)
    model = np.load("run/model.npz")
    np.testing.assert_allclose(
        model["seed0/codebook"].reshape(4, 2), codebook, rtol=1e-6
    )
    assert sorted(model["labels"].tolist()) == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert model["snr_db"] == 10.0


def test_a_loaded_link_transmits_and_receives(capsys: pytest.CaptureFixture[str]):
    output_of(TRAIN, capsys)
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
        ("0:1000:1", "1,001 SNRs; expected 200"),
        ("", "expected LOW:HIGH:STEP"),
    ],
)
def test_invalid_snr_ranges(
    snr_db: str, expected: str, capsys: pytest.CaptureFixture[str]
):
    output_of(TRAIN, capsys)
    assert main(["evaluate", "run", f"--snr-db={snr_db}"]) == 2
    assert expected in capsys.readouterr().err


def test_a_receiver_is_trained_for_a_fixed_transmitter(
    capsys: pytest.CaptureFixture[str],
):
    output_of([*TRAIN, "--transmitter", "qpsk"], capsys)
    link = syntony.load("run")
    x = np.sort_complex(link.transmit(np.arange(4)).ravel())
    np.testing.assert_allclose(np.abs(x), 1.0, rtol=1e-6)
    np.testing.assert_allclose(np.abs(np.real(x)), 0.5**0.5, rtol=1e-6)
    assert link.metrics()[-1]["eval/bler"] < 0.1
    # It is a reference itself.
    argv = ["evaluate", "run", "--max-blocks", "4096", "--reference", "qpsk"]
    assert main(argv) == 2
    assert "expected --reference none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--transmitter", "qpsk", "--messages", "100"], "expected messages of 4"),
        (["--transmitter", "qam16"], "expected messages of 16"),
        (["--transmitter", "codebook:none.csv"], "there is no file none.csv"),
    ],
)
def test_a_fixed_transmitter_that_does_not_fit_is_refused(
    flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["train", "link", *flags]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not Path("run").exists()


def test_resume_continues_a_link(capsys: pytest.CaptureFixture[str]):
    output_of(TRAIN, capsys)
    output_of(["resume", "run", "--steps", "90"], capsys)
    assert max(row["step"] for row in syntony.load("run").metrics()) == 90
    output_of(["120" if word == "60" else word for word in TRAIN], capsys)
    run = syntony.load("run")
    assert max(row["step"] for row in run.metrics()) == 120
    # The schedule is that of the first start.
    settings: Any = run.settings
    assert settings["settings"]["schedule"]["decay_iterations"] == 60
