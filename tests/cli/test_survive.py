"""Errors of commands: full disks, missing packages and damaged checkpoints."""

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


def test_full_disk_is_reported_in_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def raise_no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", raise_no_space)
    assert main(["resume", str(run), "--steps", "400", "--quiet"]) == 1
    error = capsys.readouterr().err
    assert error == (
        "syntony: cannot write to run/metrics.jsonl: No space left on device; what was "
        "saved before is whole; when there is room, go on with: syntony resume run\n"
    )


@pytest.mark.filterwarnings("always")
def test_damaged_checkpoint_is_reported_and_skipped(
    run: Path, capsys: pytest.CaptureFixture[str]
):
    newest = max((run / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-9])
    assert main(["resume", str(run), "--quiet"]) == 0
    error = capsys.readouterr().err
    assert error.startswith(f"syntony: {newest.name} is damaged (its hash does not")
    assert "; using seed-0-" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_missing_package_is_invalid_input(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main([*TOY, f"--{name}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"syntony: --{name} needs ")
    assert error.endswith(f"to install it: pip install 'syntony[{name}]'\n")


@pytest.mark.parametrize("argv", [["train", "toy"], ["resume"]])
def test_help_says_what_a_resume_does_not_restore(
    argv: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main([*argv, "--help"]) == 0
    output = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--tensorboard" in output
    assert "--wandb" in output
    assert "given again when resuming" in output
    assert "WANDB_MODE=offline" in output
