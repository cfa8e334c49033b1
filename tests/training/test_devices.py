"""Where seeds run."""

from pathlib import Path

import jax
import pytest

from syntony.training import devices


def test_a_worker_for_each_core_and_none_for_nobody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices, "cores", lambda: 4)
    assert [len(devices.worker_devices(seeds)) for seeds in (0, 1, 3, 9)] == [
        0,
        1,
        3,
        4,
    ]
    # All on one device: what one compiles, all can run.
    assert len(set(devices.worker_devices(9))) == 1


def test_programs_are_remembered_where_nobody_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    before = jax.config.values["jax_compilation_cache_dir"]
    assert before is not None
    devices.enable_compilation_cache()
    assert jax.config.values["jax_compilation_cache_dir"] == before
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        devices.enable_compilation_cache()
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
        devices.enable_compilation_cache()
        assert jax.config.values["jax_compilation_cache_dir"] is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
