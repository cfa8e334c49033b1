"""Where seeds run."""

from pathlib import Path

import jax
import pytest

from syntony.run import devices


def test_a_worker_for_each_core_and_none_for_nobody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices, "cores", lambda: 4)
    assert [len(devices.workers(seeds)) for seeds in (0, 1, 3, 9)] == [0, 1, 3, 4]
    # All on one device: what one compiles, all can run.
    assert len(set(devices.workers(9))) == 1


def test_programs_are_remembered_where_nobody_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    before = jax.config.values["jax_compilation_cache_dir"]
    assert before is not None
    devices.remember_programs()
    assert jax.config.values["jax_compilation_cache_dir"] == before
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        devices.remember_programs()
        (found,) = (tmp_path / "syntony").iterdir()
        assert jax.config.values["jax_compilation_cache_dir"] == str(found)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_no_home_no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    before = jax.config.values["jax_compilation_cache_dir"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        devices.remember_programs()
        assert jax.config.values["jax_compilation_cache_dir"] is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
