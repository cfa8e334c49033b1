"""Runs over a user's channel: with its module, without it, and over another one."""

import dataclasses
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import own_channels
import pytest
from toy_system import Toy

from syntony.channels.awgn import AWGN
from syntony.channels.channel import AnyChannel, Channel, init_channel
from syntony.channels.missing import MissingChannel, is_missing
from syntony.channels.rayleigh import Rayleigh
from syntony.channels.registry import channel
from syntony.errors import InvalidInputError
from syntony.evaluation.link import evaluate_link
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule
from syntony.training.loop import resume, train
from syntony.training.run import Run, load, require_link
from syntony.training.run_config import run_config_from_dict
from syntony.training.seed_scheduler import seed_keys

SCHEDULE = TrainingSchedule(batch_size=16, receiver_warmup_iterations=0, decay="cosine")
SMALL = Link(
    messages=4,
    uses=2,
    hidden=8,
    initial_codebook="network",
    receiver="mlp",
    schedule=SCHEDULE,
)
MODULE = "lab_channels"
NOISY, DOUBLED, CLASS = (
    f"python:{MODULE}:{name}"
    for name in ("noisy?snr_db=6.0", "doubled", "Count?step=0.1")
)
Runs = dict[str, Path]


def small_link(spec: object, **fields: object) -> Link:
    return dataclasses.replace(SMALL, channel=spec, **fields)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Runs over channels of a module that cannot be imported any more, by name."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(own_channels.__file__, folder / f"{MODULE}.py")
    sys.path.append(str(folder))
    links = {
        "function": small_link(channel(NOISY), training_snr_offset_db=3.0),
        "object": small_link(channel(DOUBLED)),
        "lambda": small_link(lambda x: own_channels.noisy(x, 6.0)),
    }
    paths = {name: folder / name for name in links}
    for name, link in links.items():
        train(link, steps=2, eval_episodes=8, out=paths[name], quiet=True)
    sys.path.remove(str(folder))
    yield paths
    sys.modules.pop(MODULE, None)


