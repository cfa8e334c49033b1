"""Runs that are killed at any moment come to the same end."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toy import Toy

from syntony.run.train import train

SETTINGS: dict[str, Any] = {
    "steps": 20_000,
    "seeds": 2,
    "eval_every": 1000,
    "eval_episodes": 10,
}
SCRIPT = f"""
import sys
from toy import Toy
from syntony.run.stop import Interrupted
from syntony.run.train import train
try:
    train(Toy(), out=sys.argv[1], quiet=True, **{SETTINGS})
except Interrupted as stop:
    sys.exit(128 + stop.signum)
"""


def start(path: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, str(path)]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    )


def wait_for_lines(process: subprocess.Popen, path: Path, lines: int) -> None:
    journal = path / "metrics.jsonl"
    while process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.001)


def test_a_run_that_is_killed_and_goes_on_is_the_run(tmp_path: Path, same: Callable):
    train(Toy(), out=tmp_path / "whole", quiet=True, **SETTINGS)
    killed = tmp_path / "killed"
    chance = random.Random(1)
    for lines in (1, 12, 24):
        process = start(killed)
        wait_for_lines(process, killed, lines)
        time.sleep(chance.uniform(0.0, 0.05))
        process.kill()
        assert process.wait() == -signal.SIGKILL
    process = start(killed)
    wait_for_lines(process, killed, 30)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert start(killed).wait() == 0
    same(tmp_path / "whole", killed, range(2))
