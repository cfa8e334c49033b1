"""What commands ask of the operating system: no network, and no file outside.

By strace, where it is installed: it also sees what libraries in C do.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

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
@pytest.mark.crash
def test_no_command_opens_a_socket(tmp_path: Path):
    folder = tmp_path / "work"
    folder.mkdir()
    lines = trace("%network", ["-c", NETWORK], folder)
    calls = [line for line in lines if re.search(r"\b(socket|connect|bind)\(", line)]
    assert not calls


@pytest.mark.parametrize(
    "hostile",
    [pytest.param(name, marks=CRASH) for name in HOSTILE],
)
def test_no_command_opens_a_file_outside(hostile: str, tmp_path: Path):
    """Read or written: by all commands, on each hostile folder."""
    run, folder = tmp_path / "run", tmp_path / "work"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(systems.SYSTEMS, "toy", Toy)
        train(Toy(), steps=40, eval_every=20, eval_episodes=2, out=run, quiet=True)
    script = [str(HELPERS / "hostile_folders.py"), str(run), hostile]
    lines = trace(f"{FILES},{MARKER}", script, folder)
    command, opened = "", 0
    for line in lines:
        if match := re.search(r'"/attack/([^/"]+)', line):
            command = "" if match[1] == "end" else match[1]
        elif command:
            opened += check_line(line, command, folder)
    assert opened > 10, "the commands were traced"


def check_line(line: str, command: str, folder: Path) -> bool:
    """Checks a traced call; whether it was of a file in the working folder."""
    match = re.search(r"\b(\w+)\((?:AT_FDCWD, |(\d+), )?\"([^\"]*)\"", line)
    if match is None or match[1] in MARKER.split(","):
        return False
    call, name = match[1], match[3]
    assert call != "execve" or name.endswith("/git"), (command, line)
    if match[2] is not None and not name.startswith("/"):
        # Relative to a folder that was opened, which was checked, without a folder.
        assert "/" not in name, (command, line)
        return False
    path = Path(os.path.normpath(folder / name))
    changes = call not in ("open", "openat", "execve") or re.search(
        r"O_(WRONLY|RDWR|CREAT|TRUNC)", line
    )
    if path.is_relative_to(folder) and path != folder:
        place = path.relative_to(folder).parts[0]
        assert place in ALLOWED, (command, line)
        return True
    assert not changes or str(path).startswith(("/dev/null", "/tmp/")), (command, line)
    return False
