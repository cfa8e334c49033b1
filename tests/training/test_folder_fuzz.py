"""Mutated run folders: one clear error or none, in bounded time and memory.

Each is a number, from which it is made again: `mutate(folder, number)`.
"""

import io
import os
import random
import shutil
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy_system import Toy

from syntony.errors import InvalidInputError
from syntony.evaluation.stored_run import read_stored_run
from syntony.systems.link.link import Link
from syntony.training import snapshots
from syntony.training.loop import train
from syntony.training.run_config import RunConfig
from syntony.training.run_folder import RunFolder
from syntony.training.verification import verify_run

BATCH, BATCHES = 20, 500
MAX_SECONDS = 5.0
MAX_BYTES = 300 * 2**20


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    train(Toy(), steps=40, eval_every=20, eval_episodes=2, out=path, quiet=True)
    config = RunConfig(system=Link(), steps=100, eval_every=10)
    arrays = {"codebook": np.zeros((4, 2, 2), np.float32)}
    snapshots.add_snapshot(RunFolder(path), config, 0, 0, arrays)
    return path


def bomb(size: int, method: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as zipped:
        zipped.writestr("step.npy", bytes(size))
    return content.getvalue()


BOMB = bomb(2**28, zipfile.ZIP_DEFLATED)
LINE = b'{"step": 1, "seed": 0, "eval/return_mean": 1.0}\n'


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def flip(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 8])):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def insert(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content) + 1)
    return content[:at] + draw.randbytes(draw.randrange(1, 40)) + content[at:]


def repeat(content: bytes, draw: random.Random) -> bytes:
    start, end = sorted(draw.choices(range(len(content) + 1), k=2))
    return content[:end] + content[start:end] * draw.choice([1, 2, 50]) + content[end:]


def enlarge(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + b"\xff" * 4 + content[at + 4 :]


def nest(content: bytes, draw: random.Random) -> bytes:
    depth = draw.choice([10, 30, 900, 100_000])
    return content[:1] + b'"a": ' + b"[" * depth + b"]" * depth + b", " + content[1:]


def number(content: bytes, draw: random.Random) -> bytes:
    texts = [b"1e999", b"NaN", b"-1", b"9" * 5000, b"null", b'"\\ud800"', b"{}", b"[]"]
    at = draw.randrange(len(content))
    return content[:at] + draw.choice(texts) + content[at + 1 :]


def replace(content: bytes, draw: random.Random) -> bytes:
    del content
    lines = LINE * draw.choice([10, 20_000])
    return draw.choice([b"", BOMB, lines, draw.randbytes(1000)])


EDITS: list[Callable[[bytes, random.Random], bytes]] = [
    *(cut, flip, insert, repeat, enlarge, nest, number),
    replace,
]


def misplace(path: Path, draw: random.Random) -> None:
    """Puts something else at the place of a file."""
    path.unlink()
    match draw.choice(["pipe", "folder", "link", "device", "hole", "nothing", "loop"]):
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("/etc/passwd")
        case "device":
            path.symlink_to("/dev/zero")
        case "hole":
            with path.open("wb") as file:
                file.truncate(2 ** draw.choice([25, 31, 41]))
        case "loop":
            path.symlink_to(path.name)


def mutate(folder: Path, number: int) -> str:
    """Damages a run; returns what was done."""
    draw = random.Random(number)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = draw.choice(files)
    if draw.random() < 0.2:
        misplace(path, draw)
        return f"{path.name} misplaced"
    if draw.random() < 0.1:
        content = path.read_bytes()
        draw.choice(files).with_name(draw.choice(files).name).write_bytes(content)
        return f"{path.name} copied"
    content, edits = path.read_bytes(), draw.choices(EDITS, k=draw.choice([1, 1, 2, 3]))
    for edit in edits:
        content = edit(content, draw) if content else content
    path.write_bytes(content)
    return f"{path.name} edited"


def open_everything(path: Path) -> None:
    """All that commands read of a run, each reader on its own."""
    for read in (
        verify_run,
        read_stored_run,
        lambda path: snapshots.read_history(RunFolder(path), 0),
    ):
        message = ""
        try:
            read(path)
        except InvalidInputError as error:
            message = str(error)
        assert "\n" not in message
        assert len(message) < 1500


def check_batch(run: Path, tmp_path: Path, batch: int) -> None:
    for case in range(batch * BATCH, (batch + 1) * BATCH):
        path = tmp_path / "case"
        shutil.copytree(run, path)
        what = mutate(path, case)
        tracemalloc.start()
        start = time.process_time()
        try:
            open_everything(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert time.process_time() - start < MAX_SECONDS, (case, what)
        assert peak < MAX_BYTES, (case, what)
        shutil.rmtree(path)


@pytest.mark.filterwarnings("ignore")
def test_a_batch_of_mutated_folders(run: Path, tmp_path: Path):
    check_batch(run, tmp_path, 0)


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batch", range(1, BATCHES))
def test_all_batches_of_mutated_folders(batch: int, run: Path, tmp_path: Path):
    check_batch(run, tmp_path, batch)