@pytest.fixture
def importable(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the module importable again."""
    monkeypatch.syspath_prepend(str(runs["function"].parent))


@pytest.fixture
def missing(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a process that has not imported the module."""
    del runs
    monkeypatch.delitem(sys.modules, MODULE, raising=False)


def channel_of(run: Run) -> AnyChannel:
    assert isinstance(run.system, Link)
    return run.system.channel


@pytest.mark.usefixtures("importable")
def test_the_channel_is_found_again(runs: Runs):
    for name, id in {"function": NOISY, "object": DOUBLED}.items():
        run = load(runs[name])
        assert channel_of(run) == channel(id)
        assert channel_of(run).id == id
        assert np.mean(run.evaluate(episodes=8)[0]["eval/bler"]) <= 1.0
    resumed = resume(runs["object"], steps=3, quiet=True)
    assert resumed.steps == {0: 3}


@pytest.mark.usefixtures("importable")
def test_an_own_channel_has_a_curve_with_bounds(runs: Runs):
    snrs_db = [0.0, 8.0]
    run = load(runs["function"])
    points = evaluate_link(run, snrs_db, max_blocks=1, reference="none")["points"]
    for point, snr_db in zip(points, snrs_db, strict=True):
        assert point["snr_db"] == snr_db
        assert point["bounds"] == AWGN(snr_db=snr_db).bler_bounds(4, 2)
    with pytest.raises(
        InvalidInputError, match=r"takes no argument snr_db; expected def f\(x, snr_db"
    ):
        evaluate_link(load(runs["object"]), [0.0])


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("function", f"there is no module '{MODULE}' on Python's path"),
        ("object", f"there is no module '{MODULE}' on Python's path"),
        ("lambda", "'python:<lambda>' is a function that cannot be imported"),
    ],
)
def test_a_link_needs_no_channel_to_transmit_and_receive(
    runs: Runs, name: str, reason: str
):
    run = load(runs[name])
    assert is_missing(channel_of(run))
    codewords = run.transmit(np.arange(4))
    assert codewords.shape == (4, 2)
    length = 4 if name == "object" else 2
    assert run.receive(np.tile(codewords, length // 2)).shape == (4, 4)
    with pytest.raises(InvalidInputError, match=f"expected {length} channel uses"):
        run.receive(np.zeros((4, 3), complex))
    message = f"channel .* cannot be used: {reason}.*syntony.load\\(RUN, channel="
    with pytest.raises(InvalidInputError, match=message):
        evaluate_link(run, None)
    with pytest.raises(InvalidInputError, match=message):
        evaluate_link(run, [3.0])
    with pytest.raises(InvalidInputError, match=message):
        run.evaluate(episodes=8)
    with pytest.raises(InvalidInputError, match=message) as it:
        resume(runs[name], steps=4, quiet=True)
    assert "\n" not in str(it.value)


@pytest.mark.usefixtures("missing")
def test_a_link_is_opened_over_another_channel(runs: Runs):
    original = load(runs["function"])
    others: list[tuple[Any, AnyChannel]] = [
        ("awgn?snr_db=6", AWGN(snr_db=6.0)),
        # With an unknown gain, which must not change the receiver.
        (Rayleigh(), Rayleigh()),
        # With memory: the first blocks follow none.
        ("drift", channel("drift")),
        ("jakes", channel("jakes")),
        (own_channels.plain, channel(own_channels.plain)),
    ]
    for spec, expected in others:
        run = load(runs["function"], channel=spec)
        assert channel_of(run) == expected
        np.testing.assert_array_equal(
            run.transmit(np.arange(4)), original.transmit(np.arange(4))
        )
        assert 0.0 <= np.mean(run.evaluate(episodes=8)[0]["eval/bler"]) <= 1.0
    assert MODULE not in sys.modules
    with pytest.raises(
        InvalidInputError, match=r"awgn has received blocks of 2 symbols; expected 4, "
    ):
        load(runs["object"], channel="awgn")


@pytest.mark.parametrize("other", ["awgn", "jakes"])
def test_a_link_over_a_channel_with_memory_is_opened_over_another_one(
    tmp_path: Path, other: str
):
    link = small_link(channel("drift"))
    train(link, steps=2, eval_episodes=8, out=tmp_path / "run", quiet=True)
    run = load(tmp_path / "run", channel=other)
    assert channel_of(run) == channel(other)
    assert 0.0 <= np.mean(run.evaluate(episodes=8)[0]["eval/bler"]) <= 1.0
    memory = require_link(run).channel_state(run.states[0])
    expected = init_channel(channel(other), seed_keys(0).init)
    assert jax.tree.all(jax.tree.map(np.array_equal, memory, expected))


def test_only_a_link_has_another_channel(tmp_path: Path):
    train(Toy(), steps=4, out=tmp_path / "toy", quiet=True)
    with pytest.raises(InvalidInputError, match="is not of a link; leave out the chan"):
        load(tmp_path / "toy", channel="awgn")


@pytest.mark.usefixtures("importable")
def test_what_is_stored_must_be_the_channel_of_the_id(runs: Runs):
    settings = load(runs["function"]).settings
    stored = settings["channel"]
    assert isinstance(stored, dict)
    wrong = {**settings, "channel": {**stored, "arguments": {"snr_db": 7.0}}}
    with pytest.raises(InvalidInputError, match=r"is not what its id .* stands for"):
        run_config_from_dict(wrong)
    # Of an older version.
    old = {k: v for k, v in settings.items() if k != "channel_properties"}
    old["channel"] = {"id": stored["id"], "function": stored["function"]}
    assert run_config_from_dict(old).system == load(runs["function"]).system
    for name, value in (("received_uses", "2"), ("snr_db", True), ("more", 1)):
        wrong = {**settings, "channel_properties": {name: value}}
        with pytest.raises(InvalidInputError, match="channel_properties"):
            run_config_from_dict(wrong, imports_channel=False)


def test_a_missing_channel_is_one_of_the_protocol():
    lost = MissingChannel(id="python:lab:radio", reason="there is no module 'lab'")
    assert isinstance(lost, Channel)
    assert lost.output_uses(3) == 3
    assert is_missing(lost.with_snr(3.0))


def test_a_failure_before_the_first_checkpoint_promises_no_resume(tmp_path: Path):
    def fails(x: np.ndarray) -> np.ndarray:
        raise OSError(f"no device for {len(x)} blocks")

    def fails_later(x: np.ndarray) -> np.ndarray:
        calls.append(1)
        return fails(x) if len(calls) > 5 else own_channels.noisy(x)

    calls: list[int] = []
    message = "OSError: no device for 2 blocks"
    with pytest.raises(InvalidInputError, match=message):
        train(small_link(fails), steps=2, out=tmp_path / "at_once", quiet=True)
    assert not (tmp_path / "at_once").exists()
    message = "step 1: .*; all up to there is saved; go on with: syntony resume "
    path = tmp_path / "later"
    with pytest.raises(InvalidInputError, match=message + re.escape(str(path))):
        train(small_link(fails_later), steps=4, out=path, quiet=True)
