"""Tests that the examples run, each in a few seconds."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import syntony

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_your_own_simulator(tmp_path: Path):
    command = [sys.executable, str(EXAMPLES / "your_own_simulator.py"), "640"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("steps until they meet") == 2


def train(folder: Path, *argv: str) -> list[dict[str, Any]]:
    """Rows of a run that `syntony train` writes, with the examples on the path."""
    command = [sys.executable, "-m", "syntony", "train", *argv]
    paths = [str(EXAMPLES), *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    result = subprocess.run(
        [*command, "--out", "run"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return syntony.load(folder / "run").metrics()


# In your_own_algorithm.py and your_own_networks.py.
REINFORCE = "python:your_own_algorithm:Reinforce"
CNN = "python:your_own_networks:cnn"


def test_your_own_algorithm(tmp_path: Path):
    rows = train(tmp_path, REINFORCE, "--task", "probe-remember", "--steps", "256")
    assert [row["step"] for row in rows] == [0, 256]


@pytest.mark.slow
def test_your_own_algorithm_learns_to_remember(tmp_path: Path):
    argv = [REINFORCE, "--task", "probe-remember", "--steps", "40000", "--seeds", "3"]
    rows = train(tmp_path, *argv, "--eval-episodes", "500")
    first, last = rows[:3], rows[-3:]
    # A policy without memory earns 0.5: 500 episodes of two agents, four errors.
    assert all(abs(row["eval/return_mean"] - 0.5) < 0.09 for row in first)
    assert all(row["eval/return_mean"] > 0.95 for row in last)


@pytest.mark.slow
def test_your_own_networks(tmp_path: Path):
    flags = ["--num-envs", "2", "--hidden", "8", "--eval-episodes", "2"]
    networks = ["--actor", CNN, "--encoder", CNN, "--latent-dim", "4"]
    task = ["--task", "rware-tiny-2ag?time_limit=4", "--steps", "8"]
    assert len(train(tmp_path, "smpe", *task, *networks, *flags)) == 2


def test_examples_use_public_names_only():
    """Those of `syntony`, `equations`, `networks`, and the drawing of tasks."""
    public = ("syntony", "syntony.equations", "syntony.networks")
    for path in EXAMPLES.glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        modules = [str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)]
        imports = [n for n in nodes if isinstance(n, ast.Import)]
        modules += [alias.name for n in imports for alias in n.names]
        ours = [m for m in modules if m.split(".")[0] == "syntony"]
        ours = [m for m in ours if m != "syntony.tasks.scene"]
        packages = {".".join(module.split(".")[:2]) for module in ours}
        assert packages <= {*public}, path.name


def test_each_example_has_a_test():
    text = Path(__file__).read_text()
    assert all(path.name in text for path in EXAMPLES.glob("*.py"))
