"""Standard output and error that fail, at each write of a command."""

import errno
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from toy_system import Toy

from syntony.cli.main import main
from syntony.presets import registry as presets
from syntony.systems import registry as systems
from syntony.training.verification import verify_run

TRAIN = ["train", "toy", "--out", "run", "--steps", "40", "--eval-every", "20"]
TRAIN += ["--eval-episodes", "2"]
READING = {
    "verify": ["verify", "whole"],
    "watch": ["watch", "whole", "--once"],
    "compare": ["compare", "whole"],
    "compare --json": ["compare", "whole", "--json"],
    "list": ["list", "systems"],
    "an error": ["verify", "nowhere"],
}
ERRORS = (errno.ENOSPC, errno.EIO, errno.EPIPE)
AssertSame = Callable[[Path, Path, range], None]


class FailingFile(io.FileIO):
    """File whose writes fail from one of them on, until its descriptor is another file.

    Args:
        path: the file.
        fail_at: number of the first write that fails.
        error: its error.
    """

    def __init__(self, path: Path, fail_at: int, error: int):
        super().__init__(path, "w")
        self.fail_at, self._error = fail_at, error
        self._inode = os.fstat(self.fileno()).st_ino
        self.count = 0

    def write(self, data: object, /) -> int:
        content = bytes(data)  # pyright: ignore[reportArgumentType]
        number, self.count = self.count, self.count + 1
        is_same = os.fstat(self.fileno()).st_ino == self._inode
        if number >= self.fail_at and is_same:
            raise OSError(self._error, os.strerror(self._error))
        return super().write(content)


@contextmanager
def failing(name: str, fail_at: int, error: int) -> Iterator[FailingFile]:
    """Context in which a stream of `sys` fails from one of its writes on."""
    file = FailingFile(Path(f"{name}.txt"), fail_at, error)
    stream = io.TextIOWrapper(io.BufferedWriter(file), "utf-8", line_buffering=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, name, stream)
        try:
            yield file
        finally:
            file.fail_at = sys.maxsize
            stream.close()


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(systems.SYSTEMS, "toy", Toy)
    monkeypatch.setitem(presets.PRESETS, "toy", {"paper": "none"})
    monkeypatch.setattr(presets, "preset", lambda *_: Toy())


def make_whole() -> None:
    assert main(["whole" if x == "run" else x for x in TRAIN]) == 0


@pytest.mark.filterwarnings("ignore:the log of run could not be written")
@pytest.mark.parametrize("others", [(), ("stderr",)], ids=["stdout", "stderr as well"])
@pytest.mark.parametrize("error", ERRORS)
def test_a_training_goes_on_without_its_streams(
    others: tuple[str, ...],
    error: int,
    assert_same_run: AssertSame,
):
    make_whole()
    for fail_at in range(100):
        with ExitStack() as stack:
            for name in others:
                stack.enter_context(failing(name, 0, error))
            file = stack.enter_context(failing("stdout", fail_at, error))
            assert main(TRAIN) == 0
        assert_same_run(Path("whole"), Path("run"), range(1))
        assert not verify_run(Path("run")).problems
        shutil.rmtree("run")
        if file.count <= fail_at:
            break
    else:
        pytest.fail("it never ended")
    assert fail_at > 8, "each line failed once"


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("command", READING)
def test_commands_end_in_one_line(
    name: str,
    command: str,
    capfd: pytest.CaptureFixture[str],
):
    make_whole()
    expected = main(READING[command])
    capfd.readouterr()
    for error in ERRORS:
        for fail_at in range(100):
            with failing(name, fail_at, error) as file:
                code = main(READING[command])
            captured = capfd.readouterr()
            assert code in (expected, 1, 2), captured.err
            is_told = error != errno.EPIPE  # Rich is silent where a reader has ended.
            if code != expected and name == "stdout" and is_told:
                assert captured.err.startswith("syntony: the output cannot be written")
            assert captured.err.count("\n") <= 1, captured.err
            if file.count <= fail_at:
                assert code == expected
                break
            assert code != 0 or name == "stderr" or error == errno.EPIPE
