"""Ctrl-C as a person presses it: at a process, once or twice."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1] / "helpers")!r})
from toy_system import Toy
from syntony.cli import main
from syntony.presets import registry as presets
from syntony.systems import registry as systems
systems.SYSTEMS["toy"] = Toy
presets.PRESETS["toy"] = {{"paper": "none"}}
presets.preset = lambda system, name, task: Toy()
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def training(tmp_path: Path):
    """A process that has begun to train, for hours."""
    words = ["train", "toy", "--steps", "2e9", "--eval-every", "1e9", "--out", "run"]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = tmp_path / "run" / "metrics.jsonl"
    while process.poll() is None:
        if journal.exists() and journal.stat().st_size:
            break
        time.sleep(0.01)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_once_saves_and_says_how_to_go_on(
    training: subprocess.Popen, signum: signal.Signals, code: int, tmp_path: Path
):
    time.sleep(0.5)
    training.send_signal(signum)
    _, said = training.communicate(timeout=60)
    assert training.returncode == code
    assert said == "syntony: stopped and saved; go on with: syntony resume run\n"
    steps = [path.stem[-12:] for path in (tmp_path / "run/checkpoints").iterdir()]
    assert len(steps) == 2
    assert min(steps) == "000000000000"


def test_twice_quits_at_once(training: subprocess.Popen):
    training.send_signal(signal.SIGINT)
    time.sleep(0.01)
    training.send_signal(signal.SIGINT)
    _, said = training.communicate(timeout=60)
    assert training.returncode == 130
    assert "Traceback" not in said
