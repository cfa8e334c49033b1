"""`syntony watch`: output for runs in every state, without writing anything."""

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
Settings = dict[str, Any]


def write_run(
    name: str = "run", *, seeds: int = 2, end: int = 800, **more: Any
) -> Path:
    """Writes the files of a run with ten steps per second and seed."""
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


def set_age(path: Path, seconds: float) -> None:
    for file in (*path.rglob("*"), path):
        modified = time.time() - seconds
        os.utime(file, (modified, modified))


def output_of(path: Path) -> str:
    text = io.StringIO()
    Console(file=text, width=120, color_system=None).print(
        render_status(read_status(path), 120)
    )
    return text.getvalue()


def write_lock(path: Path, pid: int, host: str) -> None:
    lock = path / ".lock"
    lock.touch()
    owner = {"pid": pid, "host": host, "inode": lock.stat().st_ino}
    lock.write_text(json.dumps(owner))


def test_once_prints_and_exits(capsys: pytest.CaptureFixture[str]):
    write_run()
    assert main(["watch", "run", "--once"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    rows = printed.out.splitlines()
    assert rows[0].split() == ["run", "toy", "running"]
    assert " 50 %" in rows[1]
    assert re.match(r"return +seed 3 +[▁-█ ]+ 0\.800 \[0\.800, 0\.800\]", rows[3])
    assert re.search(r"seed 4 .* step 800$", rows[4].rstrip())


def test_output_fits_a_small_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    write_run(steps=10_000_000)
    assert main(["watch", "run", "--once"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 5
    assert max(map(len, rows)) <= 80


def test_speed_and_remaining_time():
    status = read_status(write_run())
    # Two seeds with ten steps per second and 800 remaining steps each.
    assert steps_per_second(status) == pytest.approx(20.0)
    assert remaining_seconds(status) == pytest.approx(80.0)
    assert "20 steps/s, 1m 20s left" in output_of(Path("run"))


def test_speed_is_recent():
    path = write_run(end=0)
    with (path / "metrics.jsonl").open("a") as file:
        for step, wall_s in [(100, 900.0), (1100, 1000.0)]:
            for seed in (3, 4):
                line = {"step": step, "seed": seed, "wall_s": wall_s}
                file.write(json.dumps(line) + "\n")
    assert steps_per_second(read_status(path)) == pytest.approx(20.0)


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


@pytest.mark.parametrize(
    ("pid", "host", "age", "state"),
    [
        (os.getpid, socket.gethostname(), 1e5, "running"),
        (dead_pid, socket.gethostname(), 1.0, "killed"),
        (os.getpid, "elsewhere", 60.0, "running"),
        (os.getpid, "elsewhere", 1e5, "stale"),
    ],
)
def test_states_of_locked_runs(
    pid: Callable[[], int], host: str, age: float, state: str
):
    path = write_run()
    write_lock(path, pid(), host)
    set_age(path, age)
    assert read_status(path).state == state


def test_state_of_a_copy_follows_from_its_age():
    path = write_run()
    write_lock(path, os.getpid(), socket.gethostname())
    copy = Path(shutil.copytree(path, "copy"))
    assert read_status(copy).state == "running"
    set_age(copy, 1e5)
    assert read_status(copy).state == "stale"
    assert read_status(path).state == "running"


def test_states_of_ended_runs():
    path = write_run()
    with pytest.raises(KeyboardInterrupt), RunFolder(path).acquire_lock():
        raise KeyboardInterrupt
    assert read_status(path).state == "stopped"
    assert "go on with: syntony resume run" in output_of(path)
    # Some systems stop before their last step.
    with RunFolder(path).acquire_lock():
        assert read_status(path).state == "running"
    assert read_status(path).state == "finished"
    assert read_status(write_run("whole", end=1600)).state == "finished"


def test_polling_ends_with_the_run(monkeypatch: pytest.MonkeyPatch):
    write_run("whole", end=1600)
    path = write_run()
    write_lock(path, os.getpid(), socket.gethostname())

    def finish_run(_: float) -> None:
        shutil.copy("whole/metrics.jsonl", path / "metrics.jsonl")

    monkeypatch.setattr(time, "sleep", finish_run)
    assert [status.state for status in poll_status(path, 1.0)] == [
        "running",
        "finished",
    ]


def test_watch_only_reads():
    path = write_run()
    for file in [path / "checkpoints", path]:
        file.chmod(0o500)
    before = {f: (f.stat().st_mtime_ns, f.stat().st_ino) for f in path.rglob("*")}
    lock_existed = RunFolder(path).lock_path.exists()
    assert main(["watch", "run", "--once"]) == 0
    path.chmod(0o700)
    assert before == {f: (f.stat().st_mtime_ns, f.stat().st_ino) for f in before}
    assert RunFolder(path).lock_path.exists() == lock_existed
    # A locked run can be watched, and a watched run can be locked.
    with RunFolder(path).acquire_lock():
        assert main(["watch", "run", "--once"]) == 0


def test_run_without_an_evaluation():
    path = write_run(end=-1)
    (path / "metrics.jsonl").unlink()
    assert "no evaluation yet" in output_of(path)
    assert remaining_seconds(read_status(path)) is None


def test_incomplete_line_is_ignored():
    path = write_run()
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1600, "se')
    assert read_status(path).current_steps == {3: 800, 4: 800}


def test_many_seeds_are_truncated():
    assert "and 76 more" in output_of(write_run(seeds=100))


def test_control_characters_in_names_are_replaced():
    path = write_run("[red]x", system="[bold]a\x1b[31m")
    with (path / "metrics.jsonl").open("a") as file:
        hostile = {f"eval/[blink]{end}": 1.0 for end in ("", "_low", "_high")}
        file.write(json.dumps({"step": 900, "seed": 3} | hostile) + "\n")
    text = output_of(path)
    assert "\x1b" not in text
    assert "[red]x" in text
    assert "[bold]a\\x1b[31m" in text


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
def test_invalid_settings(change: Settings, expected: str):
    path = write_run()
    settings = json.loads((path / "settings.json").read_text())
    (path / "settings.json").write_text(json.dumps(settings | change))
    with pytest.raises(InvalidInputError, match=re.escape(expected)):
        read_status(path)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("watch", "Missing from syntony watch: RUN"),
        ("watch nowhere", "there is no run nowhere"),
        ("watch . --once", "is not the folder of a run"),
        ("watch run --interval 0", "interval is 0.0; expected 0.1 to 3600 seconds"),
        ("watch run --onec", "unknown flag '--onec'; did you mean '--once'?"),
    ],
)
def test_invalid_arguments(
    command: str, expected: str, capsys: pytest.CaptureFixture[str]
):
    assert main(command.split()) == 2
    printed = capsys.readouterr()
    assert expected in printed.err
    assert printed.err.count("\n") == 1


def test_control_c_exits_without_an_error(tmp_path: Path):
    write_run()
    # A background process of a shell inherits that the signal is ignored.
    code = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from rich import console
console.Console.is_terminal = property(lambda self: True)
from syntony.cli import main
sys.exit(main(["watch", "run", "--interval", "30"]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        output = b""
        while b"seed 4" not in output and process.poll() is None:
            output += os.read(process.stdout.fileno(), 4096)
        # Between two updates, where it waits nearly all of the time.
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (0, b"")


@given(st.integers(1, 60), st.data())
def test_length_of_a_sparkline_follows_the_steps(width: int, data: Any):
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
    # Blank before the first evaluation, and nowhere else.
    assert line.lstrip().count(" ") == 0


def test_sparkline_of_a_rising_line():
    steps = np.arange(8.0)
    line = sparkline(steps, steps, last_step=8.0, low=0.0, high=7.0, width=8)
    assert line == SPARKLINE_CHARS
    flat = sparkline(steps, np.ones(8), last_step=8.0, low=1.0, high=1.0, width=8)
    assert set(flat) == {SPARKLINE_CHARS[0]}
