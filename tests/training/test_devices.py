"""Devices of workers, and the compilation cache."""

from pathlib import Path

import jax
import pytest

from syntony.training import devices


def test_one_worker_per_core_and_at_most_one_per_seed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices, "process_cpu_count", lambda: 4)
    assert [len(devices.worker_devices(seeds)) for seeds in (0, 1, 3, 9)] == [
        0,
        1,
        3,
        4,
    ]
    # All on one device: a program is compiled once for all workers.
    assert len(set(devices.worker_devices(9))) == 1


def test_the_compilation_cache_keeps_a_folder_that_was_set(
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
        (folder,) = (tmp_path / "syntony").iterdir()
        assert jax.config.values["jax_compilation_cache_dir"] == str(folder)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_cache_that_others_can_write_is_not_used(
    mode: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    before = jax.config.values["jax_compilation_cache_dir"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        devices.enable_compilation_cache()
        (folder,) = (tmp_path / "syntony").iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        for shared in (folder, folder.parent):
            shared.chmod(mode)
            jax.config.update("jax_compilation_cache_dir", None)
            with pytest.warns(UserWarning, match="can be written by others"):
                devices.enable_compilation_cache()
            assert jax.config.values["jax_compilation_cache_dir"] is None
            shared.chmod(0o700)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_without_a_writable_folder_there_is_no_compilation_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    before = jax.config.values["jax_compilation_cache_dir"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        devices.enable_compilation_cache()
        assert jax.config.values["jax_compilation_cache_dir"] is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
