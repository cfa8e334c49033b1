"""References with a trained receiver: made once, chosen, and counted."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Array, Key

import syntony
from syntony.channels.channel import SNR_LIMITS
from syntony.channels.identified import NoisyChannel
from syntony.channels.registry import CHANNEL_FAMILIES, ChannelFamily
from syntony.config import field, pytree_dataclass
from syntony.equations.signal import complex_noise, noise_power
from syntony.errors import InvalidInputError
from syntony.evaluation import reference_link
from syntony.evaluation.link import evaluate_link
from syntony.evaluation.reference_link import train_reference
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule
from syntony.training.run import Run
from syntony.training.run_config import RunConfig

measure = partial(evaluate_link, max_blocks=4096, target_block_errors=100)
NO_ML = "unknown?snr_db=8.0"


@pytree_dataclass
class Unknown(NoisyChannel):
    """White noise over a channel that does not state its ML detector."""

    NAME = "unknown"

    snr_db: float = field(8.0, limits=SNR_LIMITS)
    """Es/N0 in dB."""

    has_unknown_gain = False

    def __call__(self, key: Key[Array, ""], x: Array) -> Array:
        return x + complex_noise(key, x.shape[:-1], noise_power(self.snr_db))


SCHEDULE = TrainingSchedule(
    batch_size=64, learning_rate=0.02, receiver_warmup_iterations=0, decay="cosine"
)


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch):
    family = ChannelFamily(Unknown, NO_ML, "noise")
    monkeypatch.setitem(CHANNEL_FAMILIES, "unknown", family)
    monkeypatch.setattr(reference_link, "REFERENCE_ITERATIONS", 40)
    monkeypatch.setattr(reference_link, "SELECTION_ITERATIONS", 8)
    monkeypatch.setattr(reference_link, "SELECTION_BLOCKS", 100)
    monkeypatch.setattr(reference_link, "EVALUATION_BLOCKS", 100)


def new_run(path: Path, channel: Any, transmitter: str = "mlp") -> Run:
    """Run of a link of 4 messages in 2 uses, before its training."""
    link = Link(
        channel=channel,
        messages=4,
        uses=2,
        hidden=8,
        transmitter=transmitter,
        initial_codebook="network",
        receiver="mlp",
        schedule=SCHEDULE,
    )
    return Run(path, RunConfig(system=link, steps=2, eval_every=2, eval_episodes=10))


def trained_run(path: Path, channel: str) -> Run:
    """Run of a link that has learned next to nothing."""
    system = new_run(path, channel).system
    return syntony.train(
        system, steps=2, eval_every=2, eval_episodes=10, out=path, quiet=True
    )


@pytest.mark.slow
def test_a_reference_is_trained_once_where_ml_is_not_known(tmp_path: Path):
    run, lines = trained_run(tmp_path / "run", NO_ML), list[str]()
    first = measure(run, notify=lines.append)
    (point,) = first["points"]
    (name,) = point["baselines"]
    assert name.endswith(", trained receiver")
    (line,) = lines
    # 8 iterations of 64 blocks and 100 blocks for each of 6 codes; then 2 blocks that
    # try the channel, 40 iterations and two evaluations of 100 blocks.
    assert f"{6 * (8 * 64 + 100) + 2 + 40 * 64 + 200:,} blocks" in line
    assert "--reference none" in line
    assert measure(run, notify=lines.append) == first
    assert len(lines) == 1
    assert point["baselines"][name]["source"] == "trained receiver"
    assert point["baselines"][name]["bler"] < point["bler"]
    json.dumps(first, allow_nan=False)

    (point,) = measure(run, reference="none", notify=lines.append)["points"]
    assert point["baselines"] == {}
    (point,) = measure(run, reference="pam4")["points"]
    assert [*point["baselines"]] == ["4-PAM sent twice, trained receiver"]


@pytest.mark.slow
def test_a_channel_with_ml_detection_needs_no_trained_reference(tmp_path: Path):
    run = trained_run(tmp_path / "run", "awgn?snr_db=6.0")
    (point,) = measure(run)["points"]
    assert [*point["baselines"]] == ["BPSK"]
    assert not (tmp_path / "run" / "reference").exists()
    assert point.get("ml_ratio") == pytest.approx(
        point["bler"] / point.get("ml_bler", np.nan)
    )


@pytest.mark.parametrize(
    ("reference", "message"),
    [("qam16", "expected messages of 16"), ("qspk", "did you mean 'qpsk'")],
)
def test_a_reference_that_does_not_fit_is_refused(
    reference: str, message: str, tmp_path: Path
):
    run, lines = new_run(tmp_path / "run", NO_ML), list[str]()
    with pytest.raises(InvalidInputError, match=message):
        train_reference(run, reference, lines.append)
    assert lines == []
    assert not (tmp_path / "run").exists()


def test_a_run_with_a_fixed_transmitter_is_a_reference_itself(tmp_path: Path):
    run, lines = new_run(tmp_path / "run", NO_ML, "qpsk"), list[str]()
    assert train_reference(run, "auto", lines.append) is None
    assert train_reference(run, "none", lines.append) is None
    assert lines == []
    with pytest.raises(InvalidInputError, match="expected --reference none"):
        train_reference(run, "qpsk", lines.append)


class CountedRadio:
    """Black box that keeps the real part, and counts the blocks that are sent."""

    def __init__(self):
        self.blocks = 0
        self.rng = np.random.default_rng(0)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.blocks += len(x)
        return np.real(x) + 0.05 * self.rng.normal(size=x.shape) + 0j


def test_the_best_code_over_a_black_box_is_chosen_with_the_blocks_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of the real part of QPSK's symbols two of four are equal: 4-PAM has four."""
    radio = CountedRadio()
    run, lines = new_run(tmp_path / "run", radio), list[str]()
    two = [(name, np.zeros((4, 2))) for name in ("qpsk", "pam4")]
    monkeypatch.setattr(reference_link, "classical_starts", lambda *_: two)
    reference = train_reference(run, "auto", lines.append)
    assert reference is not None
    name = reference_link.reference_name(reference)
    assert name == "4-PAM sent twice, trained receiver"
    assert f"{radio.blocks:,} blocks" in lines[0]
    # Made once: nothing is sent again.
    blocks = radio.blocks
    again = train_reference(run, "auto", lines.append)
    assert again is not None
    assert again.steps == {0: reference_link.REFERENCE_ITERATIONS}
    assert (radio.blocks, len(lines)) == (blocks, 1)
