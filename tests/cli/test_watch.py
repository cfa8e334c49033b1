"""`syntony watch`: what it says of runs in every state, and that it only reads."""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from syntony.cli import main
from syntony.cli.monitor import (
    SPARKLINE_CHARS,
    poll_status,
    read_status,
    remaining_seconds,
    render_status,
    sparkline,
    steps_per_second,
)
from syntony.errors import InvalidInputError
from syntony.training.run_folder import RunFolder

STEPS = (0, 400, 800)
Edit = dict[str, Any]


def write(name: str = "run", *, seeds: int = 2, end: int = 800, **more: Any) -> Path:
    """Writes what a run leaves whose seeds have taken ten steps a second each."""
    path = Path(name)
    (path / "checkpoints").mkdir(parents=True)
    settings = {"system": "toy", "settings": {}, "steps": 1600, "seeds": seeds}
    (path / "settings.json").write_text(json.dumps(settings | {"seed": 3} | more))
    lines = [
        {"step": step, "seed": seed, "wall_s": step / 10}
        | {f"eval/return_mean{end}": step / 1000 for end in ("", "_low", "_high")}
        for step in range(0, end + 1, 400)
        for seed in range(3, 3 + seeds)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (path / "metrics.jsonl").write_text(text)
    return path


def grown_old(path: Path, seconds: float) -> None:
    for file in (*path.rglob("*"), path):
        then = time.time() - seconds
        os.utime(file, (then, then))


def said(path: Path) -> str:
    text = io.StringIO()
    Console(file=text, width=120, color_system=None).print(
        render_status(read_status(path), 120)
    )
    return text.getvalue()


def held_by(path: Path, pid: int, host: str) -> None:
    lock = path / ".lock"
    lock.touch()
    holder = {"pid": pid, "host": host, "inode": lock.stat().st_ino}
    lock.write_text(json.dumps(holder))


def test_once_prints_and_ends(capsys: pytest.CaptureFixture[str]):
    write()
    assert main(["watch", "run", "--once"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    rows = printed.out.splitlines()
    assert rows[0].split() == ["run", "toy", "running"]
    assert " 50 %" in rows[1]
    assert re.match(r"return +seed 3 +[▁-█ ]+ 0\.800 \[0\.800, 0\.800\]", rows[3])
    assert re.search(r"seed 4 .* step 800$", rows[4].rstrip())


def test_nothing_is_broken_off_in_a_small_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    write(steps=10_000_000)
    assert main(["watch", "run", "--once"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 5
    assert max(map(len, rows)) <= 80


def test_speed_and_time_left():
    found = read_status(write())
    # Two seeds, each ten steps a second; 800 steps are left to each.
    assert steps_per_second(found) == pytest.approx(20.0)
    assert remaining_seconds(found) == pytest.approx(80.0)
    assert "20 steps/s, 1m 20s left" in said(Path("run"))


def test_speed_is_that_of_late():
    path = write(end=0)
    with (path / "metrics.jsonl").open("a") as file:
        for step, wall_s in [(100, 900.0), (1100, 1000.0)]:
            for seed in (3, 4):
                line = {"step": step, "seed": seed, "wall_s": wall_s}
                file.write(json.dumps(line) + "\n")
    assert steps_per_second(read_status(path)) == pytest.approx(20.0)


def dead() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


@pytest.mark.parametrize(
    ("pid", "host", "age", "state"),
    [
        (os.getpid, socket.gethostname(), 1e5, "running"),
        (dead, socket.gethostname(), 1.0, "killed"),
        (os.getpid, "elsewhere", 60.0, "running"),
        (os.getpid, "elsewhere", 1e5, "silent"),
    ],
)
def test_states_of_held_runs(pid: Callable[[], int], host: str, age: float, state: str):
    path = write()
    held_by(path, pid(), host)
    grown_old(path, age)
    assert read_status(path).state == state


def test_a_copy_is_judged_by_its_age():
    path = write()
    held_by(path, os.getpid(), socket.gethostname())
    copy = Path(shutil.copytree(path, "copy"))
    assert read_status(copy).state == "running"
    grown_old(copy, 1e5)
    assert read_status(copy).state == "silent"
    assert read_status(path).state == "running"


def test_ends_are_told_apart():
    path = write()
    with pytest.raises(KeyboardInterrupt), RunFolder(path).acquire_lock():
        raise KeyboardInterrupt
    assert read_status(path).state == "stopped"
    assert "go on with: syntony resume run" in said(path)
    # Some have learned all there is before their last step.
    with RunFolder(path).acquire_lock():
        assert read_status(path).state == "running"
    assert read_status(path).state == "finished"
    assert read_status(write("whole", end=1600)).state == "finished"


def test_it_follows_until_the_end(monkeypatch: pytest.MonkeyPatch):
    write("whole", end=1600)
    path = write()
    held_by(path, os.getpid(), socket.gethostname())

    def goes_on(_: float) -> None:
        shutil.copy("whole/metrics.jsonl", path / "metrics.jsonl")

    monkeypatch.setattr(time, "sleep", goes_on)
    assert [found.state for found in poll_status(path, 1.0)] == ["running", "finished"]


def test_it_only_reads():
    path = write()
    for file in [path / "checkpoints", path]:
        file.chmod(0o500)
    before = {f: (f.stat().st_mtime_ns, f.stat().st_ino) for f in path.rglob("*")}
    held_before = RunFolder(path).lock_path.exists()
    assert main(["watch", "run", "--once"]) == 0
    path.chmod(0o700)
    assert before == {f: (f.stat().st_mtime_ns, f.stat().st_ino) for f in before}
    assert RunFolder(path).lock_path.exists() == held_before
    # Who holds the run is not in its way, nor is it in theirs.
    with RunFolder(path).acquire_lock():
        assert main(["watch", "run", "--once"]) == 0


def test_a_run_that_has_just_begun():
    path = write(end=-1)
    (path / "metrics.jsonl").unlink()
    assert "nothing measured yet" in said(path)
    assert remaining_seconds(read_status(path)) is None


def test_a_torn_line_is_not_there_yet():
    path = write()
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1600, "se')
    assert read_status(path).current_steps == {3: 800, 4: 800}


def test_many_seeds_are_cut():
    assert "and 76 more" in said(write(seeds=100))


def test_names_steer_no_terminal():
    path = write("[red]x", system="[bold]a\x1b[31m")
    with (path / "metrics.jsonl").open("a") as file:
        hostile = {f"eval/\x1b[2J[blink]{end}": 1.0 for end in ("", "_low", "_high")}
        file.write(json.dumps({"step": 900, "seed": 3} | hostile) + "\n")
    text = said(path)
    assert "\x1b" not in text
    assert "[red]x" in text
    assert "[bold]a?[31m" in text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"steps": "x"}, "steps is 'x'; expected a whole number"),
        ({"seeds": 10**9}, "seeds is 1000000000; expected"),
        ({"steps": 0}, "steps is 0"),
        ({"seeds": 0}, "seeds is 0"),
        ({"system": 1}, "system is missing"),
    ],
)
def test_settings_that_make_no_sense(change: Edit, expected: str):
    path = write()
    settings = json.loads((path / "settings.json").read_text())
    (path / "settings.json").write_text(json.dumps(settings | change))
    with pytest.raises(InvalidInputError, match=re.escape(expected)):
        read_status(path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("watch", "Missing from syntony watch: RUN"),
        ("watch nowhere", "there is no run nowhere"),
        ("watch . --once", "is not the folder of a run"),
        ("watch run --every 0", "every is 0.0; expected 0.1 to 3600 seconds"),
        ("watch run --onec", "unknown flag '--onec'; did you mean '--once'?"),
    ],
)
def test_bad_words(words: str, expected: str, capsys: pytest.CaptureFixture[str]):
    assert main(words.split()) == 2
    printed = capsys.readouterr()
    assert expected in printed.err
    assert printed.err.count("\n") == 1


