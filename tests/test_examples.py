"""The examples run, each on a budget of seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_cooperate(tmp_path: Path):
    command = [sys.executable, str(EXAMPLES / "cooperate.py"), "1000"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("of 1") == 4, "two systems, two seeds each"
    *_, svg, png = ended.stdout.split()
    assert (tmp_path / svg).is_file()
    assert (tmp_path / png).is_file()


def test_your_own_channel(tmp_path: Path):
    command = [sys.executable, str(EXAMPLES / "your_own_channel.py"), "20"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "of 20,000 messages" in ended.stdout


def test_your_own_task(tmp_path: Path):
    command = [sys.executable, str(EXAMPLES / "your_own_task.py"), "400"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("meet; an episode takes") == 2


def test_every_example_is_run_here():
    text = Path(__file__).read_text()
    assert all(path.name in text for path in EXAMPLES.glob("*.py"))
