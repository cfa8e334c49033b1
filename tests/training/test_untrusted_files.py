"""Runs from strangers: whatever their files hold, the worst is one clear line."""

import copy
import io
import json
import math
import os
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_system import Toy

from syntony.errors import InvalidInputError
from syntony.systems.link.link import Link
from syntony.systems.marl.smpe import SMPE
from syntony.tasks.registry import task
from syntony.training import checkpoint, codebook_history, metrics_log
from syntony.training.compiled import abstract_train_state
from syntony.training.loop import resume, train
from syntony.training.run import load
from syntony.training.run_config import RunConfig, run_config_to_dict
from syntony.training.run_folder import RunFolder
from syntony.training.safe_io import read_npz

LITTLE = 2**25
"""Bytes of memory: far less than what hostile files claim, far more than ours need."""
CLAIMED = 2**40
LIKE = abstract_train_state(Toy())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    train(Toy(), steps=100, eval_every=50, eval_episodes=5, out=path, quiet=True)
    plan = RunConfig(system=Link(), steps=100, eval_every=10)
    for step in (0, 10):
        book = np.full((4, 2, 2), float(step), np.float32)
        codebook_history.add_snapshot(RunFolder(path), plan, 0, step, book)
    return path


@pytest.fixture
def mine(run: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(run, tmp_path / "mine"))


READERS: dict[str, Callable[[Path], Any]] = {
    "settings.json": lambda run: RunFolder(run).read_settings(),
    "metrics.jsonl": lambda run: metrics_log.read_rows(RunFolder(run).metrics_path),
    "model.npz": lambda run: read_npz(RunFolder(run).model_path, LITTLE),
    "history/seed-0.npz": lambda run: codebook_history.read_history(RunFolder(run), 0),
    "checkpoints": lambda run: checkpoint.load_checkpoint(newest(run), LIKE),
}


def newest(run: Path) -> Path:
    return checkpoint.checkpoint_paths(run / "checkpoints", 0)[0]


def file_of(run: Path, name: str) -> Path:
    return newest(run) if name == "checkpoints" else run / name


