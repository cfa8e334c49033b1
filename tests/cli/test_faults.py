"""Faults in a user's objects: one line with the user's file and line, exit code 2."""

from pathlib import Path

import failing_objects
import pytest
from toy_system import Toy

import syntony
from syntony.cli import main
from syntony.errors import InvalidInputError

OWN = "python:failing_objects"
SOURCE = Path(failing_objects.__file__).read_text().splitlines()
TEAM = (
    "train smpe --task probe-see --num-envs 2 --hidden 4 --latent-dim 2 --steps 1 "
    "--eval-every 1 --eval-episodes 1 --quiet"
)
LINK = (
    "train link --messages 4 --uses 1 --batch-size 8 --hidden 4 --steps 9 "
    "--eval-episodes 8 --quiet"
)
COMMANDS = {
    "constructed task": f"train maa2c --task {OWN}:ConstructedTask",
    "traced task": f"train maa2c --task {OWN}:TracedTask",
    "called channel": f"{LINK} --channel {OWN}:channel",
    "late channel": f"{LINK} --channel {OWN}:late_channel",
    "called radio": f"{LINK} --channel {OWN}:radio",
    "constructed system": f"train {OWN}:ConstructedSystem --steps 9 --quiet",
    "traced system": f"train {OWN}:TracedSystem --steps 9 --quiet",
    "evaluated system": f"train {OWN}:EvaluatedSystem --steps 9 --quiet",
    "constructed optimizer": f"{TEAM} --optimizer {OWN}:constructed_optimizer",
    "traced optimizer": f"{LINK} --optimizer {OWN}:traced_optimizer",
    "constructed environment": "train maa2c --task "
    "pettingzoo:failing_objects?kind=ConstructedEnv",
}
"""Message of the exception to the command in which it is raised."""
NETWORKS = {"actor": TEAM, "encoder": TEAM, "transmitter": LINK, "receiver": LINK}
"""Flag of each network to a command that takes it."""
KINDS = [
    "train maa2c --task python:broken_import:Own",
    "train maa2c --task pettingzoo:broken_import",
    "train maa2c --task gymnasium:broken_import:Own-v0",
    f"{LINK} --channel python:broken_import:own",
    "train python:broken_import:Own",
    f"{TEAM} --optimizer python:broken_import:own",
    *(f"{line} --{name} python:broken_import:own" for name, line in NETWORKS.items()),
]
"""Commands with an object of each kind, whose module cannot be imported."""


@pytest.fixture(autouse=True)
def _no_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing_objects, "calls", {"channel": 0, "environment": 0})


def line_of(message: str) -> str:
    """`failing_objects.py:LINE` of the exception with a message."""
    (number,) = (i for i, text in enumerate(SOURCE, 1) if f'"{message}"' in text)
    return f"failing_objects.py:{number}"


def error_line(command: str, capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """The only line on stderr of a command that ends with a code."""
    assert main(command.split()) == code
    error = capsys.readouterr().err
    assert error.startswith("syntony: ")
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("message", COMMANDS)
def test_a_fault_is_told_with_its_line(
    message: str, capsys: pytest.CaptureFixture[str]
):
    error = error_line(COMMANDS[message], capsys)
    assert f"IndexError: {message} ({line_of(message)})" in error


def test_a_channel_that_fails_is_told_before_anything_is_compiled(
    capsys: pytest.CaptureFixture[str],
):
    command = COMMANDS["called channel"].replace("--quiet", "")
    assert main(command.split()) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("stage", ["constructed", "traced"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_fault_of_a_network(
    name: str, stage: str, capsys: pytest.CaptureFixture[str]
):
    command = f"{NETWORKS[name]} --{name} {OWN}:{stage}_network"
    error = error_line(command, capsys)
    assert f"IndexError: {stage} network ({line_of(f'{stage} network')})" in error


@pytest.mark.parametrize("command", KINDS)
def test_a_fault_of_an_import(command: str, capsys: pytest.CaptureFixture[str]):
    Path("broken_import.py").write_text('\nraise IndexError("import")\n')
    assert "IndexError: import (broken_import.py:2)" in error_line(command, capsys)


@pytest.mark.slow
def test_an_environment_that_fails_in_a_run_has_exit_code_1(
    capsys: pytest.CaptureFixture[str],
):
    pytest.importorskip("gymnasium")
    flags = "--num-envs 2 --hidden 4 --steps 9 --eval-episodes 1 --quiet"
    error = error_line(
        f"train maa2c --task pettingzoo:failing_objects {flags}", capsys, code=1
    )
    assert f"late environment ({line_of('late environment')})" in error


def test_a_fault_of_a_callback():
    with pytest.raises(InvalidInputError) as it:
        syntony.train(Toy(), steps=3, quiet=True, callbacks=[failing_objects.callback])
    assert f"callback ({line_of('called callback')})" in str(it.value)
    assert "\n" not in str(it.value)


@pytest.mark.parametrize("message", ["constructed task", "called channel"])
def test_the_traceback_is_shown_on_demand(
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("SYNTONY_TRACEBACK", "1")
    assert main(COMMANDS[message].split()) == 2
    error = capsys.readouterr().err
    assert "Traceback (most recent call last)" in error
    assert line_of(message) in error.splitlines()[-1]
