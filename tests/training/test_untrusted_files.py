"""Untrusted run folders: invalid files give one clear error, and cost no memory."""

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
from syntony.training import checkpoint, metrics_log, snapshots
from syntony.training.compiled import abstract_train_state
from syntony.training.loop import resume, train
from syntony.training.run import load
from syntony.training.run_config import RunConfig, run_config_to_dict
from syntony.training.run_folder import RunFolder
from syntony.training.safe_io import read_npz

MEMORY_LIMIT = 2**25
"""In bytes: far less than hostile files declare, far more than valid ones need."""
DECLARED_SIZE = 2**40
LIKE = abstract_train_state(Toy())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    train(Toy(), steps=100, eval_every=50, eval_episodes=5, out=path, quiet=True)
    config = RunConfig(system=Link(), steps=100, eval_every=10)
    for step in (0, 10):
        arrays = {"codebook": np.full((4, 2, 2), float(step), np.float32)}
        snapshots.add_snapshot(RunFolder(path), config, 0, step, arrays)
    return path


@pytest.fixture
def run_copy(run: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may damage."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


READERS: dict[str, Callable[[Path], Any]] = {
    "settings.json": lambda run: RunFolder(run).read_settings(),
    "metrics.jsonl": lambda run: metrics_log.read_rows(RunFolder(run).metrics_path),
    "model.npz": lambda run: read_npz(RunFolder(run).model_path, MEMORY_LIMIT),
    "history/seed-0.npz": lambda run: snapshots.read_history(RunFolder(run), 0),
    "checkpoints": lambda run: checkpoint.load_checkpoint(newest(run), LIKE),
}


def newest(run: Path) -> Path:
    return checkpoint.checkpoint_paths(run / "checkpoints", 0)[0]


def file_of(run: Path, name: str) -> Path:
    return newest(run) if name == "checkpoints" else run / name


@st.composite
def corrupted(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes with one to three changes: cut, bit flipped, inserted or repeated bytes."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        rest = content[at:]
        match draw(st.sampled_from(["cut", "flip", "insert", "enlarge", "repeat"])):
            case "cut":
                content = content[:at]
            case "flip" if rest:
                flipped = bytes([rest[0] ^ (1 << draw(st.integers(0, 7)))])
                content = content[:at] + flipped + rest[1:]
            case "insert":
                content = content[:at] + draw(st.binary(max_size=20)) + rest
            case "enlarge":
                # At the position of a size in a zip file this declares a larger one.
                content = content[:at] + b"\xff" * 4 + rest[4:]
            case "repeat":
                content = content[:at] + rest[: draw(st.integers(0, 200))] + rest
    return content


@contextmanager
def memory_limit() -> Iterator[None]:
    """Asserts that Python allocates less than `MEMORY_LIMIT` bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY_LIMIT
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_corrupted_files_are_refused(name: str, run: Path, run_copy: Path, data: Any):
    content = file_of(run, name).read_bytes()
    file_of(run_copy, name).write_bytes(data.draw(corrupted(content)))
    try:
        result = READERS[name](run_copy)
    except InvalidInputError:
        return
    if name == "checkpoints":
        # A corrupted checkpoint is never loaded.
        expected = READERS[name](run)
        for one, other in zip(*map(jax.tree.leaves, (result, expected)), strict=True):
            assert np.array_equal(bits(one), bits(other))


def bits(leaf: Any) -> np.ndarray:
    is_key = isinstance(leaf, jax.Array) and jax.numpy.issubdtype(
        leaf.dtype, jax.dtypes.prng_key
    )
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + data


def zip_file(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return file.getvalue()


def overlapping_zip_file() -> bytes:
    """A zip file whose directory refers to the same bytes a thousand times."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("step.npy", npy("'<f4'", "(1000000,)", bytes(4_000_000)))
        (member,) = zipped.filelist
        for number in range(1000):
            copied = zipfile.ZipInfo(f"{number}.npy")
            copied.file_size = copied.compress_size = member.file_size
            copied.CRC, copied.header_offset = member.CRC, member.header_offset
            zipped.filelist.append(copied)
    return file.getvalue()


HOSTILE = {
    "terabytes": zip_file({"step.npy": npy("'<f8'", f"({DECLARED_SIZE},)")}),
    "terabytes per item": zip_file({"step.npy": npy(f"'<U{2**28}'", "(1,)")}),
    "a product that overflows": zip_file({"step.npy": npy("'<f4'", f"({2**63}, 2)")}),
    "a negative size": zip_file({"step.npy": npy("'<f4'", "(-1, -4)", bytes(16))}),
    "a pickle": zip_file({"step.npy": npy("'|O'", "(1,)", b"cos\nsystem\n(S'x'\ntR.")}),
    "code in a header": zip_file(
        {"step.npy": npy("'<f4'", "__import__('os').abort()")}
    ),
    "a deep header": zip_file({"step.npy": npy("'<f4'", "(" * 5000 + ")" * 5000)}),
    "a zip bomb": zip_file({"step.npy": bytes(2**28)}, zipfile.ZIP_DEFLATED),
    "overlapping members": overlapping_zip_file(),
    "not an array": zip_file({"step.npy": b"hello"}),
    "a relative path": zip_file({"../../x.npy": npy("'<f4'", "()", bytes(4))}),
    "an absolute path": zip_file({"/etc/x\n.npy": npy("'<f4'", "()", bytes(4))}),
    "no members": zip_file({}),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["history/seed-0.npz", "checkpoints"])
def test_hostile_arrays_cost_no_memory(name: str, content: bytes, run_copy: Path):
    file_of(run_copy, name).write_bytes(content)
    before = set(run_copy.parent.rglob("*"))
    with memory_limit(), pytest.raises(InvalidInputError) as failure:
        READERS[name](run_copy)
    assert "\n" not in str(failure.value)
    assert set(run_copy.parent.rglob("*")) == before


@pytest.mark.parametrize("name", READERS)
def test_files_of_terabytes_are_not_read(name: str, run_copy: Path):
    with file_of(run_copy, name).open("wb") as file:
        file.truncate(DECLARED_SIZE)  # A sparse file: it takes no disk space.
    with (
        memory_limit(),
        pytest.raises(InvalidInputError, match="too large: 1,099,511,627,776"),
    ):
        READERS[name](run_copy)


@pytest.mark.parametrize("name", READERS)
def test_links_pipes_and_folders_are_not_read(
    name: str, run_copy: Path, tmp_path: Path
):
    path = file_of(run_copy, name)
    target = tmp_path / "target"
    path.replace(target)
    path.symlink_to(target)
    with pytest.raises(InvalidInputError, match="is a symbolic link"):
        READERS[name](run_copy)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InvalidInputError):
        READERS[name](run_copy)
    path.unlink()
    path.mkdir()
    with pytest.raises(InvalidInputError):
        READERS[name](run_copy)


@pytest.mark.parametrize("name", ["checkpoints", "history", "tensorboard", ".lock"])
def test_a_run_changes_nothing_outside_its_folder(
    name: str, run_copy: Path, tmp_path: Path
):
    outside = tmp_path / "outside"
    path = run_copy / name
    if name == ".lock":
        outside.write_text("unchanged")
        path.unlink()
    else:
        outside.mkdir()
        (outside / "x.part").write_text("unchanged")
        shutil.rmtree(path, ignore_errors=True)
    path.symlink_to(outside)
    with pytest.raises(InvalidInputError, match=f"{name} is a symbolic link"):
        resume(run_copy, system=Toy(), steps=200, quiet=True)
    assert (
        outside if name == ".lock" else outside / "x.part"
    ).read_text() == "unchanged"


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
def test_hostile_text_is_refused(text: str, run_copy: Path):
    (run_copy / "metrics.jsonl").write_text(text + "\n")
    with (
        memory_limit(),
        pytest.raises(InvalidInputError, match="is damaged in line 1"),
    ):
        READERS["metrics.jsonl"](run_copy)
    (run_copy / "settings.json").write_text(text + "\n")
    with memory_limit(), pytest.raises(InvalidInputError):
        load(run_copy)


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


def key_paths(tree: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[Any]:
    """Yields the path of each setting, as a tuple of keys."""
    for name, value in tree.items():
        yield (*prefix, name)
        if isinstance(value, dict):
            yield from key_paths(value, (*prefix, name))


def parent_of(tree: dict[str, Any], key_path: tuple[str, ...]) -> dict[str, Any]:
    """The dictionary that contains the setting at a path."""
    for name in key_path[:-1]:
        tree = tree[name]
    return tree


@st.composite
def changed(draw: st.DrawFn, original: dict[str, Any]) -> dict[str, Any]:
    """Settings with one value replaced, or one key renamed."""
    changed = json.loads(json.dumps(original))
    key_path = draw(st.sampled_from(list(key_paths(changed))))
    parent, name = parent_of(changed, key_path), key_path[-1]
    if draw(st.booleans()):
        parent[name] = draw(VALUES | st.sampled_from(IDS))
    else:
        parent[draw(st.text(max_size=5))] = parent.pop(name)
    return changed


@pytest.mark.parametrize("system", SYSTEMS, ids=["smpe", "link"])
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_invalid_settings_are_refused(system: Any, tmp_path: Path, data: Any):
    original = run_config_to_dict(RunConfig(system=system, steps=100))
    text = json.dumps(data.draw(changed(original)))
    (tmp_path / "settings.json").write_text(text)
    try:
        loaded = load(tmp_path)
    except InvalidInputError:
        return
    # Accepted settings are complete.
    restored = json.loads(json.dumps(run_config_to_dict(loaded.config)))
    assert restored.keys() == original.keys()


@pytest.mark.parametrize("bad", [None, True, -1, 2**63, 10**400, math.nan, [1] * 5, {}])
def test_every_setting_is_validated(bad: Any, tmp_path: Path):
    original: Any = run_config_to_dict(RunConfig(system=Link(), steps=100))
    for key_path in key_paths(original):
        invalid = copy.deepcopy(original)
        parent_of(invalid, key_path)[key_path[-1]] = bad
        (tmp_path / "settings.json").write_text(json.dumps(invalid))
        try:
            load(tmp_path)
        except InvalidInputError as error:
            message = str(error)
        else:
            message = ""
        assert message.isprintable()
        assert len(message) < 500


def test_huge_sizes_in_settings_allocate_nothing(run_copy: Path):
    original: Any = run_config_to_dict(RunConfig(system=Link(), steps=100))
    original["settings"]["messages"] = 2**62
    (run_copy / "settings.json").write_text(json.dumps(original))
    with memory_limit(), pytest.raises(InvalidInputError, match="messages is"):
        load(run_copy)


def test_the_numbers_of_a_log_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Short names make many numbers of few bytes."""
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step":1,"seed":0,"a":1}\n' * 5)
    monkeypatch.setattr(metrics_log, "MAX_VALUES", 15)
    assert len(metrics_log.read_rows(path)) == 5
    monkeypatch.setattr(metrics_log, "MAX_VALUES", 14)
    with pytest.raises(InvalidInputError, match="more than 14 numbers"):
        metrics_log.read_rows(path)
