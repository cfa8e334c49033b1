"""Tests that the examples run, each in a few seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_cooperate(tmp_path: Path):
    command = [sys.executable, str(EXAMPLES / "cooperate.py"), "1000"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("of 1") == 4, "two systems, two seeds each"
    *_, svg, png = result.stdout.split()
    assert (tmp_path / svg).is_file()
    assert (tmp_path / png).is_file()


def test_your_own_channel(tmp_path: Path):
    command = [sys.executable, str(EXAMPLES / "your_own_channel.py"), "20"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "of 20,000 messages" in result.stdout


def test_your_own_task(tmp_path: Path):
    command = [sys.executable, str(EXAMPLES / "your_own_task.py"), "400"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("meet; mean episode length") == 2


def test_each_example_has_a_test():
    text = Path(__file__).read_text()
    assert all(path.name in text for path in EXAMPLES.glob("*.py"))
