"""The provenance of a run: versions, hardware and command, without paths."""

import json
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


def test_paths_are_removed(monkeypatch: pytest.MonkeyPatch):
    argv = ["/home/me/bin/syntony", "train", "smpe", "--out", "/data/x y", "--out=/d/z"]
    monkeypatch.setattr(sys, "argv", argv)
    assert collect_provenance()["command"] == "syntony train smpe --out 'x y' --out=z"
