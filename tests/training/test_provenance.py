"""The provenance of a run: versions, hardware and command, without paths."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from syntony.training import provenance
from syntony.training.provenance import collect_provenance


def test_provenance_is_json_with_versions_and_hardware():
    stored = json.loads(json.dumps(collect_provenance()))
    assert stored["versions"].keys() >= {"syntony", "jax", "python"}
    assert stored["hardware"]["cores"] >= 1
    assert stored["hardware"]["cpu"]


def test_a_module_run_by_python_is_shown_as_the_command(
    monkeypatch: pytest.MonkeyPatch,
):
    argv = ["/home/me/src/syntony/__main__.py", "train", "smpe"]
    monkeypatch.setattr(sys, "argv", argv)
    assert collect_provenance()["command"] == "syntony train smpe"


def test_git_is_not_asked_about_another_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    called: list[object] = []
    monkeypatch.setattr("subprocess.run", lambda *args, **_: called.append(args))
    installed = tmp_path / "project/.venv/lib/python/site-packages/syntony/training"
    (tmp_path / "project" / ".git").mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(installed / "provenance.py"))
    assert provenance.collect_provenance()["commit"] is None
    assert not called


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_only_reads_and_only_the_source(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    source = tmp_path / "src" / "syntony"
    (source / "training").mkdir(parents=True)
    errors, index = source / "errors.py", tmp_path / ".git" / "index"
    errors.touch()
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init"], ["add", "."], [*identity, "commit", "-m", "first"]):
        command = ["git", "-C", str(tmp_path), *arguments]
        subprocess.run(command, check=True, capture_output=True)
    # The index is out of date: a command with locks would write it.
    os.utime(errors, (1e9, 1e9))
    before = index.read_bytes(), index.stat().st_mtime_ns
    monkeypatch.setattr(provenance, "__file__", str(source / "training" / "a.py"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    commit = str(collect_provenance()["commit"])
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert (index.read_bytes(), index.stat().st_mtime_ns) == before
    errors.write_text("changed")
    assert collect_provenance()["commit"] == f"{commit}-dirty"


def test_paths_are_removed(monkeypatch: pytest.MonkeyPatch):
    argv = ["/home/me/bin/syntony", "train", "smpe", "--out", "/data/x y", "--out=/d/z"]
    monkeypatch.setattr(sys, "argv", argv)
    assert collect_provenance()["command"] == "syntony train smpe --out 'x y' --out=z"
