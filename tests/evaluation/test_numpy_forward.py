"""The error rate of `evaluate`, against a forward pass of model.npz in NumPy."""

from typing import Any

import numpy as np

import syntony
from syntony.evaluation.link import evaluate_link
from syntony.systems.link.schedule import TrainingSchedule

TAPS = np.array([0.85, 0.45, 0.25]) / np.linalg.norm([0.85, 0.45, 0.25])
GAIN, OFFSET = 40.0 * np.exp(0.7j), 3.0 - 100.0j


class Interference:
    """A serial stream through a filter, across blocks, with a gain and an offset."""

    def __init__(self):
        self.generator = np.random.default_rng(0)
        self.tail = np.zeros(2, complex)

    def __call__(self, x):
        stream = np.concatenate([self.tail, x.ravel()])
        self.tail = stream[-2:]
        y = np.convolve(stream, TAPS)[2 : 2 + x.size].reshape(x.shape)
        real, imaginary = self.generator.normal(size=(2, *x.shape)) * 0.18
        return GAIN * (y + real + 1j * imaginary) + OFFSET


def numpy_error_rates(path, channel, blocks):
    """Block and bit error rate; nothing of the package is called."""
    with np.load(path / "model.npz") as file:
        model = {name: file[name] for name in file.files}
    pairs = np.loadtxt(path / "codebook.csv", delimiter=",")
    codebook = (pairs[:, 0::2] + 1j * pairs[:, 1::2]).astype(np.complex64)
    message = np.random.default_rng(1).integers(len(codebook), size=blocks)
    y = channel(codebook[message])
    mean = model["seed0/received_stats/mean"]
    x = (np.stack([y.real, y.imag], -1) - mean) / model["seed0/received_stats/level"]
    first, last = (
        [model[f"seed0/receiver/mlp/layers/{i}/{name}"] for name in ("weight", "bias")]
        for i in (0, 1)
    )
    hidden = np.maximum(x.reshape(blocks, -1) @ first[0] + first[1], 0.0)
    decision = np.argmax(hidden @ last[0] + last[1], axis=1)
    wrong_bits = model["labels"][decision] != model["labels"][message]
    return wrong_bits.any(axis=1).mean(), wrong_bits.mean()


def test_evaluation_agrees_with_numpy_over_a_channel_with_memory(tmp_path):
    channel: Any = Interference()
    link = syntony.Link(
        channel=channel,
        messages=16,
        uses=2,
        hidden=32,
        receiver="mlp",
        initial_codebook="qpsk",
        schedule=TrainingSchedule(
            batch_size=256, receiver_warmup_iterations=20, decay="cosine"
        ),
    )
    options: Any = {"eval_every": 60, "eval_episodes": 100, "quiet": True}
    run = syntony.train(link, steps=60, out=tmp_path / "run", **options)
    (row,) = evaluate_link(
        run, target_block_errors=1500, max_blocks=30_000, reference="none"
    )["points"]
    want, ber = numpy_error_rates(tmp_path / "run", Interference(), 20_000)
    # Interference alone errs often, and more than guessing never.
    assert 0.05 < want < 0.5
    assert abs(row["bler"] - want) < 5 * (want * (1 - want) * (1 / 5000)) ** 0.5
    assert abs(row["seeds"][0]["ber"] - ber) < 5 * (ber / 5000) ** 0.5
