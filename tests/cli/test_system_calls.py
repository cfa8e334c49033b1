"""What commands ask of the operating system: no network, and no file outside.

By strace, where it is installed: it also sees what libraries in C do.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hostile_folders import HOSTILE
from settings_matrix import FAST_COMPILATION
from toy_system import Toy

from syntony.systems import registry as systems
from syntony.training.loop import train

HELPERS = Path(__file__).parents[1] / "helpers"
FILES = (
    "open,openat,creat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,"
    "symlink,symlinkat,link,linkat,truncate,chmod,fchmodat,rmdir,execve"
)
MARKER = "stat,newfstatat,statx,access,faccessat2"
ALLOWED = ("gift", "own", "runs", "state", "cache")
"""Entries of the current folder that commands may open; not `outside`, `evil.py`."""
PROGRAMS = ("git", "fc-list")
"""Programs that commands start: for the commit, and by matplotlib for its fonts."""
THREAD_NAME = re.compile(r"/proc/self/task/\d+/comm")
"""File through which a library names its threads."""
CRASH = (pytest.mark.slow, pytest.mark.crash)
"""Marks of the tests of `make test-crash`."""
NETWORK = """
import sys
from toy_system import Toy
from syntony.cli.main import main
from syntony.systems import registry
registry.SYSTEMS["toy"] = Toy
LINK = ["--messages", "4", "--uses", "1", "--batch-size", "16", "--steps", "20"]
EVALUATE = ["--max-blocks", "100", "--reference", "none"]
TASK = ["--task", "Foraging-2s-5x5-2p-1f-coop?time_limit=5", "--num-envs", "2"]
SMALL = ["--eval-episodes", "4", "--quiet", "--hidden", "8", "--steps", "20"]
for argv in (
    ["train", "link", *LINK, "--eval-episodes", "4", "--quiet", "--out", "own"],
    ["train", "maa2c", *TASK, *SMALL, "--out", "gift"],
    ["evaluate", "own", *EVALUATE],
    ["evaluate", "gift", "--episodes", "2"],
    ["resume", "gift", "--steps", "30", "--quiet"],
    ["report", "own"], ["report", "gift"], ["figures", "own"], ["render", "gift"],
    ["compare", "own"], ["watch", "gift", "--once"], ["verify", "own"],
    ["verify", "gift"], ["list", "systems"], ["check", "awgn"],
):
    code = main(argv)
    assert code == 0, argv
"""

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed"
)


def trace(calls: str, arguments: list[str], folder: Path) -> list[str]:
    """Lines of strace for a Python process in a folder, and its children."""
    log = folder.parent / "strace"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")} | {
        "PYTHONPATH": f"{HELPERS}:{os.environ.get('PYTHONPATH', '')}",
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "HOME": str(folder / "state"),
        "TMPDIR": str(folder / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **FAST_COMPILATION,
    }
    options = ["-f", "--seccomp-bpf", "-qq", "-s", "1000", "-e", f"trace={calls}"]
    result = subprocess.run(
        ["strace", *options, "-o", str(log), sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return log.read_text(errors="replace").splitlines()


@pytest.mark.slow
def test_no_command_opens_a_socket(tmp_path: Path):
    folder = tmp_path / "work"
    for name in ("cache", "state"):
        (folder / name).mkdir(parents=True)
    lines = trace("%network", ["-c", NETWORK], folder)
    calls = [line for line in lines if re.search(r"\b(socket|connect|bind)\(", line)]
    assert not calls


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(name, marks=CRASH if index else pytest.mark.slow)
        for index, name in enumerate(HOSTILE)
    ],
)
def test_no_command_opens_a_file_outside(hostile: str, tmp_path: Path):
    """Read or written: by all commands, on each hostile folder."""
    run, folder = tmp_path / "run", tmp_path / "work"
    for name in ("cache", "state"):
        (folder / name).mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(systems.SYSTEMS, "toy", Toy)
        train(Toy(), steps=40, eval_every=20, eval_episodes=2, out=run, quiet=True)
    script = [str(HELPERS / "hostile_folders.py"), str(run), hostile]
    lines = trace(f"{FILES},{MARKER}", script, folder)
    calls = list(iter_calls(lines, folder))
    assert sum(call.path.is_relative_to(folder) for call in calls) > 10, "traced"
    refused = [call for call in calls if not is_allowed(call, folder)]
    assert not refused


class Call(NamedTuple):
    """A traced call that opens, changes or executes a file."""

    command: str
    """Attacked command of the package."""
    name: str
    path: Path
    changes: bool
    """Whether the file is written, made or deleted."""
    is_relative: bool
    """Whether it is relative to an open folder, which was checked when opened."""
    of_program: bool
    """Whether a program that the command started made it, in a folder of its own."""


def iter_calls(lines: list[str], folder: Path) -> Iterator[Call]:
    """Yields the calls on files by the attacked commands."""
    command, programs = "", set[str]()
    for line in lines:
        process = line.partition(" ")[0]
        if match := re.search(r'"/attack/([^/"]+)', line):
            command = "" if match[1] == "end" else match[1]
            continue
        match = re.search(r"\b(\w+)\((?:AT_FDCWD, |(\d+), )?\"([^\"]*)\"", line)
        if not command or match is None or match[1] in MARKER.split(","):
            continue
        changes = match[1] not in ("open", "openat", "execve") or re.search(
            r"O_(WRONLY|RDWR|CREAT|TRUNC)", line
        )
        is_relative = match[2] is not None and not match[3].startswith("/")
        path = Path(match[3])
        if not is_relative:
            path = Path(os.path.normpath(folder / path))
        yield Call(
            command, match[1], path, bool(changes), is_relative, process in programs
        )
        if match[1] == "execve":
            programs.add(process)


def is_allowed(call: Call, folder: Path) -> bool:
    """Whether a call is of a file that commands may open, change or execute."""
    if call.of_program and call.name != "execve":
        return not call.changes or str(call.path) == "/dev/null"
    if call.is_relative:
        return len(call.path.parts) == 1
    if call.path.is_relative_to(folder):
        place = call.path.relative_to(folder).parts[:1]
        return call.name != "execve" and (not place or place[0] in ALLOWED)
    if call.name == "execve":
        return call.path.name in PROGRAMS
    is_device = str(call.path) == "/dev/null" or THREAD_NAME.fullmatch(str(call.path))
    return not call.changes or bool(is_device)
