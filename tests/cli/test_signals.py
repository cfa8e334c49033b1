"""Signals sent to a training process, once or twice."""

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
presets.preset = lambda *_: Toy()
sys.exit(main(sys.argv[1:]))
"""


ARGV = ["train", "toy", "--steps", "2e9", "--eval-every", "1e9", "--out", "run"]


def start_training(script: str, folder: Path) -> subprocess.Popen:
    """Starts a long training; returns once it has evaluated the initial state."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *ARGV],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics_path = folder / "run" / "metrics.jsonl"
    while process.poll() is None:
        if metrics_path.exists() and metrics_path.stat().st_size:
            break
        time.sleep(0.01)
    return process


@pytest.fixture
def training(tmp_path: Path):
    """A process that has begun a long training."""
    process = start_training(SCRIPT, tmp_path)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_first_signal_saves_and_says_how_to_continue(
    training: subprocess.Popen, signum: signal.Signals, code: int, tmp_path: Path
):
    time.sleep(0.5)
    training.send_signal(signum)
    _, error = training.communicate(timeout=60)
    assert training.returncode == code
    assert error == "syntony: stopped and saved; go on with: syntony resume run\n"
    steps = [path.stem[-12:] for path in (tmp_path / "run/checkpoints").iterdir()]
    assert len(steps) == 2
    assert min(steps) == "000000000000"


def test_second_signal_exits_immediately(training: subprocess.Popen):
    training.send_signal(signal.SIGINT)
    time.sleep(0.01)
    training.send_signal(signal.SIGINT)
    _, error = training.communicate(timeout=60)
    assert training.returncode == 130
    assert "Traceback" not in error


HANGING_SCRIPT = SCRIPT.replace(
    "sys.exit(",
    """
import threading
from syntony.training import seed_scheduler, signals
signals.HANG_SECONDS = 0.3
advance = seed_scheduler.advance_seed
def hang_after_the_start(config, seed_run, *args):
    if seed_run.step > 0:
        threading.Event().wait()
    return advance(config, seed_run, *args)
seed_scheduler.advance_seed = hang_after_the_start
sys.exit(""",
)


def test_first_signal_ends_a_run_whose_workers_hang(tmp_path: Path):
    """As JAX does in a thread whose array could not be allocated."""
    process = start_training(HANGING_SCRIPT, tmp_path)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 143
    assert error == "syntony: stopped and saved; go on with: syntony resume run\n"
    steps = [path.stem[-12:] for path in (tmp_path / "run/checkpoints").iterdir()]
    assert max(steps) > "000000000000"