@st.composite
def spoilt(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes with a few things done to them: cut, turned over, put in, said twice."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        rest = content[at:]
        match draw(st.sampled_from(["cut", "flip", "put", "large", "twice"])):
            case "cut":
                content = content[:at]
            case "flip" if rest:
                flipped = bytes([rest[0] ^ (1 << draw(st.integers(0, 7)))])
                content = content[:at] + flipped + rest[1:]
            case "put":
                content = content[:at] + draw(st.binary(max_size=20)) + rest
            case "large":
                # Where a zip file says how large something is, it is larger now.
                content = content[:at] + b"\xff" * 4 + rest[4:]
            case "twice":
                content = content[:at] + rest[: draw(st.integers(0, 200))] + rest
    return content


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < LITTLE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_spoilt_files_are_said_to_be(name: str, run: Path, mine: Path, data: Any):
    content = file_of(run, name).read_bytes()
    file_of(mine, name).write_bytes(data.draw(spoilt(content)))
    try:
        found = READERS[name](mine)
    except InvalidInputError:
        return
    if name == "checkpoints":
        # What is no longer as it was written is never used.
        expected = READERS[name](run)
        for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            assert np.array_equal(bits(one), bits(other))


def bits(leaf: Any) -> np.ndarray:
    is_key = isinstance(leaf, jax.Array) and jax.numpy.issubdtype(
        leaf.dtype, jax.dtypes.prng_key
    )
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + data


def packed(parts: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as zipped:
        for name, content in parts.items():
            zipped.writestr(name, content)
    return file.getvalue()


def overlapping() -> bytes:
    """A zip file whose index leads to the same bytes a thousand times."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("step.npy", npy("'<f4'", "(1000000,)", bytes(4_000_000)))
        (part,) = zipped.filelist
        for number in range(1000):
            twin = zipfile.ZipInfo(f"{number}.npy")
            twin.file_size = twin.compress_size = part.file_size
            twin.CRC, twin.header_offset = part.CRC, part.header_offset
            zipped.filelist.append(twin)
    return file.getvalue()


HOSTILE = {
    "terabytes": packed({"step.npy": npy("'<f8'", f"({CLAIMED},)")}),
    "terabytes an item": packed({"step.npy": npy(f"'<U{2**28}'", "(1,)")}),
    "a product that overflows": packed({"step.npy": npy("'<f4'", f"({2**63}, 2)")}),
    "less than nothing": packed({"step.npy": npy("'<f4'", "(-1, -4)", bytes(16))}),
    "a pickle": packed({"step.npy": npy("'|O'", "(1,)", b"cos\nsystem\n(S'x'\ntR.")}),
    "code in a header": packed({"step.npy": npy("'<f4'", "__import__('os').abort()")}),
    "a deep header": packed({"step.npy": npy("'<f4'", "(" * 5000 + ")" * 5000)}),
    "a zip bomb": packed({"step.npy": bytes(2**28)}, zipfile.ZIP_DEFLATED),
    "bytes used again": overlapping(),
    "no array": packed({"step.npy": b"hello"}),
    "paths": packed({"../../x.npy": npy("'<f4'", "()", bytes(4))}),
    "a path from the root": packed({"/etc/x\n.npy": npy("'<f4'", "()", bytes(4))}),
    "nothing": packed({}),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["history/seed-0.npz", "checkpoints"])
def test_hostile_arrays_cost_no_memory(name: str, content: bytes, mine: Path):
    file_of(mine, name).write_bytes(content)
    before = set(mine.parent.rglob("*"))
    with little_memory(), pytest.raises(InvalidInputError) as failure:
        READERS[name](mine)
    assert "\n" not in str(failure.value)
    assert set(mine.parent.rglob("*")) == before


@pytest.mark.parametrize("name", READERS)
def test_files_that_claim_terabytes_are_not_read(name: str, mine: Path):
    with file_of(mine, name).open("wb") as file:
        file.truncate(CLAIMED)  # Full of holes: it takes no room.
    with (
        little_memory(),
        pytest.raises(InvalidInputError, match="too large: 1,099,511,627,776"),
    ):
        READERS[name](mine)


@pytest.mark.parametrize("name", READERS)
def test_links_pipes_and_folders_are_not_read(name: str, mine: Path, tmp_path: Path):
    path = file_of(mine, name)
    secret = tmp_path / "secret"
    path.replace(secret)
    path.symlink_to(secret)
    with pytest.raises(InvalidInputError, match="is a symbolic link"):
        READERS[name](mine)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InvalidInputError):
        READERS[name](mine)
    path.unlink()
    path.mkdir()
    with pytest.raises(InvalidInputError):
        READERS[name](mine)


@pytest.mark.parametrize("name", ["checkpoints", "history", "tensorboard", ".lock"])
def test_a_run_does_not_reach_out_of_its_folder(name: str, mine: Path, tmp_path: Path):
    outside = tmp_path / "outside"
    path = mine / name
    if name == ".lock":
        outside.write_text("precious")
        path.unlink()
    else:
        outside.mkdir()
        (outside / "x.part").write_text("precious")
        shutil.rmtree(path, ignore_errors=True)
    path.symlink_to(outside)
    with pytest.raises(InvalidInputError, match=f"{name} is a symbolic link"):
        resume(mine, system=Toy(), steps=200, quiet=True)
    assert (
        outside if name == ".lock" else outside / "x.part"
    ).read_text() == "precious"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        '{"step": 1' + "0" * 5000 + ', "seed": 0}\n',
        '{"step": NaN, "seed": 0}\n',
        '{"step": true, "seed": 0}\n',
        '{"step": -1, "seed": 0}\n',
        '{"step": 1, "seed": 0, "eval/x": "<script>"}\n',
        '{"step": 1, "seed": 0, "eval/x": 1e999}\n',
        f'{{"step": 1, "seed": 0, "eval/x": {10**30}}}\n',
        "\0" * 3_000_000,
    ],
)
def test_hostile_text_is_refused(text: str, mine: Path):
    (mine / "metrics.jsonl").write_text(text + "\n")
    with (
        little_memory(),
        pytest.raises(InvalidInputError, match="is damaged in line 1"),
    ):
        READERS["metrics.jsonl"](mine)
    (mine / "settings.json").write_text(text + "\n")
    with little_memory(), pytest.raises(InvalidInputError):
        load(mine)


NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 2**31, 2**63, 10**400])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
SYSTEMS = [SMPE(task=task("Foraging-2s-8x8-3p-2f-coop")), Link()]
IDS = ["Foraging-9999999999s-8x8-3p-2f", "awgn?snr_db=1e999", "rware-", "+", "?", "a?"]


def places(inner: dict[str, Any], within: tuple[str, ...] = ()) -> Iterator[Any]:
    """Yields where settings are, as the names that lead there."""
    for name, value in inner.items():
        yield (*within, name)
        if isinstance(value, dict):
            yield from places(value, (*within, name))


def inside(whole: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    for name in place[:-1]:
        whole = whole[name]
    return whole


@st.composite
def changed(draw: st.DrawFn, whole: dict[str, Any]) -> dict[str, Any]:
    """Settings with something else at a place, or under another name."""
    whole = json.loads(json.dumps(whole))
    place = draw(st.sampled_from(list(places(whole))))
    home, name = inside(whole, place), place[-1]
    if draw(st.booleans()):
        home[name] = draw(VALUES | st.sampled_from(IDS))
    else:
        home[draw(st.text(max_size=5))] = home.pop(name)
    return whole


@pytest.mark.parametrize("system", SYSTEMS, ids=["smpe", "link"])
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_settings_that_make_no_sense_are_said_to(
    system: Any, tmp_path: Path, data: Any
):
    whole = run_config_to_dict(RunConfig(system=system, steps=100))
    text = json.dumps(data.draw(changed(whole)))
    (tmp_path / "settings.json").write_text(text)
    try:
        found = load(tmp_path)
    except InvalidInputError:
        return
    # What is understood is understood whole.
    assert (
        json.loads(json.dumps(run_config_to_dict(found.config))).keys() == whole.keys()
    )


@pytest.mark.parametrize("bad", [None, True, -1, 2**63, 10**400, math.nan, [1] * 5, {}])
def test_every_setting_is_looked_at(bad: Any, tmp_path: Path):
    whole = run_config_to_dict(RunConfig(system=Link(), steps=100))
    for place in places(whole):
        spoilt = copy.deepcopy(whole)
        inside(spoilt, place)[place[-1]] = bad
        (tmp_path / "settings.json").write_text(json.dumps(spoilt))
        try:
            load(tmp_path)
        except InvalidInputError as failure:
            said = str(failure)
        else:
            said = ""
        assert said.isprintable()
        assert len(said) < 500


def test_settings_of_any_size_cost_nothing(mine: Path):
    described = run_config_to_dict(RunConfig(system=Link(), steps=100))
    described["settings"]["messages"] = 2**62
    (mine / "settings.json").write_text(json.dumps(described))
    with little_memory(), pytest.raises(InvalidInputError, match="messages is"):
        load(mine)
