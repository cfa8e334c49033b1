"""The provenance of a run: versions, hardware and command, without paths."""

import json
import sys

import pytest

from syntony.training.provenance import collect_provenance


def test_provenance_is_json_with_versions_and_hardware():
    provenance = json.loads(json.dumps(collect_provenance()))
    assert provenance["versions"].keys() >= {"syntony", "jax", "python"}
    assert provenance["hardware"]["cores"] >= 1
    assert provenance["hardware"]["cpu"]


def test_a_module_run_by_python_is_shown_as_the_command(
    monkeypatch: pytest.MonkeyPatch,
):
    argv = ["/home/me/src/syntony/__main__.py", "train", "smpe"]
    monkeypatch.setattr(sys, "argv", argv)
    assert collect_provenance()["command"] == "syntony train smpe"


def test_paths_are_removed(monkeypatch: pytest.MonkeyPatch):
    argv = ["/home/me/bin/syntony", "train", "smpe", "--out", "/data/x y", "--out=/d/z"]
    monkeypatch.setattr(sys, "argv", argv)
    assert collect_provenance()["command"] == "syntony train smpe --out 'x y' --out=z"
