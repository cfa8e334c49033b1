"""Fixed transmitters: codebooks by name and from files; training of the receiver."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from syntony.errors import InvalidInputError
from syntony.systems.link import codes
from syntony.systems.link.fixed_transmitters import FILE_PREFIX, read_codebook
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule

CODEBOOK = np.array([[1, 1j], [-1, 1j], [2j, 0], [-2j, 0]]) * 3.0
"""Codewords of a mean energy of 27 per use."""


def tiny_link(**settings) -> Link:
    schedule = TrainingSchedule(batch_size=64, learning_rate=0.01)
    sizes = {"messages": 4, "uses": 2, "hidden": 16}
    return Link(**{**sizes, "schedule": schedule, **settings})


def write_csv(path: Path, codebook: np.ndarray) -> None:
    pairs = np.stack([np.real(codebook), np.imag(codebook)], axis=-1)
    np.savetxt(path, pairs.reshape(len(codebook), -1), delimiter=",")


@pytest.mark.parametrize("ending", ["csv", "npy"])
def test_a_codebook_in_a_file_is_scaled(ending: str, tmp_path: Path):
    path = tmp_path / f"mine.{ending}"
    write = write_csv if ending == "csv" else np.save
    write(path, CODEBOOK)
    got = read_codebook(path, 4, 2)
    np.testing.assert_allclose(got, CODEBOOK / np.sqrt(13.5), rtol=1e-9)
    link = tiny_link(transmitter=f"{FILE_PREFIX}{path}")
    link.check()
    codewords = link.codewords(link.init(jax.random.key(0)))
    np.testing.assert_allclose(codewords[..., 0], np.real(got), atol=1e-6)
    np.testing.assert_allclose(codewords[..., 1], np.imag(got), atol=1e-6)


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing.csv": (Path.exists, "there is no file"),
    "folder.csv": (Path.mkdir, "there is no file"),
    "words.csv": (lambda path: path.write_text("a,b\nc,d\n"), "cannot be read"),
    "ragged.csv": (lambda path: path.write_text("1,2,3,4\n1,2\n"), "cannot be read"),
    "rows.csv": (lambda path: write_csv(path, CODEBOOK[:3]), "of the shape (3, 4)"),
    "uses.csv": (lambda path: write_csv(path, CODEBOOK[:, :1]), "shape (4, 2)"),
    "zeros.csv": (lambda path: write_csv(path, 0 * CODEBOOK), "mean energy of 0"),
    "nan.csv": (lambda path: write_csv(path, np.nan * CODEBOOK), "energy of nan"),
    "text.npy": (lambda path: path.write_text("1,2,3,4"), "cannot be read"),
    "real.npy": (lambda path: np.save(path, np.eye(4)[:, :2]), "holds float64"),
    "words.npy": (lambda path: np.save(path, np.array(["a"])), "holds <U1"),
    "object.npy": (
        lambda path: np.save(path, np.array([{}]), allow_pickle=True),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_wrong_files_are_rejected_in_one_line(name: str, tmp_path: Path):
    write, message = BAD_FILES[name]
    write(tmp_path / name)
    with pytest.raises(InvalidInputError) as error:
        tiny_link(transmitter=f"{FILE_PREFIX}{tmp_path / name}").check()
    assert message in str(error.value)
    assert "expected" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"messages": 100, "transmitter": "qpsk"}, "expected messages of 4 or 16"),
        ({"transmitter": "e8", "uses": 3}, "expected 4"),
        ({"transmitter": "qspk"}, "did you mean 'qpsk'"),
        ({"transmitter": "pam4", "power_constraint": "symbol"}, "expected 'average'"),
        ({"transmitter": "ask4", "power_constraint": "codeword"}, "energies"),
    ],
)
def test_a_transmitter_that_does_not_fit_is_refused(settings, message):
    with pytest.raises(InvalidInputError, match=message):
        tiny_link(**settings).check()


def test_a_constellation_of_equal_energies_fits_every_power_constraint():
    for power_constraint in ("average", "codeword", "symbol"):
        link = tiny_link(transmitter="qpsk", power_constraint=power_constraint)
        link.check()


def test_only_the_receiver_of_a_fixed_transmitter_is_trained():
    link = tiny_link(transmitter="qpsk", channel="awgn?snr_db=6.0")
    state = start = jax.jit(link.init)(jax.random.key(0))
    step, metrics = jax.jit(link.step), {}
    for _ in range(90):
        state, metrics = step(state)
    assert metrics.keys() == {"train/receiver_loss"}
    assert metrics["train/receiver_loss"] < 0.5
    np.testing.assert_array_equal(link.codewords(state), link.codewords(start))
    want = codes.classical_code("qpsk", 4, 2).codebook
    np.testing.assert_allclose(link.codewords(state)[..., 0], np.real(want), atol=1e-6)
    samples = jax.jit(link.evaluate, static_argnums=2)(state, jax.random.key(1), 2_000)
    assert samples.keys() == {"eval/bler"}
    assert samples["eval/bler"].mean() < 0.02


class CountedRadio:
    """Black box that counts the blocks that are sent over it."""

    def __init__(self):
        self.blocks = 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.blocks += len(x)
        return x


def test_no_channel_uses_are_spent_on_a_fixed_transmitter():
    radio = CountedRadio()
    link = tiny_link(transmitter="qpsk", channel=radio)
    link.step(link.init(jax.random.key(0)))
    assert radio.blocks == link.schedule.batch_size