def test_control_c_ends_it_quietly(tmp_path: Path):
    write()
    # Tests that run in a shell's background inherit that it is ignored.
    code = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from rich import console
console.Console.is_terminal = property(lambda self: True)
from syntony.cli import main
sys.exit(main(["watch", "run", "--every", "30"]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        seen = b""
        while b"seed 4" not in seen and process.poll() is None:
            seen += os.read(process.stdout.fileno(), 4096)
        # Between two looks, where a watcher is nearly always.
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (0, b"")


@given(st.integers(1, 60), st.data())
def test_a_curve_is_as_long_as_its_run_has_come(width: int, data: Any):
    values = np.array(data.draw(st.lists(st.floats(-1e3, 1e3), min_size=1)))
    steps = np.sort(
        data.draw(
            st.lists(
                st.integers(0, 1000), min_size=len(values), max_size=len(values)
            ).map(np.array)
        )
    ).astype(float)
    line = sparkline(steps, values, last_step=1000.0, low=-1e3, high=1e3, width=width)
    assert len(line) == min(width - 1, int(steps[-1] / 1000 * width)) + 1
    assert set(line) <= {*SPARKLINE_CHARS, " "}
    # Blank where it has not begun, and nowhere else.
    assert line.lstrip().count(" ") == 0


def test_a_rising_line_rises():
    steps = np.arange(8.0)
    line = sparkline(steps, steps, last_step=8.0, low=0.0, high=7.0, width=8)
    assert line == SPARKLINE_CHARS
    flat = sparkline(steps, np.ones(8), last_step=8.0, low=1.0, high=1.0, width=8)
    assert set(flat) == {SPARKLINE_CHARS[0]}
