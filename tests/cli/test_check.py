"""`syntony check`, and faults in a user's own code, in one line with file and line."""

import json
from pathlib import Path

import pytest

from syntony.cli import main

OWN = """
def crash(x):
    raise IndexError("no such antenna")
"""


def test_rules_that_hold(capsys: pytest.CaptureFixture[str]):
    assert main(["check", "iq"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("channel iq: 8 rules hold, ")
    assert output.count("\n") == 1


def test_a_rule_that_does_not_hold(capsys: pytest.CaptureFixture[str]):
    assert main(["check", "python:user_tasks:RaisingStep"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert "shapes and types: " in lines[0]
    assert "step raised KeyError: 'obs' (user_tasks.py:" in lines[0]
    assert "1 rule holds, 1 do not, 16 not checked" in lines[1]


def test_a_channel_that_raises(capsys: pytest.CaptureFixture[str]):
    Path("own_antenna.py").write_text(OWN)
    assert main(["check", "python:own_antenna:crash", "--json"]) == 2
    (failure,) = [
        rule
        for rule in json.loads(capsys.readouterr().out)["rules"]
        if not rule["holds"]
    ]
    assert "IndexError: no such antenna (own_antenna.py:3)" in failure["message"]


def test_the_traceback_is_shown_on_demand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    Path("own_antenna.py").write_text(OWN)
    monkeypatch.setenv("SYNTONY_TRACEBACK", "1")
    assert main(["check", "python:own_antenna:crash"]) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("awgm", "unknown system, channel or task 'awgm'; did you mean 'awgn'?"),
        (
            "python:toy_system:Toi",
            "unknown task, channel or system of toy_system 'Toi'",
        ),
        ("python:toy_system:__doc__", "is of type"),
    ],
)
def test_ids_that_name_nothing(
    id: str, message: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["check", id]) == 2
    assert message in capsys.readouterr().err
