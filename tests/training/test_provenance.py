"""Where a run came from is said without saying where a machine keeps its files."""

import json
import sys

import pytest

from syntony.training.provenance import collect_provenance


def test_it_is_json_and_names_versions_and_hardware():
    found = json.loads(json.dumps(collect_provenance()))
    assert found["versions"].keys() >= {"syntony", "jax", "python"}
    assert found["hardware"]["cores"] >= 1
    assert found["hardware"]["cpu"]


def test_a_module_that_is_run_is_the_command(monkeypatch: pytest.MonkeyPatch):
    argv = ["/home/me/src/syntony/__main__.py", "train", "smpe"]
    monkeypatch.setattr(sys, "argv", argv)
    assert collect_provenance()["command"] == "syntony train smpe"


def test_no_paths(monkeypatch: pytest.MonkeyPatch):
    argv = ["/home/me/bin/syntony", "train", "smpe", "--out", "/data/x y", "--out=/d/z"]
    monkeypatch.setattr(sys, "argv", argv)
    assert collect_provenance()["command"] == "syntony train smpe --out 'x y' --out=z"
