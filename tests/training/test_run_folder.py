"""The run folder keeps out others, and says what it cannot be."""

import os
from pathlib import Path

import pytest

from syntony.errors import InvalidInputError
from syntony.training.run_folder import RunFolder, next_free_path


def test_one_process_at_a_time(tmp_path: Path):
    path = tmp_path / "run"
    # A lock belongs to an open file: a second one is as good as another process.
    with (
        RunFolder(path).acquire_lock(),
        pytest.raises(InvalidInputError, match=f"in use by process {os.getpid()} on "),
        RunFolder(path).acquire_lock(),
    ):
        pass
    with RunFolder(path).acquire_lock():
        pass


def test_what_was_torn_is_removed(tmp_path: Path):
    folder = RunFolder(tmp_path / "run")
    with folder.acquire_lock():
        pass
    (folder.checkpoints_dir / "seed-0-000000000001.npz.part").touch()
    (folder.path / "settings.json.part").touch()
    with folder.acquire_lock():
        assert not list(folder.path.rglob("*.part"))


def test_a_file_in_the_way(tmp_path: Path):
    (tmp_path / "run").touch()
    with (
        pytest.raises(InvalidInputError, match=r"cannot write to .*/run: "),
        RunFolder(tmp_path / "run").acquire_lock(),
    ):
        pass


def test_settings_come_back(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.write_settings({"system": "smpe", "β": 0.1})
    assert folder.read_settings() == {"system": "smpe", "β": 0.1}


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read"), ("[]", "no JSON object"), ("\udcff", "cannot be read")],
)
def test_damaged_settings_are_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "settings.json").write_text(text, errors="surrogateescape")
    with pytest.raises(InvalidInputError, match=message):
        RunFolder(tmp_path).read_settings()


def test_folders_that_hold_no_run(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="there is no run"):
        RunFolder(tmp_path / "nowhere").read_settings()
    with pytest.raises(InvalidInputError, match=r"no settings\.json"):
        RunFolder(tmp_path).read_settings()


def test_the_next_free_name(tmp_path: Path):
    (tmp_path / "smpe-1").mkdir()
    assert next_free_path(tmp_path, "smpe") == tmp_path / "smpe-2"
