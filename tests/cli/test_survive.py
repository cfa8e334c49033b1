"""What commands say of full disks, missing sinks and torn checkpoints."""

import errno
import os
import sys
from pathlib import Path

import pytest

from syntony.cli import main

TOY = ["train", "toy", "--steps", "200", "--eval-every", "100", "--out", "run"]


@pytest.fixture
def run() -> Path:
    assert main([*TOY, "--quiet"]) == 0
    return Path("run")


def test_a_full_disk_is_a_fault_in_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main(["resume", str(run), "--steps", "400", "--quiet"]) == 1
    said = capsys.readouterr().err
    assert said == (
        "syntony: cannot write to run: No space left on device; what was saved before "
        "is whole; when there is room, go on with: syntony resume run\n"
    )


@pytest.mark.filterwarnings("always")
def test_a_torn_checkpoint_is_said_and_passed_over(
    run: Path, capsys: pytest.CaptureFixture[str]
):
    newest = max((run / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-9])
    assert main(["resume", str(run), "--quiet"]) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"syntony: {newest} is damaged (BadZipFile); using seed-0-")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_is_bad_input(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main([*TOY, f"--{name}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"syntony: --{name} needs ")
    assert said.endswith(f"to install it: pip install 'syntony[{name}]'\n")


@pytest.mark.parametrize("words", [["train", "toy"], ["resume"]])
def test_help_says_what_a_resume_remembers(
    words: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main([*words, "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--tensorboard" in said
    assert "--wandb" in said
    assert "asked" in said
    assert "WANDB_MODE=offline" in said
