"""Commands on a user's task in JAX."""

from pathlib import Path

import pytest

import syntony
from syntony.cli import main

ROOT = Path(__file__).parents[2]
PLAIN = "python:user_tasks:Plain?length=7"
SMALL = ["--steps", "1", "--eval-every", "1", "--eval-episodes", "1", "--hidden", "8"]


@pytest.fixture(autouse=True)
def _user_tasks_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (ROOT / "examples", ROOT / "tests" / "tasks"):
        monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize("flag", [["--task", PLAIN], [f"--task={PLAIN}"]])
def test_methods_may_name_their_arguments_otherwise(
    flag: list[str], capsys: pytest.CaptureFixture[str]
):
    argv = ["train", "maa2c", *flag, *SMALL, "--quiet", "--out", "run"]
    assert main(argv) == 0
    assert capsys.readouterr().err == ""
    assert syntony.load("run").settings["task"]["id"] == PLAIN


def test_help_shows_its_id(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "maa2c", "--task", PLAIN, "--help"]) == 0
    assert PLAIN in "".join(capsys.readouterr().out.split())
